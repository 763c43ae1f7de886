"""Lets a package name what its modules define without loading them: each name is imported when it is first used (PEP 562)."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def attach(
    package: str, modules: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Make a package's ``__getattr__``, ``__dir__`` and ``__all__``.

    A module that imports the package at its top, and calls what it needs as ``package.name``, loads the module behind the name only
    when it comes to the call. What the package defines or imports itself is found first, as always.

    Args:
        package: The package's ``__name__``.
        modules: The names that each of its modules defines, by the module's name beneath the package.

    Returns:
        The three, in that order. ``__all__`` has the names of ``modules``.
    """
    homes = {name: f"{package}.{module}" for module, names in modules.items() for name in names}
    names = sorted(homes)

    def __getattr__(name: str) -> object:  # noqa: N807
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        __import__(home)
        module, found = sys.modules[home], vars(sys.modules[package])
        for other in modules[home[len(package) + 1 :]]:  # all at once, so that they are of one and the same module
            found[other] = getattr(module, other)
        value: object = found[name]
        return value

    def __dir__() -> list[str]:  # noqa: N807
        return sorted({*vars(sys.modules[package]), *names})

    return __getattr__, __dir__, names

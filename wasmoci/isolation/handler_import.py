"""Determines the reference by which a worker process imports a handler's class."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import EngineError

if TYPE_CHECKING:
    from wasmoci.handlers.contract import EngineHandler


def is_importable(kind: type) -> bool:
    """Return whether another process can import a class: it is neither local to a function nor in ``__main__``."""
    return kind.__module__ != "__main__" and "<" not in kind.__qualname__


def reference_of(handler: EngineHandler) -> str:
    """Return the reference of a handler's class for a worker, as ``module:qualified.name``.

    Raises:
        EngineError: A worker can't find it: it is local to a function, or to the program that is run.
    """
    kind = type(handler)
    if not is_importable(kind):
        raise EngineError(
            f"{kind.__module__}.{kind.__qualname__}: a worker process can't import this handler",
            hint="define its class at the top of a module that can be imported",
        )
    return f"{kind.__module__}:{kind.__qualname__}"

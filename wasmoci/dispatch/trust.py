"""Orders engines by trust: those with a sandbox come first, and the others only if the user asks for them."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import EngineError
from wasmoci.handlers.capabilities import Capability

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wasmoci.dispatch.registry import Registry


def in_order(registry: Registry, order: Iterable[str], first: str | None = None) -> Iterator[str]:
    """Yield engines in the order in which to try them: those with a sandbox before all others.

    Args:
        registry: Where the handlers are; one is loaded only when it is its turn.
        order: The names in order of preference.
        first: The engine to try first, with or without a sandbox.
    """
    others = []
    for name in order:
        if name == first or is_sandbox(registry, name):
            yield name
        else:
            others.append(name)
    yield from others


def is_sandbox(registry: Registry, name: str) -> bool:
    """Return whether an engine has a sandbox; one that can't be loaded counts, and is reported in its place."""
    try:
        return Capability.SANDBOXED in registry.load(name).capabilities
    except EngineError:
        return True

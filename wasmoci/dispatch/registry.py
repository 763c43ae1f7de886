"""Lists the registered engine handlers, and loads them.

All handlers, including our own, are registered as entry points of the group :data:`GROUP`. Names are listed without importing
an engine, and a broken plug-in doesn't affect the others.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import threading

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.dispatch import known_handlers
from wasmoci.errors import DuplicateEngine, EngineError, EngineUnavailable, UnknownEngine
from wasmoci.handlers.capabilities import Capability

if TYPE_CHECKING:
    from typing import Any

    from wasmoci.dispatch.known_handlers import Known
    from wasmoci.handlers.contract import EngineHandler

GROUP = "wasmoci.handlers"

_OWN_DISTRIBUTION = "wasmoci"
_CONTRACT = ("name", "capabilities", "validate", "execute")  # of EngineHandler


@attrs.frozen(kw_only=True)
class EngineStatus:
    """The status of a registered engine.

    Args:
        name: The name to ask for it by.
        distribution: The distribution that registers the handler, and its version; empty when nothing is known.
        available: Whether it can be used here.
        reason: Why it can't be used; empty when it can.
        hint: What to do about that.
        capabilities: What it can do here; empty when it can't be used.
        engine_version: The engine's own version, where the handler gives one.
    """

    name: str
    distribution: str
    available: bool
    reason: str = ""
    hint: str = ""
    capabilities: frozenset[Capability] = frozenset()
    engine_version: str = ""

    def to_dict(self) -> dict[str, object]:
        """The same for ``json.dumps``."""
        return {
            **attrs.asdict(self, filter=lambda attribute, _: attribute.name != "capabilities"),
            "capabilities": sorted(capability.value for capability in self.capabilities),
        }


class Registry:
    """The handlers of one entry-point group.

    Handlers are loaded on first use, and kept. Safe to use from several threads.

    Args:
        group: The group's name.
    """

    def __init__(self, group: str = GROUP) -> None:
        self.group = group
        self._lock = threading.RLock()
        self._loaded: dict[str, EngineHandler | EngineError] = {}

    @functools.cached_property
    def _known(self) -> dict[str, list[Known]]:
        found: dict[str, list[Known]] = {}
        for handler in known_handlers.listed(self.group):
            others = found.setdefault(handler.name, [])
            # A distribution that is on the path twice, as an editable one may be, is no conflict.
            if all(handler.reference != other.reference for other in others):
                others.append(handler)
        return found

    def names(self) -> tuple[str, ...]:
        """Return the names of all handlers, sorted, without importing an engine."""
        return tuple(sorted(self._known))

    def reference(self, name: str) -> str:
        """Return the reference of a handler's class, as ``module:qualified.name``.

        Raises:
            UnknownEngine: No handler has the name.
            DuplicateEngine: Two distributions register it.
        """
        known = self._known.get(name)
        if not known:
            names = ", ".join(self.names()) or "none"
            raise UnknownEngine(f"no engine is called {name!r}; registered are: {names}", hint=self._usable_hint())
        if len(known) > 1:
            owners = " and ".join(
                f"{handler.distribution or 'an unknown distribution'} ({handler.reference})" for handler in known
            )
            raise DuplicateEngine(f"the engine {name!r} is registered by {owners}", hint="uninstall one of them")
        return known[0].reference

    def load(self, name: str) -> EngineHandler:
        """Load a handler.

        Raises:
            UnknownEngine: No handler has the name.
            DuplicateEngine: Two distributions register it.
            EngineUnavailable: It can't be loaded; the message says why.
            BaseException: What a signal's handler has raised meanwhile. The engine can be asked for again.
        """
        with self._lock:
            known = self._loaded.get(name)
            if known is None:
                known = self._load(name, self.reference(name))
        if isinstance(known, EngineError):
            raise known.with_traceback(None)  # else it would hold the frames of everybody who asked
        return known

    def _load(self, name: str, reference: str) -> EngineHandler | EngineError:
        kept = True
        found: EngineHandler | EngineError
        try:
            handler: Any = _resolve(reference)()
            problem = _problem(handler, name, reference)
            found = self._broken(name, reference, problem) if problem else handler
        except BaseException as error:  # noqa: BLE001  SystemExit and the panics of Rust are no Exception
            _pass_on_of_handler(error)
            found = self._failed(name, reference, error)
            # Without a cause, which would hold the frames. What is no Exception may be somebody else's doing, and not come again.
            kept = isinstance(error, Exception)
        if kept:
            self._loaded[name] = found
        return found

    def _failed(self, name: str, reference: str, error: BaseException) -> EngineError:
        """What it means that a handler can't be made."""
        if isinstance(error, EngineUnavailable):
            return error  # a handler knows best what is missing, and what to do about it
        if isinstance(error, ImportError):
            reason = str(error.__cause__ or error) or type(error).__name__
            return EngineUnavailable(f"the engine {name!r} can't be loaded: {reason}", hint=self._hint(name, reference))
        return self._broken(name, reference, f"{type(error).__name__}: {error}")

    def _broken(self, name: str, reference: str, problem: str) -> EngineUnavailable:
        return EngineUnavailable(f"the handler of {name!r} is broken: {problem}", hint=self._hint(name, reference))

    def _hint(self, name: str, reference: str) -> str:
        distribution = self._known[name][0].distribution
        if distribution.partition(" ")[0] == _OWN_DISTRIBUTION:
            return f"install it with: pip install 'wasmoci[{name}]'"
        return f"it comes from {distribution or 'an unknown distribution'}, at {reference}"

    def status(self, name: str) -> EngineStatus:
        """Return the status of one handler, which loads its engine.

        Raises:
            UnknownEngine: No handler has the name.
        """
        if name not in self._known:
            self.reference(name)
        distribution = self._known[name][0].distribution
        try:
            handler = self.load(name)
        except EngineError as error:
            return EngineStatus(
                name=name, distribution=distribution, available=False, reason=error.message, hint=error.hint or ""
            )
        return EngineStatus(
            name=name,
            distribution=distribution,
            available=True,
            capabilities=handler.capabilities,
            engine_version=str(getattr(handler, "engine_version", "")),
        )

    def statuses(self) -> tuple[EngineStatus, ...]:
        """Return the status of all handlers, by name, which loads their engines."""
        return tuple(self.status(name) for name in self.names())

    def _usable_hint(self) -> str | None:
        usable = [status.name for status in self.statuses() if status.available]
        return f"usable here: {', '.join(usable)}" if usable else "none is usable: pip install 'wasmoci[all]'"


def _problem(handler: Any, name: str, reference: str) -> str:
    """Describe how a handler violates the contract; empty when it doesn't."""
    missing = [part for part in _CONTRACT if getattr(handler, part, None) is None]
    if missing:
        return f"{reference} has no {' and no '.join(missing)}"
    if handler.name != name:
        return f"{reference} calls itself {handler.name!r}"
    if not isinstance(handler.capabilities, (frozenset, set)) or any(
        not isinstance(capability, Capability) for capability in handler.capabilities
    ):
        return f"{reference} has other capabilities than a set of wasmoci.Capability"
    return ""


def _pass_on_of_handler(error: BaseException) -> None:
    """Raise what a signal's handler has raised, where that is what an engine was interrupted by."""
    from wasmoci.dispatch.signal_handlers import raised_by_handler  # noqa: PLC0415  most engines load

    found = raised_by_handler(error)
    if found is error:
        raise error
    if found is not None:
        raise found


def _resolve(reference: str) -> Any:
    """What an entry point names."""
    module, _, qualified = reference.partition(":")
    found: Any = importlib.import_module(module)
    for name in filter(None, qualified.split(".")):
        found = getattr(found, name)
    return found


@functools.cache
def default() -> Registry:
    """The registry of :data:`GROUP`."""
    # Engines free what they hold with the help of modules, which are taken apart in any order once Python has ended.
    atexit.register(default.cache_clear)
    return Registry()

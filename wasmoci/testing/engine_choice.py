"""Which engines a test runs on."""

from __future__ import annotations

import contextlib
import importlib
from pkgutil import walk_packages
from typing import TYPE_CHECKING

import attrs

from wasmoci import handlers
from wasmoci.dispatch import registry
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.errors import EngineError, UnknownEngine

if TYPE_CHECKING:
    from collections.abc import Sequence

ALL = "all"
NONE_INSTALLED = "no engine is installed: pip install 'wasmoci[wasmtime]', or another engine"


@attrs.frozen
class EngineChoice:
    """An engine that a test runs on, or would.

    Args:
        name: Its name; ``none`` where there is no engine at all.
        missing: Why it can't be used here, and what to do; empty when it can.
        excluded: Why the test doesn't want it; empty when it does.
    """

    name: str
    missing: str = ""
    excluded: str = ""


def choose_engines(
    wanted: Sequence[str] = (),
    configured: Sequence[str] = (),
    marked: Sequence[str] | None = None,
    *,
    all_if_none: bool = False,
) -> tuple[EngineChoice, ...]:
    """Choose the engines for a test.

    Args:
        wanted: The names on the command line, ``all`` among them for all that are registered.
        configured: Those of the configuration, which count when the command line has none.
        marked: Those that the test itself is for; None for any. One that isn't registered may be a plug-in's.
        all_if_none: Whether all engines are meant where there are no names, and not only those that are installed.

    Returns:
        In the order of the user's settings; without any names those that are installed.

    Raises:
        UnknownEngine: No engine has one of the names of the user's settings.
    """
    order = Dispatcher().order()
    check_names((*wanted, *configured))
    named = wanted or (configured if marked is None else ())  # a test knows more than its project
    names = order if not named or ALL in named else tuple(name for name in order if name in named)
    if marked is not None:
        # A test that is for one engine says so itself, and shows when that one is missing.
        strangers = () if named else tuple(name for name in marked if name not in order)
        fitting = (*(name for name in order if name in marked and (not named or name in names)), *strangers)
        if not fitting:
            reason = f"it is for {', '.join(marked)}, and the engines asked for are: {', '.join(names)}"
            return tuple(EngineChoice(name, excluded=reason) for name in names[:1])
        names, named = fitting, marked
    choices = tuple(EngineChoice(name, missing=_missing(name)) for name in names)
    if named or all_if_none:
        return choices
    return tuple(choice for choice in choices if not choice.missing) or (EngineChoice("none", missing=NONE_INSTALLED),)


def check_names(names: Sequence[str]) -> None:
    """See that engines are registered, whether they can be used or not.

    Raises:
        UnknownEngine: One isn't.
    """
    order = Dispatcher().order()
    for name in names:
        if name not in order and name != ALL:
            raise UnknownEngine(f"no engine is called {name!r}; registered are: {', '.join(order)}")


def _missing(name: str) -> str:
    try:
        registry.default().load(name)
    except EngineError as error:
        return "; ".join(part for part in (error.message, error.hint) if part)
    return ""


def load_handlers() -> None:
    """Import all of our handlers, with what they otherwise load when they need it.

    A session that pytester runs within a test takes back what it has imported. A handler that outlives it would be left with call-backs
    of modules that the next session imports again.
    """
    for module in walk_packages(handlers.__path__, "wasmoci.handlers."):
        with contextlib.suppress(Exception):  # an engine that is missing, or broken, is told of by whoever wants it
            importlib.import_module(module.name)

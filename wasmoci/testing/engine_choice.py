"""Chooses the engines that a test runs on."""

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
    """An engine for a test, or the reason why it isn't used.

    Args:
        name: Its name; ``none`` where no engine is installed.
        missing: Why it can't be used here, and what to do; empty when it can.
        excluded: Why the test excludes it; empty when it doesn't.
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
        wanted: The names on the command line; ``all`` stands for all that are registered.
        configured: The names in the configuration, which apply if the command line has none.
        marked: The names that the test is restricted to; None for no restriction. An unregistered one may be from a
            plug-in.
        all_if_none: Whether no names mean all engines, not only those that are installed.

    Returns:
        In the order of the user's settings; by default those that are installed.

    Raises:
        UnknownEngine: A name in the user's settings isn't an engine's.
    """
    order = Dispatcher().order()
    check_names((*wanted, *configured))
    named = wanted or (configured if marked is None else ())  # the test's own marker is more specific
    names = order if not named or ALL in named else tuple(name for name in order if name in named)
    if marked is not None:
        # A test for one engine has a marker, and reports when that engine is missing.
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
    """Check that engines are registered, whether or not they can be used.

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
    """Import all of our handlers, including what they otherwise import when they need it.

    A session that pytester runs within a test removes the modules that it has imported. A handler that outlives it
    would keep callbacks of modules that the next session imports again.
    """
    for module in walk_packages(handlers.__path__, "wasmoci.handlers."):
        with contextlib.suppress(Exception):  # a missing or broken engine is reported when it is used
            importlib.import_module(module.name)

"""Tells an exception of a signal's handler from one of the code that it has interrupted.

A handler runs between any two instructions of the main thread, so what it raises comes out of whatever was being called: an import,
for instance, which has nothing to do with it.
"""

from __future__ import annotations

import functools
import signal
from types import CodeType, MethodType

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def raised_by_handler(error: BaseException) -> BaseException | None:
    """What a handler that is installed now has raised, where an exception is that, or was raised while that was handled.

    A ``KeyboardInterrupt`` is taken for Python's own handler's, which leaves no frame.

    Args:
        error: An exception that was caught.
    """
    codes = {code for number in signal.valid_signals() for code in _codes(signal.getsignal(number))}
    return next(
        (
            found
            for found in _chain(error)
            if isinstance(found, KeyboardInterrupt) or not codes.isdisjoint(_traced(found))
        ),
        None,
    )


def _codes(handler: object) -> Iterator[CodeType]:
    """The code of a handler; none of one that is written in C."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    if isinstance(handler, MethodType):
        handler = handler.__func__
    for function in (handler, getattr(type(handler), "__call__", None)):  # noqa: B004  its code
        code = getattr(function, "__code__", None)
        if isinstance(code, CodeType):
            yield code


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        found = pending.pop()
        if found is not None and id(found) not in seen:
            seen.add(id(found))
            yield found
            pending += [found.__context__, found.__cause__]


def _traced(error: BaseException) -> Iterator[CodeType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame.f_code
        trace = trace.tb_next

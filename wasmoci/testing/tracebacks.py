"""Keeps the inside of this package out of a test's traceback."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar, cast

from wasmoci.errors import WasmociError

if TYPE_CHECKING:
    from collections.abc import Callable

_F = TypeVar("_F", bound="Callable[..., Any]")


class WrongOption(TypeError):
    """A test gives an option that there isn't, or that can't be given here."""


def short_traceback(function: _F) -> _F:
    """Let a test that fails over an error of ours end with its own line: the message says what there is to say."""

    @functools.wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        try:
            return function(*args, **options)
        except (WasmociError, WrongOption) as error:
            raise error.with_traceback(None) from None

    return cast("_F", called)

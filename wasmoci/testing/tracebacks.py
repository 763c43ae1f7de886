"""Removes the frames of this package from a failed test's traceback."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar, cast

from wasmoci.errors import WasmociError

if TYPE_CHECKING:
    from collections.abc import Callable

_F = TypeVar("_F", bound="Callable[..., Any]")


class WrongOption(TypeError):
    """A test gives an option that doesn't exist, or isn't possible here."""


def short_traceback(function: _F) -> _F:
    """End the traceback of a test that fails with one of our errors at the test's own line, as the message explains it."""

    @functools.wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        try:
            return function(*args, **options)
        except (WasmociError, WrongOption) as error:
            raise error.with_traceback(None) from None

    return cast("_F", called)

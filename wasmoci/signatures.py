"""Gives functions the arguments of a class, so that each is documented once for ``inspect.signature``, ``help`` and type checkers.

::

    @function(RunOptions)
    def run(options: RunOptions) -> ExecutionResult: ...


    run("bundle/", engine="wasm3")
"""

from __future__ import annotations

import functools

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Concatenate, ParamSpec, TypeVar

    Arguments = ParamSpec("Arguments")
    Options = TypeVar("Options")
    Owner = TypeVar("Owner")
    Result = TypeVar("Result")

_COROUTINE = 0x80
"""``inspect.CO_COROUTINE``"""


def function(
    options: Callable[Arguments, Options],
) -> Callable[[Callable[[Options], Result]], Callable[Arguments, Result]]:
    """Have a function that takes an object of a class called with the arguments that make one.

    Its docstring gets the descriptions of the arguments from those of the class and its bases.

    Args:
        options: The class.
    """
    return lambda body: _caller(body, options, owners=0)


def method(
    options: Callable[Arguments, Options],
) -> Callable[[Callable[[Owner, Options], Result]], Callable[Concatenate[Owner, Arguments], Result]]:
    """See :func:`function`; for a method.

    Args:
        options: The class.
    """
    return lambda body: _caller(body, options, owners=1)


def _caller(body: Any, options: Any, *, owners: int) -> Any:
    """The function that users call.

    Args:
        body: What it does.
        options: The class of the body's last argument.
        owners: How many arguments come before that.
    """

    def read(args: tuple[Any, ...], given: dict[str, Any]) -> tuple[Any, ...]:
        try:
            return *args[:owners], options(*args[owners:], **given)
        except TypeError:
            _check(caller, args, given)
            raise

    def call(*args: Any, **given: Any) -> Any:
        return body(*read(args, given))

    async def wait(*args: Any, **given: Any) -> Any:
        return await body(*read(args, given))

    caller: Any = wait if body.__code__.co_flags & _COROUTINE else call
    functools.update_wrapper(caller, body)
    caller.__annotations__ = {**options.__init__.__annotations__, "return": body.__annotations__["return"]}
    caller.__doc__ = _described(body.__doc__, options)
    caller.__wrapped__ = _Signature(body, options)
    return caller


class _Signature:
    """What :mod:`inspect` finds behind a caller: its signature, and the body as its source."""

    def __init__(self, body: Callable[..., object], options: type) -> None:
        self.__wrapped__ = body
        self._options = options

    @property
    def __signature__(self) -> inspect.Signature:
        import inspect  # noqa: PLC0415  a run needs none of it

        body = inspect.signature(self.__wrapped__)
        *owners, _ = body.parameters.values()
        return body.replace(parameters=[*owners, *inspect.signature(self._options).parameters.values()])


def _check(caller: Callable[..., object], args: tuple[Any, ...], given: Mapping[str, Any]) -> None:
    """Refuse arguments that don't fit, in Python's own words.

    Raises:
        TypeError: They don't.
    """
    import inspect  # noqa: PLC0415

    signature = inspect.signature(caller)
    parameters = [
        item.replace(annotation=item.empty, default=item.empty if item.default is item.empty else None)
        for item in signature.parameters.values()
    ]
    plain = signature.replace(parameters=parameters, return_annotation=signature.empty)
    scope: dict[str, Any] = {}
    exec(f"def {caller.__name__}{plain}: pass", scope)  # noqa: S102  of names that are in our own source
    scope[caller.__name__].__qualname__ = caller.__qualname__
    scope[caller.__name__](*args, **given)


def _described(text: str | None, options: type) -> str | None:
    """A function's docstring, with what the class's and its bases' say of the arguments."""
    if not text:  # python -OO
        return text
    arguments = [line for kind in reversed(options.__mro__) for line in _arguments(kind.__doc__)]
    lines = _dedented(text)
    before = next((place for place, line in enumerate(lines) if line in {"Returns:", "Raises:"}), len(lines))
    return "\n".join(
        [*lines[:before], *([] if before < len(lines) else [""]), "Args:", *arguments, "", *lines[before:]]
    )


def _arguments(text: str | None) -> Iterable[str]:
    """The lines below ``Args:`` in a docstring."""
    lines = iter(_dedented(text or ""))
    for line in lines:
        if line == "Args:":
            break
    for line in lines:
        if not line:
            return
        yield line


def _dedented(text: str) -> list[str]:
    first, *rest = text.rstrip().splitlines() or [""]
    margin = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
    return [first, *(line[margin:] for line in rest)]

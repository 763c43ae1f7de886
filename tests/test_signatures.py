"""The calls that take the options of a run: one description, the same signature, and Python's own words for what doesn't fit."""

from __future__ import annotations

import inspect
import pydoc
from typing import TYPE_CHECKING, Any
from unittest import mock

import attrs
import pytest

import wasmoci
from wasmoci import signatures
from wasmoci.options import GuestOptions
from wasmoci.testing import bundle as write_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUN = wasmoci.RunOptions
CALLS: list[tuple[Callable[..., object], type]] = [
    (wasmoci.run, RUN),
    (wasmoci.run_async, RUN),
    (wasmoci.explain, RUN),
    (wasmoci.start, wasmoci.StartOptions),
    (wasmoci.WorkerPool(1).run, RUN),
    (wasmoci.WorkerPool(1).run_async, RUN),
]


def named(call: Any) -> str:
    """A call's name, or nothing for what pytest names by itself."""
    return getattr(call, "__qualname__", "")


@pytest.mark.parametrize(("call", "options"), CALLS, ids=named)
def test_signature(call: Callable[..., object], options: type) -> None:
    """A call has the parameters of the class, and its own result."""
    signature = inspect.signature(call)
    assert list(signature.parameters.values()) == list(inspect.signature(options).parameters.values())
    assert signature.parameters["bundle"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert signature.parameters["engine"].kind is inspect.Parameter.KEYWORD_ONLY
    assert signature.return_annotation.isidentifier()
    assert call.__annotations__.keys() == {*inspect.signature(options).parameters, "return"}


@pytest.mark.parametrize(("call", "options"), CALLS, ids=named)
def test_help(call: Callable[..., object], options: type) -> None:
    """Its help describes each argument once."""
    text = pydoc.render_doc(call, renderer=pydoc.plaintext)  # type: ignore[attr-defined]
    for name in inspect.signature(options).parameters:
        assert text.count(f"\n        {name}: ") == 1, name
    assert text.count("Args:") == 1


def test_all_calls_take_what_any_run_takes() -> None:
    """What is added to the options of any run is an option of all calls."""
    common = {item.name for item in attrs.fields(GuestOptions)}
    for call, _ in CALLS:
        assert common <= inspect.signature(call).parameters.keys()


def test_coroutines() -> None:
    """What is awaited is seen to be."""
    assert [inspect.iscoroutinefunction(call) for call, _ in CALLS] == [False, True, False, False, False, True]


def plain(options: str) -> Callable[..., object]:
    """A function that is written with its parameters."""
    scope: dict[str, Any] = {}
    exec(f"def run({options}): pass", scope)  # noqa: S102
    return scope["run"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("args", "given"),
    [
        ((), {}),
        (("x", "y"), {}),
        (("x",), {"engines": 1}),
        (("x",), {"bundle": 1}),
        ((), {"engine": 1}),
        ((1, 2, 3), {"x": 1}),
    ],
)
def test_what_does_not_fit(args: tuple[Any, ...], given: dict[str, Any]) -> None:
    """Arguments that don't fit are refused in the words that Python has for any function, by the name that was called."""
    with pytest.raises(TypeError) as expected:
        plain("bundle, *, engine=None")(*args, **given)
    with pytest.raises(TypeError) as caught:
        wasmoci.run(*args, **given)
    assert str(caught.value) == str(expected.value)
    with pytest.raises(TypeError, match=r"^WorkerPool\.run\(\) "):
        wasmoci.WorkerPool(1).run(*args, **given)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"timeout": "5"}, TypeError, "timeout is '5'; a number was expected"),
        ({"timeout": 0}, ValueError, "timeout is 0; expected more than 0"),
        ({"memory": 1.5}, TypeError, "memory is 1.5; an integer was expected"),
        ({"fuel": True}, TypeError, "fuel is True; a number was expected"),
        ({"args": "x"}, TypeError, "args is the string 'x'; a sequence of strings was expected"),
        ({"isolation": "elsewhere"}, ValueError, "'elsewhere' is not a valid Isolation"),
    ],
)
def test_wrong_values(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """A value that can't be is refused by the name it was given, before a bundle is looked for."""
    for call in (wasmoci.run, wasmoci.explain, wasmoci.start, wasmoci.WorkerPool(1).run):
        with pytest.raises(error) as caught:
            call("/nowhere", **options)
        assert str(caught.value).startswith(message)


def test_options_as_an_object(tmp_path: Path) -> None:
    """Options can be kept, and given as they are."""
    made = write_bundle(tmp_path / "b", '(module (memory (export "memory") 1) (func (export "_start")))')
    options = wasmoci.RunOptions(made, memory=1 << 20, fuel=5)
    explained = wasmoci.explain(**attrs.asdict(attrs.evolve(options, fuel=None), recurse=False))
    assert explained.guest["limits"] == {"time": None, "memory": 1 << 20, "fuel": None}
    assert wasmoci.explain(**attrs.asdict(options, recurse=False)).guest["limits"]["fuel"] == 5


def test_explain_takes_the_changes_of_a_run(tmp_path: Path) -> None:
    """An explanation is of the run with the same arguments: also of the bundle as they change it."""
    made = write_bundle(tmp_path / "b", '(module (memory (export "memory") 1) (func (export "_start")))')
    guest = wasmoci.explain(made, args=["a"], cwd="/srv", read_only=True, volumes=[f"{tmp_path}:/srv"]).guest
    assert (guest["argv"][1:], guest["cwd"]) == (["a"], "/srv")
    assert [(place["path"], place["read_only"]) for place in guest["directories"]] == [("/", True), ("/srv", False)]


def test_mocks() -> None:
    """A stand-in of a call refuses what the call refuses."""
    stand_in = mock.create_autospec(wasmoci.run)
    stand_in("x", engine="wasm3")
    with pytest.raises(TypeError):
        stand_in("x", engines="wasm3")


def test_source_and_docstrings() -> None:
    """The source is that of the body; without docstrings there is none."""
    assert "execute(" in inspect.getsource(wasmoci.run)

    def call(options: wasmoci.RunOptions) -> None: ...

    assert signatures.function(wasmoci.RunOptions)(call).__doc__ is None

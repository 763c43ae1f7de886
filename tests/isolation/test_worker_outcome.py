"""A worker's answer: what it may say, and what is not believed."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wasmoci.errors import EngineCrashed, EngineError, InvalidSpec, WasmociError
from wasmoci.isolation.messages import Decoder, encode, error_message, result_message
from wasmoci.isolation.worker_outcome import FAULTS, WorkerOutcome
from wasmoci.result import ExecutionResult, ExitReason

LIMIT = 1 << 20

RESULT: dict[str, Any] = {
    "event": "result",
    "exit_code": 0,
    "reason": "exited",
    "engine": "puppet",
    "duration": 0.1,
    "message": "",
    "backtrace": [],
}
ERROR: dict[str, Any] = {
    "event": "error",
    "class": "EngineError",
    "args": ["no"],
    "state": {"message": "no", "hint": None},
}


def ending(
    answer: dict[str, Any] | None, *, status: int = 0, stderr: bytes = b"", exhausted: int | None = None
) -> WorkerOutcome:
    """How a worker ended."""
    return WorkerOutcome(
        engine="puppet", answer=answer, status=status, duration=1.5, stderr=stderr, exhausted=exhausted
    )


@pytest.mark.parametrize(
    "answer",
    [
        *({**RESULT, key: value} for key, value in [("exit_code", "0"), ("exit_code", None), ("reason", "bored")]),
        *({**RESULT, key: value} for key, value in [("engine", 1), ("duration", []), ("message", {})]),
        *({**RESULT, "backtrace": value} for value in ("frames", [1], None)),
        *({key: value for key, value in RESULT.items() if key in ("event", left)} for left in RESULT),
        *({**ERROR, key: value} for key, value in [("args", 3), ("args", [3]), ("state", []), ("state", {})]),
        {**ERROR, "state": {"message": 1, "hint": None}},
        {**ERROR, "state": {"message": "no", "hint": 1}},
        {"event": "error"},
        {"event": "crash"},
        {"event": "crash", "traceback": ""},
        {"event": "out-of-memory", "limit": None},
        {"event": ["result"]},
    ],
    ids=lambda answer: json.dumps(answer)[:60],
)
def test_answer_that_makes_no_sense(answer: dict[str, Any]) -> None:
    """An answer with a part missing or of a wrong type costs one EngineCrashed, and nothing else."""
    with pytest.raises(EngineCrashed):
        ending(answer).result()


def test_error_of_unknown_class_is_an_engine_error() -> None:
    """A worker can't have its caller make an object of any other class than an error's."""
    with pytest.raises(EngineError) as caught:
        ending({**ERROR, "class": "annotations"}).result()
    assert caught.value.message == "no"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=4,
    ),
    st.sampled_from([(RESULT, key) for key in RESULT] + [(ERROR, key) for key in ERROR]),
)
def test_any_answer_gives_a_result_or_an_error(value: object, place: tuple[dict[str, Any], str]) -> None:
    """Whatever stands at whatever place of an answer: a result that can be used, or an error of ours; either can be shown."""
    document, key = place
    try:
        shown = str(ending({**document, key: value}).result().exit_status)
    except WasmociError as error:
        shown = str(error)
    assert shown


@pytest.mark.parametrize(
    "error",
    [
        InvalidSpec("found 3", source="config.json", path="$.x"),
        EngineCrashed("gone", signal=11, stderr="bye", hint="x"),
    ],
)
def test_errors_are_the_same_after_the_way(error: WasmociError) -> None:
    """An error comes out as it went in."""
    (message,) = Decoder().feed(encode(error_message(error)))
    with pytest.raises(type(error)) as caught:
        ending(message).result()
    assert (str(caught.value), caught.value.args, vars(caught.value)) == (str(error), error.args, vars(error))


@given(
    st.builds(
        ExecutionResult,
        exit_code=st.integers(1, 2**32 - 1),
        reason=st.sampled_from(ExitReason),
        engine=st.just("puppet"),
        duration=st.floats(0, 1e6),
        message=st.text(),
        backtrace=st.lists(st.text(), max_size=3).map(tuple),
    ),
    st.integers(1, 50),
)
def test_results_are_the_same_after_the_way(result: ExecutionResult, size: int) -> None:
    """A result comes out as it went in, however its bytes are cut in pieces."""
    decoder, data = Decoder(), encode(result_message(result))
    found = [message for start in range(0, len(data), size) for message in decoder.feed(data[start : start + size])]
    assert [ending(message).result() for message in found] == [result]


@pytest.mark.parametrize("number", sorted(FAULTS))
def test_fault_is_a_crash(number: int) -> None:
    """A process that dies of a fault of its own is an engine that crashed."""
    with pytest.raises(EngineCrashed) as caught:
        ending(None, status=-number, stderr=b"x" * 5000 + b"\xff").result()
    assert caught.value.message == f"puppet crashed with {signal.Signals(number).name} while it ran the guest"
    assert (caught.value.signal, caught.value.stderr) == (number, "x" * 1999 + "\ufffd")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({**RESULT, "reason": "trapped", "exit_code": 134}, 0),
        (None, -signal.SIGABRT),
        (None, -signal.SIGSEGV),
        (None, 3),
        ({"event": "crash", "traceback": "RuntimeError: no memory"}, 0),
        ({"event": "out-of-memory", "limit": LIMIT}, 0),
    ],
    ids=["trap", "abort", "segfault", "exit", "exception", "told"],
)
def test_bad_end_of_an_exhausted_process_is_out_of_memory(answer: dict[str, Any] | None, status: int) -> None:
    """A process that was seen to hold all that its guest may have, and ends badly, was out of memory."""
    result = ending(answer, status=status, exhausted=LIMIT).result()
    assert (result.reason, result.exit_code, result.engine) == (ExitReason.OUT_OF_MEMORY, 137, "puppet")
    assert result.message.startswith(f"it was refused memory by its limit of {LIMIT} bytes")


@pytest.mark.parametrize(
    ("answer", "status", "expected"),
    [
        ({**RESULT, "exit_code": 3}, 0, (ExitReason.EXITED, 3)),
        (None, -signal.SIGTERM, (ExitReason.SIGNALED, 143)),
        (None, -signal.SIGKILL, (ExitReason.SIGNALED, 137)),
    ],
    ids=["exit code", "terminated", "killed"],
)
def test_other_ends_of_an_exhausted_process_stay(
    answer: dict[str, Any] | None, status: int, expected: tuple[ExitReason, int]
) -> None:
    """A guest that exits by itself or is stopped from outside did not die of its memory limit."""
    result = ending(answer, status=status, exhausted=LIMIT).result()
    assert (result.reason, result.exit_code) == expected

"""Results: what a code means, and how a bad end is told."""

from __future__ import annotations

import pickle

import attrs
import pytest

from wasmoci.errors import EngineCrashed, InvalidModule, InvalidSpec, WasmociError
from wasmoci.limits import Limits
from wasmoci.result import ExecutionResult, ExitReason, GuestFailed

EXITED, TRAPPED = ExitReason.EXITED, ExitReason.TRAPPED


def result(code: int, reason: ExitReason = EXITED, **fields: object) -> ExecutionResult:
    """A result on an engine of ours."""
    return ExecutionResult(exit_code=code, reason=reason, engine="wasm3", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "status"),
    [(0, 0), (1, 1), (7, 7), (255, 255), (256, 255), (257, 1), (512, 255), (2**32 - 1, 255), (2**31, 255), (300, 44)],
)
def test_exit_status_has_eight_bits(code: int, status: int) -> None:
    """A code is cut to 8 bits, and a failure never becomes a success by that."""
    assert result(code).exit_status == status


@pytest.mark.parametrize(
    ("code", "reason", "ok"),
    [(0, EXITED, True), (1, EXITED, False), (256, EXITED, False), (0, TRAPPED, False), (0, ExitReason.SIGNALED, False)],
)
def test_ok_is_exited_with_zero(code: int, reason: ExitReason, ok: bool) -> None:  # noqa: FBT001
    """Only a guest that exited with 0 went well."""
    assert result(code, reason).ok is ok


def test_check_returns_a_good_result() -> None:
    """A result that is fine can be used in the same breath."""
    fine = result(0)
    assert fine.check() is fine


@pytest.mark.parametrize(
    ("failed", "message"),
    [
        (result(3), "the guest exited with 3 (engine wasm3)"),
        (
            result(134, TRAPPED, message="unreachable", backtrace=("inner", "outer")),
            "the guest trapped (engine wasm3)\nunreachable\n  at inner\n  at outer",
        ),
        (
            result(124, ExitReason.TIMED_OUT, message="it ran past its time limit of 1 s"),
            "the guest ran past its time limit (engine wasm3)\nit ran past its time limit of 1 s",
        ),
        (result(137, ExitReason.OUT_OF_MEMORY), "the guest ran out of memory (engine wasm3)"),
        (result(143, ExitReason.SIGNALED), "the guest was stopped by signal 15 (engine wasm3)"),
        (
            result(1, stderr=b"bad \xff input\n\n"),
            "the guest exited with 1 (engine wasm3)\nits standard error ends with:\nbad \ufffd input",
        ),
        (
            result(1, stderr=b"x" * 9999),
            "the guest exited with 1 (engine wasm3)\nits standard error ends with:\n" + "x" * 2000,
        ),
    ],
    ids=["exit", "trap", "time", "memory", "signal", "stderr", "long stderr"],
)
def test_check_tells_how_it_ended(failed: ExecutionResult, message: str) -> None:
    """The exception says how the guest ended, with the end of what it complained of, and has the result."""
    with pytest.raises(GuestFailed) as caught:
        failed.check()
    assert (str(caught.value), caught.value.result) == (message, failed)


def test_result_is_frozen() -> None:
    """A result doesn't change any more."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        result(0).exit_code = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "error",
    [
        WasmociError("what", hint="do"),
        InvalidSpec("what", source="config.json", path="$.x", hint="do"),
        InvalidModule("what", source="app.wasm", offset=3),
        EngineCrashed("what", signal=11, stderr="bye"),
        GuestFailed("what", result=result(3)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_can_be_pickled(error: WasmociError) -> None:
    """Errors cross processes whole, as test runners and process pools need it."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_hint_is_a_line_of_its_own() -> None:
    """What to do about it comes after what is wrong."""
    assert str(WasmociError("what is wrong", hint="what to do")) == "what is wrong\nwhat to do"
    assert str(WasmociError("what is wrong")) == "what is wrong"


@pytest.mark.parametrize("field", ["time", "memory", "fuel"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_limits_are_more_than_nothing(field: str, value: float) -> None:
    """A limit of nothing is an error: None is no limit."""
    with pytest.raises(ValueError, match=f"{field} is .*; expected more than 0, or None for no limit"):
        Limits(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("limits", [{"time": "3"}, {"memory": "8Mi"}, {"memory": 8e6}, {"fuel": 1.5}, {"fuel": True}])
def test_limits_are_numbers(limits: dict[str, object]) -> None:
    """A text, as the command takes one, is told from a number, and half a byte from whole ones."""
    (field,) = limits
    with pytest.raises(TypeError, match=rf"{field} is .*; an? (number|integer) was expected, or None for no limit"):
        Limits(**limits)

"""Functions of the caller's that take a guest's output."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from wasmoci.stdio import Stdio, Stream
from wasmoci.testing.conformance.base import Conformance
from wasmoci.wasi import ProcExit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.testing.conformance.base import Runner

_SOON = 0.05  # seconds until the signal

# Among them those that a host function could take for an errno, an engine for a trap, and the WASI host for an exit.
_RAISED = (
    KeyError("the caller's own"),
    ValueError("not this"),
    RuntimeError("no trap"),
    MemoryError("no room"),
    BlockingIOError("not now"),
    BrokenPipeError("nobody"),
    ProcExit(0),
    SystemExit(3),
    KeyboardInterrupt(),
)


class FunctionsOfTheCaller(Conformance):
    """They are called with every chunk, and what they raise is the caller's."""

    def test_functions_take_the_output(self, run: Runner) -> None:
        """A function gets every byte in order; one function for both streams gets them in the order of writing."""
        chunks: list[bytes] = []
        result = run("streams", stdio=Stdio(stdin=b"", stdout=chunks.append, stderr=chunks.append))
        output = b"".join(chunks)
        assert output == b"out 1\nerr 1\nout 2\nerr 2\n", f"the function was given {output!r}"
        assert result.stdout is None, "the output went to a function, and the result has it too"

    @pytest.mark.parametrize("error", _RAISED, ids=lambda error: type(error).__name__)
    @pytest.mark.parametrize("stream", ["stdout", "stderr"])
    def test_error_of_a_function_reaches_the_caller(
        self, run: Runner, capfd: pytest.CaptureFixture[str], error: BaseException, stream: str
    ) -> None:
        """It ends the run and comes out of it as it was raised: no errno for the guest, no trap, not printed, not called again."""
        cause = Exception("why")
        error = type(error)(*error.args)  # with no traceback yet
        calls = 0

        def refuse(_: bytes) -> None:
            nonlocal calls
            calls += 1
            raise error from cause

        targets: dict[str, Any] = {"stdout": Stream.NULL, "stderr": Stream.NULL, stream: refuse}
        made = run.bundle("stubborn", "1" if stream == "stdout" else "2")
        with pytest.raises(type(error)) as caught:
            # Not by the runner, which has its own word for SystemExit.
            run.handler.execute(made.spec, made.rootfs, stdio=Stdio(stdin=b"", **targets))
        assert caught.value is error, f"the function raised {error!r}, and another came out: {caught.value!r}"
        chained = (error.__cause__, error.__context__)
        assert chained == (cause, None), f"the function's error was chained to others on its way: {chained}"
        last = traceback.extract_tb(error.__traceback__)[-1].name
        assert last == "refuse", f"the traceback ends in {last!r}; where the function raised it is lost"
        assert calls == 1, f"after its error the function was called {calls - 1} times more"
        captured = capfd.readouterr()
        assert captured.out + captured.err == "", f"the error was printed: {captured.out + captured.err!r}"


class _Alarm(BaseException):
    """What a signal's handler of the caller's raises."""


class SignalsOfTheCaller(Conformance):
    """Their handlers may raise while the guest calls its host: before the first line of a call-back, and in the midst of it."""

    def test_signal_in_a_call_ends_no_guest_well(self, run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
        """A guest in whose call a handler raises is ended: by what the handler raised, or by an error, and not with exit code 0."""
        if threading.current_thread() is not threading.main_thread():
            pytest.skip("signals are handled on the main thread, and this isn't it")
        made = run.bundle("talkative")
        monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # what a call-back of ctypes raises goes there
        try:
            with _alarm() as rung:
                result = run.handler.execute(
                    made.spec, made.rootfs, stdio=Stdio(stdin=b"", stdout=lambda _: None, stderr=Stream.NULL)
                )
        except Exception:  # noqa: BLE001  an engine may have an error of its own for it
            return
        except _Alarm:
            return
        assert not (rung and result.ok), "a signal's handler raised while the guest ran, and the guest ended with 0"


@contextlib.contextmanager
def _alarm() -> Iterator[list[int]]:
    """Have a signal soon, whose handler raises; it is listed when it has come."""
    rung: list[int] = []

    def ring(number: int, _frame: object) -> None:
        rung.append(number)
        raise _Alarm

    before = signal.signal(signal.SIGUSR1, ring)
    timer = threading.Timer(_SOON, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
    timer.start()
    try:
        yield rung
    finally:
        timer.cancel()
        timer.join()
        signal.signal(signal.SIGUSR1, before)

"""Tests functions of the caller's that receive a guest's output, and signal handlers that raise during a run."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from wasmoci.errors import EngineError
from wasmoci.isolation.handler_import import reference_of
from wasmoci.stdio import Stdio, Stream
from wasmoci.testing.conformance.base import Conformance
from wasmoci.wasi import ProcExit

if TYPE_CHECKING:
    from wasmoci.testing.conformance.base import Runner

_SOON = 0.05  # seconds until the signal

# Some of these could be mistaken for an errno by a host function, for a trap by an engine, or for an exit by the WASI
# host.
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
    """The caller's functions get every chunk, and their exceptions reach the caller."""

    def test_functions_take_the_output(self, run: Runner) -> None:
        """A function gets every byte in order; one function for both streams gets them in the order of the writes."""
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
        """An exception ends the run and reaches the caller unchanged: not an errno for the guest, not a trap, not printed."""
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
            # Not through the runner, which treats SystemExit differently.
            run.handler.execute(made.spec, made.rootfs, stdio=Stdio(stdin=b"", **targets))
        assert caught.value is error, f"the function raised {error!r}, and another came out: {caught.value!r}"
        chained = (error.__cause__, error.__context__)
        assert chained == (cause, None), f"the function's error was chained to others on its way: {chained}"
        last = traceback.extract_tb(error.__traceback__)[-1].name
        assert last == "refuse", f"the traceback ends in {last!r}; where the function raised it is lost"
        assert calls == 1, f"after its error the function was called {calls - 1} times more"
        captured = capfd.readouterr()
        assert captured.out + captured.err == "", f"the error was printed: {captured.out + captured.err!r}"


# A separate program, because an engine may crash. It prints how the run ended.
_PROGRAM = """
import importlib.util, json, os, signal, sys, threading
path, reference, file, bundle = json.loads(sys.argv[1])
sys.path[:] = path
import wasmoci
from wasmoci.handlers.base import from_reference

class Alarm(BaseException):
    pass

def ring(*_):
    raise Alarm

try:
    handler = from_reference(reference)
except ImportError:  # a module that pytest has imported by its file
    spec = importlib.util.spec_from_file_location("handlers_by_their_file", file)
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handler = from_reference(spec.name + ":" + reference.partition(":")[2])
made = wasmoci.Bundle.load(bundle)
stdio = wasmoci.Stdio(stdin=b"", stdout=lambda _: None, stderr=wasmoci.Stream.NULL)
signal.signal(signal.SIGUSR1, ring)
timer = threading.Timer(SOON, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
timer.start()
try:
    result = handler.execute(made.spec, made.rootfs, stdio=stdio)
    said = f"{result.reason.name} with {result.exit_code}" + (" before the signal" if timer.is_alive() else "")
except BaseException as error:
    said = type(error).__name__
print(said, flush=True)
os._exit(0)
""".replace("SOON", str(_SOON))


class SignalsOfTheCaller(Conformance):
    """The caller's signal handlers may raise while the guest calls its host, before or within a callback."""

    def test_signal_in_a_call_ends_no_guest_well(self, run: Runner) -> None:
        """A guest is ended if a handler raises during its call: with that exception or another error, not with exit code 0."""
        try:
            reference = reference_of(run.handler)
        except EngineError as error:
            pytest.skip(f"{error.message}; {error.hint}")
        made = run.bundle("talkative")
        path = [entry for entry in sys.path if isinstance(entry, str)]
        request = json.dumps([path, reference, inspect.getfile(type(run.handler)), str(made.path)])
        done = subprocess.run(  # noqa: S603  our own interpreter
            [sys.executable, "-c", _PROGRAM, request],
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout.strip()
        assert done.returncode == 0, (
            f"a signal's handler raised while the guest called its host, and the process ended with {done.returncode}:\n{done.stderr}"
        )
        assert said != "EXITED with 0", (
            "a signal's handler raised while the guest called its host, and the guest ended with 0"
        )

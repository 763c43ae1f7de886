"""Tests how guests end, and the result of each kind of end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs
import pytest

from wasmoci.result import ExitReason
from wasmoci.testing.conformance.base import Conformance, ended

if TYPE_CHECKING:
    from wasmoci.oci.bundle import Bundle
    from wasmoci.testing.conformance.base import Runner

TRAPPED = 134


class Exits(Conformance):
    """A guest returns or exits."""

    def test_exit_codes_arrive(self, run: Runner) -> None:
        """Every code of 8 bits is in the result, with EXITED."""
        made = run.bundle("exit", "0")
        wrong: dict[int, str] = {}
        for code in (0, 1, 2, 7, 63, 64, 100, 124, 125, 126, 127, 128, 134, 137, 143, 254, 255):
            result = run.execute(_with_argument(made, str(code)))
            if (result.reason, result.exit_code) != (ExitReason.EXITED, code):
                wrong[code] = ended(result)
        assert not wrong, f"the guest exited with a code, and the result says: {wrong}"

    @pytest.mark.parametrize("code", [256, 1000, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
    def test_exit_codes_are_not_cut_to_8_bits(self, run: Runner, code: int) -> None:
        """A larger code is in the result as well; ``exit_status`` truncates it."""
        result = run("exit", str(code))
        assert (result.reason, result.exit_code) == (ExitReason.EXITED, code), f"exit({code}) gave {ended(result)}"

    def test_return_is_exit_0(self, run: Runner) -> None:
        """A guest that returns from its entry function has exited with 0."""
        result = run("return")
        assert (result.reason, result.exit_code) == (ExitReason.EXITED, 0), f"a return gave {ended(result)}"

    def test_exit_0_is_no_trap(self, run: Runner) -> None:
        """``proc_exit(0)`` is a normal exit."""
        result = run("exit", "0")
        assert (result.reason, result.exit_code) == (ExitReason.EXITED, 0), f"proc_exit(0) gave {ended(result)}"

    def test_start_function_may_exit(self, run: Runner) -> None:
        """``proc_exit`` in a module's start function is a normal exit, before the entry function."""
        result = run("exit_in_start")
        found = (result.reason, result.exit_code)
        assert found == (ExitReason.EXITED, 8), f"proc_exit(8) in the start function gave {ended(result)}"

    def test_output_before_an_exit_arrives(self, run: Runner) -> None:
        """Output before ``proc_exit`` isn't lost."""
        result = run("exit", "3")
        assert result.stdout == b"leaving\n", f"stdout is {result.stdout!r}; what was written before the exit is lost"

    def test_plain_exit_has_no_message(self, run: Runner) -> None:
        """Only guests that fail have a message and a backtrace."""
        result = run("exit", "3")
        assert (result.message, result.backtrace) == ("", ()), f"an exit has a message or frames: {result.message!r}"

    def test_result_names_the_handler(self, run: Runner) -> None:
        """``engine`` is the handler's name."""
        result = run("return")
        assert result.engine == run.handler.name, f"the result's engine is {result.engine!r}"

    def test_duration_is_measured(self, run: Runner) -> None:
        """The duration is the guest's: a guest that computes for a fifth of a second has taken that, and no more than the call."""
        made = run.bundle("spin", "200")
        began = time.monotonic()
        result = run.execute(made)
        whole = time.monotonic() - began
        assert 0.2 <= result.duration <= whole, (
            f"the guest ran for 0.2 to {whole:.3f} s; the result has {result.duration}"
        )


class Traps(Conformance):
    """A guest traps."""

    @pytest.mark.parametrize("how", ["unreachable", "divide", "memory", "table", "stack"])
    def test_trap_is_reported_as_a_trap(self, run: Runner, how: str) -> None:
        """Every kind of trap is TRAPPED with 134, and doesn't affect this process."""
        result = run("trap", how)
        found = (result.reason, result.exit_code)
        assert found == (ExitReason.TRAPPED, TRAPPED), f"a trap ({how}) gave {ended(result)}; expected TRAPPED with 134"

    def test_trap_has_a_message(self, run: Runner) -> None:
        """The message is the engine's own, on one line, and distinguishes two traps."""
        messages = {how: run("trap", how).message for how in ("unreachable", "divide")}
        assert all(messages.values()), f"a trap has no message: {messages}"
        assert messages["unreachable"] != messages["divide"], f"different traps have one message: {messages}"
        assert not any("\n" in message for message in messages.values()), f"a message isn't one line: {messages}"

    def test_trap_has_a_backtrace(self, run: Runner) -> None:
        """The backtrace has the guest's frames, innermost first, with the names in the name section."""
        if not self.gives_backtraces:
            pytest.skip(f"{run.handler.name} is said to give no backtraces")
        frames = run("trap", "unreachable").backtrace
        assert frames, "the result of a trap has no backtrace"
        assert "fault" in frames[0], f"the innermost frame is {frames[0]!r}; the guest's function 'fault' trapped"
        outer = frames[1:]
        assert any("attempt" in frame for frame in outer), f"the frames are {frames}; 'attempt' had called 'fault'"

    def test_output_before_a_trap_arrives(self, run: Runner) -> None:
        """Output before a trap isn't lost, on either stream."""
        result = run("trap", "unreachable")
        assert result.stdout == b"before\n", f"stdout is {result.stdout!r}; what was written before the trap is lost"
        assert result.stderr == b"about to\n", f"stderr is {result.stderr!r}; what was written before the trap is lost"

    def test_handler_works_after_a_trap(self, run: Runner) -> None:
        """The next guest isn't affected by a trap."""
        run("trap", "memory")
        output = run.output("args", "next")
        assert output == b"/app.wasm\0next\0", f"after a trap the next guest wrote {output!r}"


def _with_argument(made: Bundle, argument: str) -> Bundle:
    process = made.spec.process
    assert process is not None
    spec = attrs.evolve(made.spec, process=attrs.evolve(process, args=(process.args[0], argument)))
    return attrs.evolve(made, spec=spec)

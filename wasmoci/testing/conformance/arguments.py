"""Tests the guest's arguments, its environment and its entry function."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wasmoci.errors import EntrypointError, UnsupportedWorkload
from wasmoci.result import ExitReason
from wasmoci.testing.conformance.base import Conformance, ended, parted

if TYPE_CHECKING:
    from wasmoci.testing.conformance.base import Runner


def _strings(output: bytes) -> list[str]:
    """What the guests ``args`` and ``environ`` write: strings that end in a NUL."""
    return [part.decode(errors="surrogateescape") for part in output.split(b"\0")[:-1]]


class ArgumentsAndEnvironment(Conformance):
    """The guest gets ``process.args`` and ``process.env`` unchanged."""

    @pytest.mark.parametrize(
        "args",
        [
            [],
            ["a b", "--x=y", "'\"$HOME\\n"],
            ["ü☃", "日本語"],
            ["", "", "last"],
            [" lead", "trail ", "\t", "line\nline"],
        ],
        ids=["none", "spaces-and-quotes", "unicode", "empty", "blanks"],
    )
    def test_arguments_arrive_unchanged(self, run: Runner, args: list[str]) -> None:
        """The program first, then every argument, with nothing added, dropped, split or trimmed."""
        found = _strings(run.output("args", *args))
        assert found == ["/app.wasm", *args], f"argv is {found}; expected process.args as it is"

    def test_many_and_long_arguments_arrive(self, run: Runner) -> None:
        """A few hundred arguments, one of them of 60,000 bytes."""
        args = ["x" * 60_000, *(str(number) for number in range(300))]
        expected = "\0".join(["/app.wasm", *args, ""]).encode()
        wrong = parted(run.output("args", *args), expected)
        assert not wrong, f"as arguments, each ended by a NUL, arrived {wrong}"

    def test_function_is_cut_from_argv(self, run: Runner) -> None:
        """Of ``/app.wasm#_start`` the guest sees ``/app.wasm``."""
        found = _strings(run.output("args", "x#y", entry="/app.wasm#_start"))
        assert found == ["/app.wasm", "x#y"], f"argv is {found}; '#function' has to be cut from argv[0], and only there"

    @pytest.mark.parametrize(
        "env",
        [
            ["B=2", "A=1", "C=3"],
            ["SPACES=  x  ", "TAB=\tx\t", "LINES=a\nb\n"],
            ["EQUALS=1=2==", "MORE==x"],
            ["EMPTY=", "LAST=x"],
            ["TWICE=1", "OTHER=x", "TWICE=2"],
            ["UNICODE=ü☃", "QUOTED=\"'$HOME"],
            [],
        ],
        ids=["order", "nothing-trimmed", "equals-signs", "empty-values", "duplicates", "unicode", "none"],
    )
    def test_environment_arrives_unchanged(self, run: Runner, env: list[str]) -> None:
        """The variables of the spec arrive in order, each split at its first ``=``, without trimming."""
        found = _strings(run.output("environ", env=env))
        assert found == env, f"the environment is {found}; expected process.env as it is: {env}"

    def test_environment_of_the_host_is_not_passed_on(self, run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
        """Variables of this process aren't passed to the guest."""
        monkeypatch.setenv("WASMOCI_CONFORMANCE_SECRET", "secret")
        found = _strings(run.output("environ", env=["ONLY=this"]))
        assert found == ["ONLY=this"], f"the environment is {found}; the process's own variables reached the guest"


class EntryFunction(Conformance):
    """The right function is called."""

    def test_named_function_is_called(self, run: Runner) -> None:
        """``#leave`` calls that export and no other, even in a program with ``_start``."""
        result = run("functions", entry="/app.wasm#leave")
        assert result.exit_code == 9, f"'#leave' exits with 9, and {ended(result)}: another function was called"
        output = run.output("start", entry="/app.wasm#other")
        assert output == b"start\nother\n", f"the output is {output!r}; expected the start function, then 'other' alone"

    def test_result_of_a_function_is_no_exit_code(self, run: Runner) -> None:
        """A function that returns 7 ends with exit code 0; a handler that can't call it raises UnsupportedWorkload."""
        try:
            result = run("functions", entry="/app.wasm#seven")
        except UnsupportedWorkload as error:
            assert "seven" in str(error), f"the function is refused, and the error doesn't name it: {error}"  # noqa: PT017
            return
        assert (result.reason, result.exit_code) == (ExitReason.EXITED, 0), f"a function's result gave {ended(result)}"
        assert result.stdout == b"", f"stdout is {result.stdout!r}; the function writes nothing"

    def test_reactor_is_initialized(self, run: Runner) -> None:
        """``_initialize`` is called before a function of a library, and only once, even if it is that function itself."""
        output = run.output("functions", entry="/app.wasm#greet")
        assert output == b"initialized\n", f"the output is {output!r}; _initialize has to be called first"
        result = run("functions", entry="/app.wasm#_initialize")
        assert result.ok, f"'#_initialize' gave {ended(result)}: it traps when it is called twice"

    def test_start_function_comes_first(self, run: Runner) -> None:
        """A module's start function runs once, before the entry function."""
        output = run.output("start")
        assert output == b"start\nentry\n", f"the output is {output!r}; expected the start function, then _start"

    @pytest.mark.parametrize("function", ["missing", "memory", "add"])
    def test_wrong_function_is_refused(self, run: Runner, function: str) -> None:
        """A name that isn't exported, isn't a function, or takes parameters raises EntrypointError with the name."""
        with pytest.raises(EntrypointError, match=function):
            run("functions", entry=f"/app.wasm#{function}")

    def test_library_without_a_function_is_refused(self, run: Runner) -> None:
        """A module without ``_start`` needs the name of a function."""
        with pytest.raises(EntrypointError, match="_start"):
            run("functions")

    def test_missing_program_is_refused(self, run: Runner) -> None:
        """A program that isn't in the root file system raises EntrypointError with its path."""
        with pytest.raises(EntrypointError, match="nothing_here"):
            run("return", entry="/nothing_here.wasm")

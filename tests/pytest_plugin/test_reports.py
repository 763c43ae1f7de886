"""What a test that fails shows, and comparisons between engines."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from tests.support.requirements import require
from wasmoci import ExitReason
from wasmoci.dispatch import registry
from wasmoci.testing.changes import Changes
from wasmoci.testing.comparison import report_differences
from wasmoci.testing.guest_run import GuestRun

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_failed_test(run: Callable[..., pytest.RunResult]) -> None:
    """A failed test shows its guest's end, trap, output, changes and the dispatcher's decision, and no inside of ours."""
    result = run(
        r"""
        C = '''
        #include <stdio.h>
        int main(void) {
            puts("hello");
            fputs("careful\\n", stderr);
            fclose(fopen("/made", "w"));
            __builtin_trap();
        }
        '''
        def test_it(wasm_run, wasm_c):
            wasm_run(wasm_c(C)).check()
        """,
        "--wasm-engine=wasm3",
    )
    result.stdout.fnmatch_lines(
        [
            ">*wasm_run(wasm_c(C)).check()",
            "E *GuestFailed: the guest trapped (engine wasm3)",
            "test_project.py:11: GuestFailed",
            "*- Wasm guest: trapped, exit code 134 on wasm3 -*",
            "[[]trap[]] unreachable executed",
            "  at *main at 0x*",
            "stdout:",
            "  hello",
            "stderr:",
            "  careful",
            "changed: /made",
            "*: wasm",
            "  because the annotation run.oci.handler=wasm asks for Wasm (rule 3)",
            "  runs on wasm3, isolation jail",
            "engines",
            "  -> wasm3  it was named",
            "module",
            "  core module, *",
            "guest",
            "  limits       time 30.0, memory 268435456",
        ],
        consecutive=False,
    )
    result.stdout.no_fnmatch_line("*result.py*")


def test_passed_test_shows_nothing(run: Callable[..., pytest.RunResult], guest: Callable[..., Path]) -> None:
    """Nor does one that failed after all its guests were shown to be as they should, with --show-capture=no."""
    test = f"def test_it(wasm_run): assert wasm_run({str(guest('show'))!r}).exit_code == 1"
    assert "Wasm guest" in run(test).stdout.str()
    assert "Wasm guest" not in run(test, "--show-capture=no").stdout.str()
    assert "Wasm guest" not in run(test.replace("== 1", "== 0"), "-rA").stdout.str()


def test_unequal_runs(run: Callable[..., pytest.RunResult], guest: Callable[..., Path]) -> None:
    """Two runs that aren't equal are told apart by a diff."""
    result = run(
        f"""
        def test_it(wasm_run):
            assert wasm_run({str(guest("exit"))!r}, args=["1"]) == wasm_run({str(guest("exit"))!r}, args=["2"])

        def test_equal(wasm_run):
            assert wasm_run({str(guest("show"))!r}) == wasm_run({str(guest("show"))!r}, engine="wasmer")
        """,
        "--wasm-engine=wasm3",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["E *the guests did not do the same", "E *--- left", "E *+++ right", "E *-exit code: 1", "E *+exit code: 2"]
    )
    result.stdout.fnmatch_lines(["*- Wasm guest 1 of 2: exited with 1 on wasm3 -*", "*- Wasm guest 2 of 2: *"])


def test_engines_that_agree(run: Callable[..., pytest.RunResult], guest: Callable[..., Path]) -> None:
    """Each engine starts with the same files, also those that are bound into it, but for a pipe; the test goes on with the result."""
    result = run(
        f"""
        import os

        def test_root(wasm_compare):
            run = wasm_compare({str(guest("files"))!r}, args="append /log x , read /log".split(), files={{"/log": "was "}})
            assert run.check().files == {{"/log": b"was x"}}

        def test_mount(wasm_compare, tmp_path):
            os.mkfifo(tmp_path / "pipe")
            (tmp_path / "log").write_text("was ")
            run = wasm_compare({str(guest("files"))!r}, args="append /d/log x".split(), mounts=[(tmp_path, "/d")])
            assert run.check().files == {{"/d/log": b"was x"}}
            assert (tmp_path / "log").read_text() == "was "

        def test_bundle(wasm_compare, wasm_bundle):
            bundle = wasm_bundle({str(guest("files"))!r}, files={{"/log": "was "}})
            assert wasm_compare(bundle, args="append /log x".split()).check().files == {{"/log": b"was x"}}

        def test_chance(wasm_compare):
            assert wasm_compare({str(guest("chance"))!r}, deterministic=True).ok
        """
    )
    result.assert_outcomes(passed=4)


def test_engines_that_disagree(run: Callable[..., pytest.RunResult], guest: Callable[..., Path]) -> None:
    """The differences are shown, but for what is to be ignored."""
    result = run(
        f"""
        def test_it(wasm_compare):
            wasm_compare({str(guest("chance"))!r}, args=["wait"])

        def test_ignored(wasm_compare):
            wasm_compare({str(guest("chance"))!r}, args=["wait"], ignore=["stdout"])
        """
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *the engines don't agree; wasmtime differs from the others:",
            "E *--- wasmtime",
            "E *+++ wasmer",
            "E *-  random *",
        ]
    )


def test_engines_to_compare_missing(
    run: Callable[..., pytest.RunResult], without: Callable[..., None], guest: Callable[..., Path]
) -> None:
    """Where the other engines aren't installed, a comparison says what to install, or fails where it may not be skipped."""
    without("wasmer", "wasm3")
    test = f"def test_it(wasm_compare): wasm_compare({str(guest('show'))!r})"
    result = run(test)
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(
        ["SKIPPED * a comparison takes two engines, and has wasmtime; wasmer: *; pip install *"]
    )
    run(test, "--wasm-strict").assert_outcomes(failed=1)
    run(test, "--wasm-strict", "--wasm-engine=wasmtime").assert_outcomes(skipped=1)


def test_no_engines_to_compare(run: Callable[..., pytest.RunResult], without: Callable[..., None]) -> None:
    """Without any engine, none of which could assemble a text, a comparison is skipped as every test."""
    without(*registry.default().names())
    result = run("def test_it(wasm_compare): wasm_compare('(module)')")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED * a comparison takes two engines, and has none; wasmtime: *"])


def test_nothing_to_compare(run: Callable[..., pytest.RunResult]) -> None:
    """With one engine alone a comparison is skipped, and says why the others were left out."""
    result = run(
        """
        SIMD = '(module (memory 1) (func (export "_start") (v128.store (i32.const 0) (v128.const i32x4 1 2 3 4))))'
        def test_it(wasm_compare):
            wasm_compare(SIMD)
        """,
        "--wasm-engine=wasm3",
        "--wasm-engine=wasmtime",
    )
    result.assert_outcomes(skipped=1)
    assert (
        "a comparison takes two engines, and has wasmtime; wasm3 can't run it: /app.wasm: needs simd"
        in result.stdout.str()
    )


def made(engine: str, **parts: object) -> GuestRun:
    """A run that somebody made up."""
    values = {"exit_code": 0, "reason": ExitReason.EXITED, "stdout": b"", "stderr": b""} | parts
    return GuestRun(engine=engine, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"exit_code": 1}, {}, ["-exit code: 1", "+exit code: 0"]),
        ({"stdout": b"a\nb\n"}, {"stdout": b"a\nc\n"}, ["-  b", "+  c"]),
        ({"stderr": b"a"}, {"stderr": b"a\n"}, ["-  (no newline at the end)"]),
        ({"stdout": b"\xff\x00"}, {"stdout": b"\xff"}, ["-  00000000  ff 00", "+  00000000  ff"]),
        ({"stdout": b"\x1b[1m\r\n"}, {"stdout": b"x\n"}, ["-  \\x1b[1m\\r", "+  x"]),
        ({"changes": Changes(files={"/x": b"1\n"})}, {}, ["-file /x:", "-  1"]),
        ({"changes": Changes(directories=("/x",))}, {}, ["-directory /x"]),
        ({"changes": Changes(links={"/x": "y"})}, {}, ["-link /x -> y"]),
        ({"changes": Changes(removed=("/x",))}, {}, ["-removed /x"]),
        ({"message": "a trap", "duration": 1.0, "backtrace": ("x",)}, {}, []),
    ],
)
def test_differences(first: dict[str, object], second: dict[str, object], expected: list[str]) -> None:
    """Everything that a user would notice counts, and nothing else; a diff shows it."""
    lines = report_differences([made("a", **first), made("b", **second)]).splitlines()
    assert [line for line in lines if line in expected] == expected
    assert bool(lines) == bool(expected)


def test_who_agrees() -> None:
    """The heading says who is alone."""
    runs = [made("a"), made("b", exit_code=1), made("c")]
    assert report_differences(runs).startswith("the engines don't agree; a, c have the same result, and others differ:")


@pytest.mark.parametrize("ignore", ["stderr", "files", "/var"])
def test_ignored(ignore: str) -> None:
    """An output, all files, or those below a directory don't count when they are ignored."""
    changes = Changes(files={"/var/x": b"1"}, directories=("/var/y",), links={"/var/l": "x"}, removed=("/var/z",))
    differing = {"stderr": b"x"} if ignore == "stderr" else {"changes": changes}
    runs = [made("a", **differing), made("b")]
    assert report_differences(runs) != ""
    assert report_differences(runs, [ignore]) == ""


def test_ignored_by_a_wrong_name() -> None:
    """What can't be ignored is refused."""
    with pytest.raises(ValueError, match="'stdio'; stdout, stderr, files or an absolute guest path"):
        report_differences([made("a"), made("b")], ["stdio"])


def test_snapshots(run: Callable[..., pytest.RunResult], pytester: pytest.Pytester, guest: Callable[..., Path]) -> None:
    """One snapshot serves all engines and is readable; a run that differs fails against it."""
    require(importlib.util.find_spec("syrupy"), "snapshots need syrupy: pip install syrupy")
    test = f"""
        import pytest
        @pytest.mark.parametrize("name", ["x", "y"])
        def test_it(wasm_run, wasm_snapshot, name):
            assert wasm_run({str(guest("show"))!r}, args=[name]) == wasm_snapshot
            assert wasm_run({str(guest("show"))!r}).out == wasm_snapshot(name="output")
        """
    run(test, "--snapshot-update").assert_outcomes(passed=6)
    text = pytester.path.joinpath("__snapshots__", "test_project.ambr").read_text(encoding="utf-8")
    assert (
        "# name: test_it[x]\n  exit code: 0\n  reason: exited\n  stdout:\n    arg 0: /app.wasm\n    arg 1: x\n" in text
    )
    assert text.count("# name: ") == 4
    run(test).assert_outcomes(passed=6)
    run(test.replace("args=[name]", "args=['z']")).assert_outcomes(failed=6)


def test_failed_fixture(run: Callable[..., pytest.RunResult], guest: Callable[..., Path]) -> None:
    """A guest that fails in a fixture is shown as well."""
    result = run(
        f"""
        import pytest

        @pytest.fixture
        def output(wasm_run):
            return wasm_run({str(guest("exit"))!r}, args=["3"]).check().out

        def test_it(output): pass
        """,
        "--wasm-engine=wasmtime",
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*- Wasm guest: exited with 3 on wasmtime -*"])

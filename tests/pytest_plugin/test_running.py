"""Fixtures that build and run guests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Run = "Callable[..., pytest.RunResult]"


def test_one_expression(run: Callable[..., pytest.RunResult], guest: Callable[..., Path], tmp_path: Path) -> None:
    """A guest with arguments, variables and input, in one expression, on each engine."""
    (tmp_path / "data").mkdir()
    result = run(
        f"""
        def test_show(wasm_run):
            run = wasm_run({str(guest("show"))!r}, args=["--name", "ü"], env={{"A": "1=2"}}, annotations={{"run.oci.handler": "wasm"}})
            assert run.ok and run.check() is run
            assert run.out == "arg 0: /app.wasm\\narg 1: --name\\narg 2: ü\\nenv: A=1=2\\n"
            assert run.err == ""

        def test_input(wasm_run):
            assert wasm_run({str(guest("cat"))!r}, stdin=b"in").stdout == b"in"

        def test_code(wasm_run, wasm_engine):
            run = wasm_run({str(guest("exit"))!r}, args=["7"])
            assert (run.exit_code, run.reason.name, run.engine) == (7, "EXITED", wasm_engine)
        """,
        "-v",
    )
    result.assert_outcomes(passed=9)
    names = [f"test_project.py::test_show[[]{engine}[]] PASSED*" for engine in ("wasmtime", "wasmer", "wasm3")]
    result.stdout.fnmatch_lines(names)


KINDS = {
    "no suffix": "wasm_run(written)",
    "path": "wasm_run(pathlib.Path('app.wat'))",
    "name": "wasm_run('app.wat')",
    "bytes": "wasm_run(wasmoci.testing.assemble(TEXT))",
    "text": "wasm_run(TEXT)",
    "c file": "wasm_run('src/app.c')",
    "c text": "wasm_run(wasm_c('int main(void) { return 3; }'))",
    "c files": "wasm_run(wasm_c('src/app.c', 'src/more.c', flags=['-Isrc', '-DMORE']))",
    "c flags": "wasm_run(wasm_c('int main(void) { return CODE; }', flags=['-DCODE=3']))",
    "bundle": "wasm_run(wasm_bundle(TEXT))",
    "directory": "wasm_run(wasm_bundle(TEXT).path)",
    "image": "wasm_run(wasm_image(TEXT))",
}

APP = """
#ifdef MORE
#include <app.h>
int main(void) { return more(); }
#else
int main(void) { return 3; }
#endif
"""


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_programs(run: Callable[..., pytest.RunResult], pytester: pytest.Pytester, kind: str) -> None:
    """A program is named in many ways; relative paths start at the project's root, wherever the tests are run."""
    text = (
        '(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)'
        ' (func (export "_start") (call $exit (i32.const 3))))'
    )
    pytester.path.joinpath("app.wat").write_text(text, encoding="utf-8")
    pytester.mkdir("src").joinpath("app.c").write_text(APP, encoding="utf-8")
    pytester.path.joinpath("src", "app.h").write_text("int more(void);\n", encoding="utf-8")
    pytester.path.joinpath("src", "more.c").write_text(
        "#include <app.h>\nint more(void) { return 3; }\n", encoding="utf-8"
    )
    if kind in ("name", "c file", "c files"):
        pytester.path.joinpath("elsewhere").mkdir()
        pytester._monkeypatch.chdir(pytester.path / "elsewhere")
    result = run(
        f"""
        import pathlib, wasmoci, wasmoci.testing
        TEXT = {text!r}
        def test_it(wasm_run, wasm_bundle, wasm_image, wasm_c, tmp_path):
            written = tmp_path / "app"
            written.write_bytes(wasmoci.testing.assemble(TEXT))
            assert {KINDS[kind]}.exit_code == 3
        """,
        "--wasm-engine=wasmtime",
        "--rootdir",
        str(pytester.path),
        str(pytester.path),
    )
    result.assert_outcomes(passed=1)


FILES = r"""
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void) {
    FILE *file = fopen("/etc/name", "a");
    fputs("more", file);
    fclose(file);
    file = fopen("/data/new", "w");
    fputs("bound", file);
    fclose(file);
    mkdir("/made", 0755);
    symlink("etc/name", "/link");
    return unlink("/old");
}
"""


def test_changes(run: Callable[..., pytest.RunResult], tmp_path: Path) -> None:
    """What a guest wrote, made and removed, in its root and in what was bound into it; nothing else."""
    result = run(
        f"""
        C = {FILES!r}
        def test_changes(wasm_run, wasm_c, tmp_path):
            (tmp_path / "kept").write_text("")
            run = wasm_run(
                wasm_c(C), files={{"/etc/name": "one ", "/old": b"", "/kept": "x"}}, directories=["/data"], mounts=[(tmp_path, "/data")]
            )
            assert run.check().files == {{"/data/new": b"bound", "/etc/name": b"one more"}}
            assert run.changes.directories == ("/made",)
            assert run.changes.links == {{"/link": "etc/name"}}
            assert run.changes.removed == ("/old",)
            assert (tmp_path / "new").read_text() == "bound"

        def test_none(wasm_run, wasm_c):
            run = wasm_run(wasm_c("int main(void) {{ return 0; }}"), files={{"/etc/name": "x"}})
            assert not run.changes
        """
    )
    result.assert_outcomes(passed=6)


def test_image(run: Callable[..., pytest.RunResult], guest: Callable[..., Path]) -> None:
    """An image has the bundle's files, arguments and variables; a run may change them; what it writes is seen."""
    result = run(
        f"""
        import pytest

        def test_show(wasm_run, wasm_image):
            image = wasm_image({str(guest("show"))!r}, args=["a"], env={{"A": "1"}}, annotations={{"x": "y"}})
            assert wasm_run(image).out.startswith("arg 0: /app.wasm\\narg 1: a\\nenv: A=1\\n")
            assert wasm_run(image, args=["b"], env={{"A": "2"}}).out.startswith("arg 0: /app.wasm\\narg 1: b\\nenv: A=2\\n")

        def test_changes(wasm_run, wasm_image, wasm_c, tmp_path):
            image = wasm_image(wasm_c({FILES!r}), files={{"/etc/name": "one ", "/old": ""}}, directories=["/data"])
            files = wasm_run(image, mounts=[(tmp_path, "/data")]).check().files
            assert files == {{"/data/new": b"bound", "/etc/name": b"one more"}}

        def test_too_late(wasm_run, wasm_image):
            with pytest.raises(TypeError, match="files: the bundle or image is there; give it where it is built"):
                wasm_run(wasm_image({str(guest("show"))!r}), files={{}})
            with pytest.raises(TypeError, match="mounts: an image has none; give it to the run"):
                wasm_image({str(guest("show"))!r}, mounts=[])

        def test_mounts(wasm_run, wasm_bundle, tmp_path):
            made = wasm_bundle({str(guest("show"))!r})
            with pytest.raises(TypeError, match="noexec: a mount of a bundle or an image that is there is ro or rw"):
                wasm_run(made, mounts=[(tmp_path, "/data", "ro", "noexec")])
            with pytest.raises(TypeError, match="mounts: found '/a:/b'; "):
                wasm_run(made, mounts=["/a:/b"])
        """
    )
    result.assert_outcomes(passed=12)


def test_wrong_options(run: Callable[..., pytest.RunResult], guest: Callable[..., Path]) -> None:
    """An option that there isn't is refused in the test's own line, and so is a text for a list of them."""
    result = run(
        f"""
        def test_unknown(wasm_run):
            wasm_run({str(guest("show"))!r}, arg=["x"])

        def test_text(wasm_run):
            wasm_run({str(guest("show"))!r}, args="--name x")
        """,
        "--wasm-engine=wasm3",
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["E *WrongOption: arg: there is no such option; one of args, program, *"])
    result.stdout.fnmatch_lines(["test_project.py:2: WrongOption"])
    result.stdout.fnmatch_lines(["E *WrongOption: args is the string '--name x'; a sequence of strings was expected"])


def test_limits(run: Callable[..., pytest.RunResult], guest: Callable[..., Path]) -> None:
    """A guest has the configured limits, unless its test says otherwise."""
    result = run(
        f"""
        def test_time(wasm_run):
            assert wasm_run({str(guest("loop"))!r}).reason.name == "TIMED_OUT"

        def test_memory(wasm_run):
            assert wasm_run({str(guest("allocate"))!r}, args=["abort"]).reason.name == "OUT_OF_MEMORY"
            assert wasm_run({str(guest("allocate"))!r}, args=["abort"], memory=4 << 20).reason.name == "OUT_OF_MEMORY"
        """,
        ini="wasm_timeout = 0.2\nwasm_memory = 2Mi\n",
    )
    result.assert_outcomes(passed=6)


@pytest.mark.parametrize(
    ("ini", "expected"),
    [
        ("wasm_timeout = soon", "wasm_timeout: invalid duration 'soon': *expected*"),
        ("wasm_memory = much", "wasm_memory: invalid size 'much': *expected*"),
        ("wasm_cc = clang '-O2", 'wasm_cc: "clang \'-O2" is no command line: No closing quotation'),
    ],
)
def test_wrong_settings(run: Callable[..., pytest.RunResult], ini: str, expected: str) -> None:
    """A setting that is none is named, with what was expected, once and before the first test."""
    result = run("def test_it(): pass", ini=ini)
    result.stderr.fnmatch_lines([f"ERROR: {expected}"])
    assert result.ret is pytest.ExitCode.USAGE_ERROR


def test_deterministic(run: Callable[..., pytest.RunResult], guest: Callable[..., Path]) -> None:
    """A run, or all runs of a test, have the same time and random bytes on each engine."""
    result = run(
        f"""
        import pytest, wasmoci
        CHANCE = {str(guest("chance"))!r}
        SAME = "time 946684800\\nrandom cd072cd8be6f9f62\\npassed 3600 s, time 946688400\\n"

        def test_run(wasm_run):
            assert wasm_run(CHANCE, deterministic=True).out == SAME
            assert wasm_run(CHANCE, deterministic=wasmoci.Determinism(time=5)).out.startswith("time 5\\nrandom cd07")
            assert not wasm_run(CHANCE, args=["wait"]).out.startswith("time 946684800")

        @pytest.mark.wasm_deterministic(time=7)
        def test_marked(wasm_run):
            assert wasm_run(CHANCE).out.startswith("time 7\\n")
            assert wasm_run(CHANCE, deterministic=True).out.startswith("time 7\\n")
            assert not wasm_run(CHANCE, args=["wait"], deterministic=False).out.startswith("time 7\\n")

        def test_context(wasm_run):
            with wasmoci.deterministic():
                assert wasm_run(CHANCE).out == SAME

        @pytest.mark.wasm_deterministic
        def test_started(wasm_start):
            guest = wasm_start(CHANCE)
            assert guest.wait(timeout=60).stdout.decode() == SAME
        """
    )
    result.assert_outcomes(passed=12)


def test_start(run: Callable[..., pytest.RunResult], guest: Callable[..., Path]) -> None:
    """A guest that was started can be talked to, and doesn't outlive its test, passed or failed."""
    result = run(
        f"""
        import os
        pids = []

        def test_talk(wasm_start):
            guest = wasm_start({str(guest("serve"))!r})
            guest.wait_for_line("ready")
            guest.write("say hello\\n")
            assert guest.wait_for_line("hello")
            pids.append(guest.pid)

        def test_fails(wasm_start):
            guest = wasm_start({str(guest("serve"))!r})
            guest.wait_for_line("ready")
            pids.append(guest.pid)
            assert guest.stdout == b""

        def test_gone():
            assert len(pids) == 6
            assert [pid for pid in pids if os.path.exists(f"/proc/{{pid}}")] == []
        """
    )
    result.assert_outcomes(passed=4, failed=3)
    result.stdout.fnmatch_lines(["*- Wasm guest: started on wasmtime -*", "stdout so far:", "  ready"])


def test_compiled_again(run: Callable[..., pytest.RunResult], pytester: pytest.Pytester) -> None:
    """A program is compiled once, and again when a header changes that it includes; also under another working directory."""
    pytester.path.joinpath("app.c").write_text('#include "code.h"\nint main(void) { return CODE; }\n', encoding="utf-8")
    test = "def test_it(wasm_run, wasm_c): assert wasm_run(wasm_c('app.c')).exit_code == CODE"

    def modules() -> set[str]:
        return {path.name for path in pytester.path.glob(".pytest_cache/d/wasm/*.wasm")}

    for code, count in ((3, 1), (3, 1), (4, 2)):
        pytester.path.joinpath("code.h").write_text(f"#define CODE {code}\n", encoding="utf-8")
        run(test.replace("CODE", str(code)), "--wasm-engine=wasmtime").assert_outcomes(passed=1)
        assert len(modules()) == count


def test_no_cache(run: Callable[..., pytest.RunResult], pytester: pytest.Pytester) -> None:
    """Without pytest's cache, or with one that can't be written to, C is compiled all the same."""
    test = "def test_it(wasm_run, wasm_c): assert wasm_run(wasm_c('int main(void) { return 3; }')).exit_code == 3"
    run(test, "-p", "no:cacheprovider", "--wasm-engine=wasmtime").assert_outcomes(passed=1)
    pytester.path.joinpath("file").write_text("", encoding="utf-8")
    options = ("-W", "ignore::pytest.PytestCacheWarning", "--wasm-engine=wasmtime")
    run(test, *options, ini="cache_dir = file").assert_outcomes(passed=1)

"""On which engines a test runs, and what it says of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wasmoci.dispatch import registry
from wasmoci.errors import UnknownEngine
from wasmoci.testing.engine_choice import NONE_INSTALLED, EngineChoice, choose_engines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EMPTY = '(module (memory (export "memory") 1) (func (export "_start")))'
SIMD = '(module (memory (export "memory") 1) (func (export "_start") (v128.store (i32.const 0) (v128.const i32x4 1 2 3 4))))'
TEST = f"""
def test_it(wasm_run):
    assert wasm_run({EMPTY!r}).ok
"""


@pytest.mark.parametrize(
    ("wanted", "configured", "marked", "names"),
    [
        ((), (), None, ("wasmtime", "wasmer")),
        ((), ("wasm3", "wasmer"), None, ("wasmer", "wasm3")),
        (("wasmtime",), ("wasm3", "wasmer"), None, ("wasmtime",)),
        (("all",), (), None, ("wasmtime", "wasmer", "wasm3")),
        ((), (), ("wasm3", "wasmtime"), ("wasmtime", "wasm3")),
        (("wasmtime",), (), ("wasm3", "wasmtime"), ("wasmtime",)),
        (("all",), (), ("wasm3",), ("wasm3",)),
        ((), ("wasmtime",), ("wasm3",), ("wasm3",)),
        (("wasmer", "wasm3"), ("wasmtime",), ("wasm3", "wasmtime"), ("wasm3",)),
    ],
)
def test_choice(
    without: Callable[..., None],
    wanted: Sequence[str],
    configured: Sequence[str],
    marked: Sequence[str] | None,
    names: tuple[str, ...],
) -> None:
    """The command line goes over the configuration, and so does a test's marker, which it restricts; what isn't named has to be installed."""
    without("wasm3")
    choices = choose_engines(wanted, configured, marked)
    ours = tuple(choice for choice in choices if choice.name in ("wasmtime", "wasmer", "wasm3"))
    assert tuple(choice.name for choice in ours) == names
    missing = "the engine 'wasm3' can't be loaded: gone; pip install wasm3"
    assert {choice.missing for choice in ours if choice.name == "wasm3"} <= {missing}


def test_no_engine_at_all(without: Callable[..., None]) -> None:
    """There is one choice, which says what to install."""
    without(*registry.default().names())
    assert choose_engines() == (EngineChoice("none", missing=NONE_INSTALLED),)


def test_unknown() -> None:
    """A name that no engine has is refused, with those that there are."""
    with pytest.raises(UnknownEngine, match="no engine is called 'wasm4'; registered are: wasmtime, wasmer, wasm3"):
        choose_engines(["wasm4"])


@pytest.mark.parametrize(
    ("options", "ini"),
    [
        (("--wasm-engine", "wasm3", "--wasm-engine", "wasmtime"), ""),
        ((), "wasm_engines = wasm3 wasmtime"),
        (("--wasm-engine=all", "-k", "not wasmer"), ""),
    ],
)
def test_selection(run: Callable[..., pytest.RunResult], options: tuple[str, ...], ini: str) -> None:
    """Engines are chosen on the command line or in the configuration."""
    result = run(TEST, "-v", *options, ini=ini)
    result.stdout.fnmatch_lines(["*::test_it[[]wasmtime[]] PASSED*", "*::test_it[[]wasm3[]] PASSED*"])
    result.assert_outcomes(passed=2, deselected=1 if "-k" in options else 0)


def test_unknown_name(run: Callable[..., pytest.RunResult]) -> None:
    """An unknown engine is an error of the call, not of a test."""
    result = run(TEST, "--wasm-engine=wasm4")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: no engine is called 'wasm4'; registered are: wasmtime, wasmer, wasm3*"])


def test_marked_for_a_plug_in(run: Callable[..., pytest.RunResult]) -> None:
    """A test for an engine that isn't even registered is skipped as for any that isn't here; the others of its file run."""
    test = f"import pytest\n@pytest.mark.wasm_engines('wasm4', 'wasmtime'){TEST}"
    result = run(test)
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED *no engine is called 'wasm4'*"])
    run(test, "--wasm-strict").assert_outcomes(passed=1, errors=1)
    run(test, "--wasm-engine=wasmtime").assert_outcomes(passed=1)


def test_marker(run: Callable[..., pytest.RunResult]) -> None:
    """A test may be for some engines alone; asked for others, it says so."""
    test = f"import pytest\n@pytest.mark.wasm_engines('wasm3'){TEST}"
    run(test, "-v").stdout.fnmatch_lines(["*::test_it[[]wasm3[]] PASSED*", "*1 passed*"])
    result = run(test, "--wasm-engine=wasmer")
    result.stdout.fnmatch_lines(["SKIPPED *: it is for wasm3, and the engines asked for are: wasmer"])


def test_own_parameters(run: Callable[..., pytest.RunResult]) -> None:
    """A test that is parametrised over engines by itself stays as it is."""
    test = f"import pytest\n@pytest.mark.parametrize('wasm_engine', ['wasm3']){TEST}"
    run(test, "-v").stdout.fnmatch_lines(["*::test_it[[]wasm3[]] PASSED*", "*1 passed*"])


def test_missing(run: Callable[..., pytest.RunResult], without: Callable[..., None]) -> None:
    """An engine that isn't here is not tested; one that was asked for is skipped with the reason, or fails where it may not be."""
    without("wasm3")
    run(TEST, "-k", "wasmtime or wasmer or wasm3", ini="wasm_engines =").assert_outcomes(passed=2)
    reason = "the engine 'wasm3' can't be loaded: gone; pip install wasm3"
    result = run(TEST, "--wasm-engine=all")
    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines([f"SKIPPED *: {reason}"])
    result = run(TEST, "--wasm-engine=all", "--wasm-strict")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines([f"*--wasm-strict, and {reason}"])


def test_engine_that_cannot(run: Callable[..., pytest.RunResult]) -> None:
    """A module that an engine can't run is skipped there, in the test's own line; one that none can run fails."""
    result = run(
        f"""
        def test_simd(wasm_run):
            assert wasm_run({SIMD!r}).ok

        def test_import(wasm_run):
            wasm_run('(module (import "env" "x" (func)) (func (export "_start")))')

        def test_named(wasm_run):
            wasm_run({SIMD!r}, engine="wasm3")
        """
    )
    result.assert_outcomes(passed=2, skipped=1, failed=6)
    result.stdout.fnmatch_lines(["*UnsupportedModule: /app.wasm: imports env.x, which wasmtime doesn't provide"])
    result.stdout.fnmatch_lines(["SKIPPED [[]1[]] test_project.py:2: wasm3 can't run it: /app.wasm: needs simd, *"])


@pytest.mark.parametrize(
    ("ini", "reason"),
    [
        ("wasm_cc = /nowhere/clang", "/nowhere/clang: can't be run: No such file or directory"),
        ("", "a compiler for C to WASI is missing; install one of:*pip install ziglang*"),
    ],
)
def test_missing_compiler(
    run: Callable[..., pytest.RunResult], monkeypatch: pytest.MonkeyPatch, ini: str, reason: str
) -> None:
    """Without a compiler tests in C are skipped, with what to install, or fail where they may not be."""
    monkeypatch.setattr("wasmoci.testing.compilers.shutil.which", lambda _: None)
    monkeypatch.setattr("wasmoci.testing.compilers.importlib.util.find_spec", lambda _: None)
    test = "def test_it(wasm_c): wasm_c('int main(void) { return 0; }')"
    result = run(test, ini=ini)
    result.assert_outcomes(skipped=1)
    run(test, "--wasm-strict", ini=ini).assert_outcomes(failed=1)
    assert [line for line in (result.stdout.str().replace("\n", " "),) if reason.split("*", maxsplit=1)[0] in line]


def test_compile_error(run: Callable[..., pytest.RunResult]) -> None:
    """A source with an error fails the test with the compiler's words."""
    result = run("def test_it(wasm_c): wasm_c('int main(void) { return x; }')")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["clang *ended with 1:", "*error: use of undeclared identifier 'x'*"])

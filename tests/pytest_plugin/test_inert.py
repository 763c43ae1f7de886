"""The plug-in is in every session of its environment: it costs next to nothing, and changes nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.heavy

LIGHT = {
    *("wasmoci", "wasmoci.pytest_plugin", "wasmoci.host", "wasmoci.testing"),
    *("wasmoci._startup", "wasmoci._startup.lazy", "wasmoci._startup.typing"),
}


def test_imports_nothing(pytester: pytest.Pytester) -> None:
    """A session that doesn't use it loads the plug-in's module alone, no engine and no library."""
    pytester.makeconftest(
        """
        import sys
        HEAVY = ("attrs", "attr", "stevedore", "wasmtime", "wasmer_sdk", "wasm3", "syrupy.extensions.amber.none")

        def pytest_sessionfinish():
            print("\\nloaded", *sorted(name for name in sys.modules if name.split(".")[0] == "wasmoci"))
            print("heavy", *(name for name in HEAVY if name in sys.modules))
        """
    )
    pytester.makepyfile("def test_it(tmp_path): pass")
    result = pytester.runpytest_subprocess("-s", "-p", "no:hypothesispytest", "-p", "no:anyio", "-p", "no:xdist")
    result.assert_outcomes(passed=1)
    (loaded,) = (line for line in result.outlines if line.startswith("loaded"))
    assert set(loaded.split()[1:]) == LIGHT
    assert "heavy" in result.outlines


def test_imports_pytest_alone() -> None:
    """The plug-in itself needs nothing that pytest hasn't loaded."""
    script = (
        "import sys, pytest; before = set(sys.modules); import wasmoci.pytest_plugin; print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {name for name in done.stdout.split() if name.split(".")[0] not in sys.stdlib_module_names} == LIGHT


def test_another_project(pytester: pytest.Pytester) -> None:
    """A strict project with a marker and a fixture of its own passes as before, with warnings as errors."""
    pytester.makeini("[pytest]\naddopts = --strict-markers --strict-config -W error\nmarkers = engines: ours\n")
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def engine():
            return 1

        @pytest.mark.engines
        def test_it(engine, request):
            assert engine == 1
            assert not [name for name in request.fixturenames if "wasm" in name]
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, warnings=0)


def test_help(pytester: pytest.Pytester) -> None:
    """Options, markers and fixtures are told of by pytest itself."""
    text = pytester.runpytest_subprocess("--help").stdout.str()
    for name in (
        "--wasm-engine=NAME",
        "--wasm-strict",
        "wasm_engines (args)",
        "wasm_timeout",
        "wasm_memory",
        "wasm_cc",
    ):
        assert name in text
    text = pytester.runpytest_subprocess("--markers").stdout.str()
    assert "@pytest.mark.wasm_engines(*names)" in text
    assert "@pytest.mark.wasm_deterministic(*, time, seed, tick)" in text
    text = pytester.runpytest_subprocess("--fixtures").stdout.str()
    for name in ("engine", "run", "start", "compare", "bundle", "image", "c", "snapshot"):
        assert f"wasm_{name} " in text


def test_under_xdist(pytester: pytest.Pytester, guest: Callable[..., Path]) -> None:
    """Several processes run tests of one project at once, compile one source at once, and report as one does."""
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.parametrize("number", range(3))
        def test_c(wasm_run, wasm_c, number):
            assert wasm_run(wasm_c("int main(void) {{ return 3; }}")).exit_code == 3

        def test_fails(wasm_run):
            assert wasm_run({str(guest("show"))!r}).exit_code == 1
        """
    )
    result = pytester.runpytest_subprocess("-n", "2")
    result.assert_outcomes(passed=9, failed=3)
    result.stdout.fnmatch_lines(["*- Wasm guest: exited with 0 on wasm3 -*", "stdout:", "  arg 0: /app.wasm"])
    left = [path.name for path in pytester.path.glob(".pytest_cache/d/wasm/*") if path.name.startswith("tmp")]
    assert left == []

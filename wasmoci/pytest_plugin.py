"""The pytest plug-in: fixtures that build and run Wasm guests, on all engines.

It is loaded into every test session of an environment that has wasmoci. So nothing but pytest is imported here: the rest comes
with the first test that uses a fixture. What the fixtures do is in :mod:`wasmoci.testing`.
"""

from __future__ import annotations

import itertools
import shlex
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

import wasmoci
from wasmoci import host, testing

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from wasmoci.determinism import Determinism
    from wasmoci.isolation.running_guest import RunningGuest
    from wasmoci.oci.bundle import Bundle
    from wasmoci.testing.building import Builder
    from wasmoci.testing.compilers import Compiler
    from wasmoci.testing.engine_choice import EngineChoice
    from wasmoci.testing.guest_run import GuestRun
    from wasmoci.testing.workbench import Workbench

ENGINE_OPTION, STRICT_OPTION = "--wasm-engine", "--wasm-strict"
ENGINES_INI, TIMEOUT_INI, MEMORY_INI, COMPILER_INI = "wasm_engines", "wasm_timeout", "wasm_memory", "wasm_cc"
ENGINES_MARKER, DETERMINISTIC_MARKER = "wasm_engines", "wasm_deterministic"
ENGINE_FIXTURE = "wasm_engine"

_LIMITS = {TIMEOUT_INI: "30", MEMORY_INI: "256Mi"}

_workbench = pytest.StashKey["Workbench"]()
_failed = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("wasmoci", "WebAssembly guests")
    group.addoption(
        ENGINE_OPTION,
        dest="wasm_engine",
        action="append",
        default=[],
        metavar="NAME",
        help="run Wasm tests on this engine; may be repeated; 'all' for all that are registered (default: those that are "
        "installed)",
    )
    group.addoption(
        STRICT_OPTION,
        dest="wasm_strict",
        action="store_true",
        help="fail Wasm tests for want of an engine, a compiler or a package, instead of skipping them",
    )
    parser.addini(ENGINES_INI, "the engines that Wasm tests run on (default: those that are installed)", "args", [])
    parser.addini(TIMEOUT_INI, "seconds that a Wasm guest may take; 0 for no limit", "string", _LIMITS[TIMEOUT_INI])
    parser.addini(
        MEMORY_INI, "the memory that a Wasm guest may have, as 256Mi; 0 for no limit", "string", _LIMITS[MEMORY_INI]
    )
    parser.addini(
        COMPILER_INI, "the compiler for C to WASI, with its options (default: clang or ziglang)", "string", ""
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known, and refuse settings with an error: once, and before the first test."""
    config.addinivalue_line("markers", f"{ENGINES_MARKER}(*names): run a Wasm test on these engines alone")
    config.addinivalue_line(
        "markers",
        f"{DETERMINISTIC_MARKER}(*, time, seed, tick): give the guests of a Wasm test the same time and random bytes at every "
        "run",
    )
    if config.pluginmanager.has_plugin("pytester"):
        testing.load_handlers()
    for name, default in _LIMITS.items():
        if config.getini(name) != default:
            _limit(config, name)
    _compiler_command(config)
    names = (*config.getoption("wasm_engine"), *config.getini(ENGINES_INI))
    if not names:
        return
    try:
        testing.check_names(names)
    except wasmoci.UnknownEngine as error:
        raise pytest.UsageError(str(error)) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on each engine, when it uses the fixture for one."""
    if ENGINE_FIXTURE not in metafunc.fixturenames:
        return
    for marker in metafunc.definition.iter_markers("parametrize"):
        names = marker.args[0] if marker.args else marker.kwargs.get("argnames", ())
        if ENGINE_FIXTURE in (names.replace(",", " ").split() if isinstance(names, str) else names):
            return
    choices = _choices(metafunc.config, metafunc.definition)
    metafunc.parametrize(ENGINE_FIXTURE, choices, ids=[choice.name for choice in choices], indirect=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Show the guests of a test that failed."""
    report: pytest.TestReport = (yield).get_result()
    workbench = item.stash.get(_workbench, None)
    if workbench is not None and report.failed:
        if report.when != "teardown":  # by then the guests are gone
            report.sections.extend(testing.sections(workbench.attempts))
        item.stash[_failed] = True


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Show how two guests differ that were to do the same."""
    kinds = {type(left).__name__, type(right).__name__}
    if op != "==" or kinds != {"GuestRun"}:
        return None
    if isinstance(left, testing.GuestRun) and isinstance(right, testing.GuestRun):
        return [f"{left!r} == {right!r}", *testing.compare_runs(left, right)]
    return None


@pytest.fixture
def wasm_engine(request: pytest.FixtureRequest) -> str:
    """The name of the engine that the test runs on; a test that uses it runs once on each engine."""
    choice: EngineChoice = request.param
    if choice.excluded:
        pytest.skip(choice.excluded)
    if choice.missing:
        _miss(request.config, choice.missing)
    return choice.name


@pytest.fixture
def wasm_run(_wasm_workbench: Workbench, wasm_engine: str) -> Callable[..., GuestRun]:
    """Runs a guest on the test's engine: ``wasm_run("app.wasm", args=["x"]).out``."""
    _wasm_workbench.engine = wasm_engine
    return _wasm_workbench.run


@pytest.fixture
def wasm_start(_wasm_workbench: Workbench, wasm_engine: str) -> Callable[..., RunningGuest]:
    """Starts a guest on the test's engine, and ends it with the test."""
    _wasm_workbench.engine = wasm_engine
    return _wasm_workbench.start


@pytest.fixture
def wasm_compare(_wasm_workbench: Workbench) -> Callable[..., GuestRun]:
    """Runs a guest on all engines, and fails with the differences where they don't agree."""
    return _wasm_workbench.compare


@pytest.fixture
def wasm_bundle(_wasm_builder: Builder) -> Callable[..., Bundle]:
    """Writes a bundle: ``wasm_bundle("app.wasm", files={"/in.txt": "x"})``."""
    return _wasm_builder.bundle


@pytest.fixture
def wasm_image(_wasm_builder: Builder) -> Callable[..., str]:
    """Builds an image, and gives a reference to it."""
    return _wasm_builder.image


@pytest.fixture(scope="session")
def wasm_c(_wasm_compiler: Compiler, pytestconfig: pytest.Config) -> Callable[..., Path]:
    """Compiles C: ``wasm_c("int main(void) { return 3; }")`` gives the module's path."""

    def compile_c(*sources: str | Path, flags: Sequence[str] = ()) -> Path:
        __tracebackhide__ = True
        try:
            return _wasm_compiler.compile(*sources, flags=flags)
        except (testing.CompilerMissing, testing.CompileFailed) as error:
            problem = error
        if isinstance(problem, testing.CompilerMissing):
            _miss(pytestconfig, str(problem))
        pytest.fail(str(problem), pytrace=False)

    return compile_c


@pytest.fixture
def wasm_snapshot(request: pytest.FixtureRequest) -> Any:
    """Syrupy's ``snapshot`` for what guests do: ``assert wasm_run("app.wasm") == wasm_snapshot``; one for all engines."""
    if not request.config.pluginmanager.hasplugin("syrupy"):
        _miss(request.config, "snapshots need syrupy: pip install syrupy")
    return request.getfixturevalue("snapshot").use_extension(testing.GuestSnapshot)


@pytest.fixture(scope="session")
def _wasm_compiler(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Compiler:
    try:
        directory = pytestconfig.cache.mkdir("wasm")
    except (AttributeError, OSError):  # left out by -p no:cacheprovider, or not writable
        directory = tmp_path_factory.mktemp("wasm")
    return testing.Compiler(pytestconfig.rootpath, directory, _compiler_command(pytestconfig) or None)


@pytest.fixture
def _wasm_builder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, wasm_c: Callable[..., Path]
) -> Iterator[Builder]:
    made: list[Path] = []  # beside the test's own tmp_path, which may be bound into a guest

    def new_directory() -> Path:
        if not made:
            made.append(tmp_path_factory.mktemp("wasm"))
        return made[0] / str(next(numbers))

    numbers = itertools.count(1)
    yield testing.Builder(request.config.rootpath, new_directory, wasm_c)
    if made and not request.node.stash.get(_failed, False):  # the files of a test that failed are to be looked at
        host.discard(made[0])


@pytest.fixture
def _wasm_workbench(request: pytest.FixtureRequest, _wasm_builder: Builder) -> Iterator[Workbench]:
    workbench = testing.Workbench(
        _wasm_builder,
        choices=lambda: _choices(request.config, request.node, all_if_none=True),
        timeout=_limit(request.config, TIMEOUT_INI),
        memory=_limit(request.config, MEMORY_INI),
        determinism=_determinism(request.node),
        leave_out=pytest.skip,
        miss=lambda reason: _miss(request.config, reason),
    )
    request.node.stash[_workbench] = workbench
    yield workbench
    workbench.close()


def _choices(config: pytest.Config, node: Any, *, all_if_none: bool = False) -> Sequence[EngineChoice]:
    marker = node.get_closest_marker(ENGINES_MARKER)
    return testing.choose_engines(
        config.getoption("wasm_engine"),
        config.getini(ENGINES_INI),
        None if marker is None else marker.args,
        all_if_none=all_if_none,
    )


def _limit(config: pytest.Config, name: str) -> Any:
    from wasmoci.cli.options import seconds, size  # noqa: PLC0415  5 ms of each session, most of which have no limits of their own

    text = config.getini(name).strip()
    if text == "0":
        return None
    try:
        return seconds(text) if name == TIMEOUT_INI else size(text)
    except ArgumentTypeError as error:
        raise pytest.UsageError(f"{name}: {error}") from None


def _compiler_command(config: pytest.Config) -> list[str]:
    text = config.getini(COMPILER_INI)
    try:
        return shlex.split(text)
    except ValueError as error:
        raise pytest.UsageError(f"{COMPILER_INI}: {text!r} is no command line: {error}") from None


def _determinism(node: pytest.Item) -> Determinism | None:
    marker = node.get_closest_marker(DETERMINISTIC_MARKER)
    if marker is None:
        return None
    try:
        return wasmoci.Determinism(*marker.args, **marker.kwargs)
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"{node.nodeid}: @pytest.mark.{DETERMINISTIC_MARKER}: {error}") from None


def _miss(config: pytest.Config, reason: str) -> NoReturn:
    __tracebackhide__ = True
    if config.getoption("wasm_strict"):
        pytest.fail(f"{STRICT_OPTION}, and {reason}", pytrace=False)
    pytest.skip(reason)

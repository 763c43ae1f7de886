"""The registry: handlers that are registered by real distributions, good and broken ones next to each other.

Each test runs a Python of its own over a directory of distributions, with a cache of its own: stevedore keeps what it found.
"""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.dispatch.site import GOOD, OURS, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A directory without any distribution yet."""
    return Site(tmp_path / "site")


def test_names_are_listed_without_importing(site: Site) -> None:
    """To know the names no engine and no plug-in is imported, nor is anything else that costs time."""
    site.add("alpha", "alpha")
    site.add("bomb", "bomb", "raise RuntimeError('imported')")
    names, modules = site.run("""
        import json, sys
        from wasmoci.dispatch import registry
        names = registry.default().names()
        print(json.dumps([names, sorted(sys.modules)]))
    """)
    assert OURS | {"alpha", "bomb"} <= set(names)
    assert names == sorted(names)
    assert {"alpha", "bomb", "wasmtime", "wasmer", "wasmer_sdk", "wasm3"}.isdisjoint(modules)
    assert not [name for name in modules if name in {f"wasmoci.handlers.{engine}" for engine in OURS}]


BROKEN = {
    "no_module": (None, "the engine 'no_module' can't be loaded: No module named 'no_module'"),
    "needs_more": (
        "import engine_that_nobody_has",
        "the engine 'needs_more' can't be loaded: No module named 'engine_that_nobody_has'",
    ),
    "bad_import": (
        "raise ImportError('libwasm.so: cannot open')",
        "the engine 'bad_import' can't be loaded: libwasm.so: cannot open",
    ),
    "empty_import": ("raise ImportError", "the engine 'empty_import' can't be loaded: ImportError"),
    "raises": ("1 / 0", "the handler of 'raises' is broken: ZeroDivisionError: division by zero"),
    "syntax": ("def", "the handler of 'syntax' is broken: SyntaxError: invalid syntax"),
    "leaves": ("import sys; sys.exit('bye')", "the handler of 'leaves' is broken: SystemExit: bye"),
    "panics": (
        "class Panic(BaseException): pass\nraise Panic('at src/lib.rs')",
        "the handler of 'panics' is broken: Panic: at src/lib.rs",
    ),
    "no_class": (
        "",
        "the handler of 'no_class' is broken: AttributeError: module 'no_class' has no attribute 'Handler'",
    ),
    "constructor": (
        "class Handler:\n    def __init__(self): raise OSError('no licence')",
        "the handler of 'constructor' is broken: OSError: no licence",
    ),
    "wants_args": (
        "class Handler:\n    def __init__(self, path): pass",
        "the handler of 'wants_args' is broken: TypeError: Handler.__init__() missing",
    ),
    "no_parts": (
        "class Handler:\n    pass",
        "the handler of 'no_parts' is broken: no_parts:Handler has no name and no capabilities and no validate and no execute",
    ),
    "no_execute": (
        "class Handler:\n    name = 'no_execute'; capabilities = frozenset()\n    def validate(self, module): pass",
        "the handler of 'no_execute' is broken: no_execute:Handler has no execute",
    ),
    "no_instance": ("Handler = 3", "the handler of 'no_instance' is broken: TypeError: 'int' object is not callable"),
    "misnamed": (
        GOOD.replace("NAME", "'somebody else'"),
        "the handler of 'misnamed' is broken: misnamed:Handler calls itself 'somebody else'",
    ),
    "boastful": (
        GOOD + "\n    capabilities = ['everything']\n",
        "the handler of 'boastful' is broken: boastful:Handler has other capabilities than a set of wasmoci.Capability",
    ),
    "trapdoor": (
        GOOD + "\n    @property\n    def capabilities(self): raise OSError('no device')\n",
        "the handler of 'trapdoor' is broken: OSError: no device",
    ),
}

STATUSES = """
import json
from wasmoci.dispatch import registry
print(json.dumps({status.name: status.to_dict() for status in registry.default().statuses()}))
"""


@pytest.fixture(scope="module")
def statuses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What is said of every broken plug-in, a good one among them, all of them installed at once."""
    site = Site(tmp_path_factory.mktemp("broken") / "site")
    for name, (code, _) in BROKEN.items():
        site.add(name, name, code)
    site.add("good", "good")
    found: dict[str, dict[str, Any]] = site.run(STATUSES)
    return found


@pytest.mark.parametrize("name", BROKEN)
def test_broken_plugin_is_reported(statuses: dict[str, dict[str, Any]], name: str) -> None:
    """A plug-in that can't be used has its reason, and the distribution that it comes from."""
    status = statuses[name]
    assert status["reason"].startswith(BROKEN[name][1])
    assert status == {
        "name": name,
        "distribution": f"{name} 1.2",
        "available": False,
        "reason": status["reason"],
        "hint": f"it comes from {name} 1.2, at {name}:Handler",
        "capabilities": [],
        "engine_version": "",
    }


def test_broken_plugins_harm_no_other(statuses: dict[str, dict[str, Any]]) -> None:
    """Among any number of broken plug-ins a good one is as good as ever, and so are ours."""
    assert statuses["good"] == {
        "name": "good",
        "distribution": "good 1.2",
        "available": True,
        "reason": "",
        "hint": "",
        "capabilities": ["live-files", "wasi-preview1"],
        "engine_version": "9.1",
    }
    assert set(statuses) == OURS | set(BROKEN) | {"good"}


RUN = """
import json
import wasmoci
def outcome(**options):
    try:
        result = wasmoci.run({bundle!r}, **options)
    except wasmoci.WasmociError as error:
        return [type(error).__name__, error.message, error.hint]
    return [result.exit_code, result.engine, result.stdout.decode()]
print(json.dumps([outcome(**options) for options in {options!r}]))
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle with an empty program that any engine would take."""
    directory = tmp_path / "bundle"
    (directory / "rootfs").mkdir(parents=True)
    (directory / "rootfs" / "app.wasm").write_bytes(
        bytes.fromhex("0061736d01000000 010401600000 03020100 070a01065f73746172740000 0a040102000b".replace(" ", ""))
    )
    document = {
        "ociVersion": "1.0.2",
        "process": {"args": ["/app.wasm"], "cwd": "/"},
        "root": {"path": "rootfs"},
        "annotations": {"run.oci.handler": "wasm"},
    }
    (directory / "config.json").write_text(json.dumps(document))
    return directory


def test_third_party_plugin_runs_everywhere(site: Site, bundle: Path) -> None:
    """A class with the contract's four parts and no base runs in the caller's process, and in a worker for its limits."""
    site.add("alpha", "alpha")
    options: list[dict[str, Any]] = [
        {"engine": "alpha"},
        {"engine": "alpha", "isolation": "process"},
        {"engine": "alpha", "timeout": 30.0},
        {"engine": "alpha", "memory": 1 << 26},
        {"engine": "alpha", "memory": 1 << 26, "isolation": "inline"},
        {"engine": "alpha", "fuel": 5},
    ]
    ran = [7, "alpha", "from alpha"]
    found = site.run(RUN.format(bundle=str(bundle), options=options))
    assert found[:4] == [ran] * 4
    assert [error[:2] for error in found[4:]] == [
        ["UnsupportedWorkload", "alpha can't hold a memory limit for this workload in the caller's process"],
        ["UnsupportedWorkload", "alpha doesn't offer what the workload needs: fuel"],
    ]


def test_annotation_names_a_plugin(site: Site, bundle: Path) -> None:
    """``run.oci.handler`` may name anybody's handler."""
    site.add("alpha", "alpha")
    document = json.loads((bundle / "config.json").read_text())
    document["annotations"]["run.oci.handler"] = "alpha"
    (bundle / "config.json").write_text(json.dumps(document))
    assert site.run(RUN.format(bundle=str(bundle), options=[{}])) == [[7, "alpha", "from alpha"]]


def test_unknown_engine_lists_those_that_are_there(site: Site, bundle: Path) -> None:
    """An engine that nobody registers is an error, with the names that are registered and those that can be used."""
    site.add("alpha", "alpha")
    site.add("broken", "broken", "1 / 0")
    ((kind, message, hint),) = site.run(RUN.format(bundle=str(bundle), options=[{"engine": "v8"}]))
    assert kind == "UnknownEngine"
    assert message == "no engine is called 'v8'; registered are: alpha, broken, wasm3, wasmer, wasmtime"
    assert hint.startswith("usable here: alpha")
    assert "broken" not in hint


def test_duplicates_name_both_distributions(site: Site, bundle: Path) -> None:
    """Two distributions with one name are an error when it is asked for, which names both; others are usable."""
    site.add("one", "twin", GOOD)
    site.add("two", "twin", GOOD)
    site.add("alpha", "alpha")
    options = [{"engine": "twin"}, {"engine": "alpha"}]
    (kind, message, hint), other = site.run(RUN.format(bundle=str(bundle), options=options))
    assert (kind, hint) == ("DuplicateEngine", "uninstall one of them")
    assert message.startswith("the engine 'twin' is registered by ")
    assert {"one 1.2 (one:Handler)", "two 1.2 (two:Handler)"} == set(message.partition(" by ")[2].split(" and "))
    assert other == [7, "alpha", "from alpha"]
    status = site.run(STATUSES)["twin"]
    assert (status["available"], status["reason"]) == (False, message)


def test_duplicate_of_ours_is_one_too(site: Site) -> None:
    """Nobody takes the place of one of our engines unnoticed."""
    site.add("impostor", "wasm3")
    status = site.run(STATUSES)["wasm3"]
    assert status["available"] is False
    assert "impostor 1.2 (impostor:Handler)" in status["reason"]
    assert "wasmoci.handlers.wasm3:Wasm3Handler" in status["reason"]


def test_one_distribution_found_twice_is_no_conflict(site: Site, tmp_path: Path) -> None:
    """A distribution that is on the path twice, as an editable one may be, is one."""
    site.add("alpha", "alpha")
    again = Site(tmp_path / "again")
    again.add("alpha", "alpha")
    status = site.run(STATUSES, again.path)["alpha"]
    assert (status["available"], status["reason"]) == (True, "")


def test_handler_says_itself_what_is_missing(site: Site) -> None:
    """``EngineUnavailable`` is passed on as the handler raises it, with its own hint."""
    code = """
        import wasmoci
        class Handler:
            def __init__(self): raise wasmoci.EngineUnavailable("the program x isn't in PATH", hint="apt install x")
    """
    site.add("beta", "beta", textwrap.dedent(code))
    status = site.run(STATUSES)["beta"]
    assert (status["available"], status["reason"], status["hint"]) == (
        False,
        "the program x isn't in PATH",
        "apt install x",
    )


def test_cache_that_cannot_be_written(site: Site) -> None:
    """Where no cache can be kept, as for a system user without a home, all works the same."""
    site.add("alpha", "alpha")
    status = site.run(STATUSES, XDG_CACHE_HOME="/proc/none", HOME="/proc/none")["alpha"]
    assert status["available"] is True


def test_errors_do_not_pile_up(site: Site) -> None:
    """An engine that can't be loaded may be asked for again and again, by many threads, and gives the same answer."""
    site.add("broken", "broken", "raise ImportError('gone')")
    messages, depth = site.run("""
        import json, threading
        from wasmoci.dispatch import registry
        from wasmoci import EngineUnavailable
        seen = []
        def ask():
            try:
                registry.default().load("broken")
            except EngineUnavailable as error:
                depth, frame = 0, error.__traceback__
                while frame:
                    depth, frame = depth + 1, frame.tb_next
                seen.append((error.message, depth))
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        for _ in range(50): ask()
        print(json.dumps([sorted({message for message, _ in seen}), seen[-1][1]]))
    """)
    assert messages == ["the engine 'broken' can't be loaded: gone"]
    assert depth < 5


def test_distributions_in_an_archive(site: Site, tmp_path: Path) -> None:
    """A distribution that isn't a directory of the path is found as well."""
    site.add("alpha", "alpha")
    archive = shutil.make_archive(str(tmp_path / "archive"), "zip", site.path)
    shutil.rmtree(site.path)
    site.path.mkdir()
    names, engine = site.run(
        """
        import json
        from wasmoci.dispatch import registry
        print(json.dumps([registry.default().names(), registry.default().load("alpha").name]))
        """,
        Path(archive),
    )
    assert OURS | {"alpha"} <= set(names)
    assert engine == "alpha"


_INTERRUPTED = """
    import json, os, signal, sys
    from wasmoci.dispatch import registry

    class Left(BaseException): pass
    def leave(number, frame): raise KINDS[kind]("by the handler")
    KINDS = {"SystemExit": SystemExit, "TimeoutError": TimeoutError, "Left": Left}
    name, kind = sys.argv[1:]
    registry.default().names()
    signal.signal(signal.SIGUSR1, leave)

    def attack(last):
        "Interrupt the import at so many imports; gives whether there were that many."
        count, armed = 0, True
        def audit(event, _):
            nonlocal count
            if event == "import" and armed:
                count += 1
                if count == last + 1:
                    os.kill(os.getpid(), signal.SIGUSR1)
        sys.addaudithook(audit)
        try:
            registry.default().load(name)
            assert count <= last, (count, last)
        except KINDS[kind] as error:
            assert str(error) == "by the handler", error
        armed = False
        assert registry.default().load(name).name == name
        assert registry.default().status(name).available
        return count > last

    number, more = 0, True
    while more:
        process = os.fork()
        if not process:
            status = 2
            try:
                status = 0 if attack(number) else 1
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        assert status in (0, 1), (number, status)
        number, more = number + 1, status == 0
    print(json.dumps(number))
"""


@pytest.mark.parametrize("kind", ["SystemExit", "TimeoutError", "Left"])
def test_signal_while_an_engine_is_imported(site: Site, kind: str) -> None:
    """What a signal's handler raises passes through, wherever the import is, and the engine is as good as ever."""
    needed = "\n".join(f"import {name}" for name in ("bdb", "cmd", "colorsys", "sched"))
    site.add("alpha", "alpha", f"try:\n    import calendar\nexcept Exception: raise\n{needed}\n{GOOD}")
    script = f"import sys\nsys.argv[1:] = ['alpha', {kind!r}]\n" + textwrap.dedent(_INTERRUPTED)
    assert site.run(script) > len(needed.split("\n"))


@pytest.mark.parametrize(
    "handler",
    [
        "leave",
        "functools.partial(leave)",
        "Object()",
        "Object().method",
        "functools.wraps(leave)(lambda *a: leave(*a))",
    ],
)
def test_kinds_of_handlers(site: Site, handler: str) -> None:
    """A signal's handler is known whatever kind of callable it is; one that the plug-in itself raises stays a fault of it."""
    code = f"import os, signal\nif signal.getsignal(10) is not signal.SIG_DFL: os.kill(os.getpid(), 10)\n{GOOD}"
    site.add("alpha", "alpha", code)
    site.add(
        "wraps", "wraps", f"try:\n    import alpha\nexcept BaseException as e: raise ImportError('lost') from e\n{GOOD}"
    )
    site.add("leaves", "leaves", "raise SystemExit(5)")
    found = site.run(f"""
        import functools, json, signal
        from wasmoci import EngineUnavailable
        from wasmoci.dispatch import registry
        def leave(*_): raise SystemExit(3)
        class Object:
            def __call__(self, *_): leave()
            def method(self, *_): leave()
        signal.signal(10, {handler})
        found = []
        for name in ("alpha", "wraps", "leaves"):
            try:
                registry.default().load(name)
            except (SystemExit, EngineUnavailable) as error:
                found.append(str(error))
        signal.signal(10, signal.SIG_DFL)
        print(json.dumps([found, [registry.default().load(name).name for name in ("alpha", "wraps")]]))
    """)
    broken = "the handler of 'leaves' is broken: SystemExit: 5\nit comes from leaves 1.2, at leaves:Handler"
    assert found == [["3", "3", broken], ["alpha", "wraps"]]

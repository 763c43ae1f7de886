"""The public names, and the arguments of ``wasmoci.run``; on every engine that is here."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import wasmoci
from tests.support.leak_check import no_descriptor_left
from tests.support.waiting import PATIENCE
from wasmoci.dispatch.opening import adapt
from wasmoci.errors import InvalidBundle, InvalidConfiguration, InvalidMount, InvalidSpec, WasmociError
from wasmoci.oci.spec import Mount, Process, Root, Spec
from wasmoci.options import GuestOptions
from wasmoci.result import ExitReason, GuestFailed

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[1]
# (module (func (export "_start")))
PROGRAM = bytes.fromhex("0061736d0100000001040160000003020100070a01065f737461727400000a040102000b")
PROMISED = {
    *("run", "classify", "explain", "engines", "Dispatcher", "Bundle", "Spec", "Stdio", "Limits", "ExitReason"),
    *("ExecutionResult", "Kind", "Isolation", "WasmociError", "InvalidSpec", "InvalidBundle", "InvalidModule"),
    *("UnknownEngine", "EngineCrashed", "UnsupportedModule", "NoSuitableEngine", "GuestFailed"),
}


@pytest.mark.parametrize("name", wasmoci.__all__)
def test_public_name(name: str) -> None:
    """Every public name can be used, stays the same, and is described."""
    value = getattr(wasmoci, name)
    assert getattr(wasmoci, name) is value
    assert name in dir(wasmoci)
    assert inspect.getdoc(value)
    assert not inspect.ismodule(value)


def test_promised_names_are_there() -> None:
    """What the design promises is public."""
    assert set(wasmoci.__all__) >= PROMISED


def test_every_error_of_a_run_is_public() -> None:
    """An error that is one of ours, and not of the image tools, can be caught by its public name."""
    errors = importlib.import_module("wasmoci.errors")
    kinds = {
        name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, WasmociError)
    }
    images = {name for name, kind in kinds.items() if issubclass(kind, errors.ImageError)}
    assert set(kinds) - images <= set(wasmoci.__all__)
    assert all(name in (errors.__doc__ or "") for name in kinds)


def test_unknown_name() -> None:
    """A name that isn't there is an AttributeError, as for any module."""
    with pytest.raises(AttributeError, match="module 'wasmoci' has no attribute 'nothing'"):
        _ = wasmoci.nothing


def test_names_are_no_modules() -> None:
    """No public name is one of a module as well, which would take its place once it is imported."""
    assert {module.name for module in pkgutil.iter_modules(wasmoci.__path__)}.isdisjoint(wasmoci.__all__)


def loaded_by(statement: str) -> set[str]:
    """The modules that a statement brings along, in a Python of its own."""
    script = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=REPOSITORY)
    return set(done.stdout.split())


HEAVY = {
    "attr",
    "attrs",
    "stevedore",
    "wasmtime",
    "wasmer",
    "wasmer_sdk",
    "wasm3",
    "ctypes",
    "inspect",
    "json",
    "asyncio",
}


def test_import_loads_next_to_nothing() -> None:
    """Importing wasmoci brings neither an engine nor anything else that costs time."""
    found = loaded_by("import wasmoci")
    assert found.isdisjoint(HEAVY)
    assert {name for name in found if name.startswith("wasmoci")} == {
        "wasmoci",
        "wasmoci._startup",
        "wasmoci._startup.lazy",
    }


@pytest.mark.parametrize("name", ["Spec", "classify", "Bundle", "Dispatcher", "run", "explain", "engines"])
def test_no_name_loads_an_engine(name: str) -> None:
    """Not even the name that runs guests loads an engine before it is called."""
    assert loaded_by(f"from wasmoci import {name}").isdisjoint({"wasmtime", "wasmer", "wasmer_sdk", "wasm3"})


def bundle(**fields: Any) -> wasmoci.Bundle:
    """A bundle by hand."""
    process = Process(args=("/app.wasm", "old"), env=("A=1", "B=2", "C=3"), cwd="/srv")
    spec = Spec(process=process, root=Root(path="rootfs"), mounts=(Mount(destination="/t", type="tmpfs"),))
    return wasmoci.Bundle(Path("/b"), attrs.evolve(spec, **fields), Path("/b/rootfs"))


def adapted(**wishes: Any) -> wasmoci.Bundle:
    """The bundle with a caller's wishes."""
    return adapt(bundle(), GuestOptions("", **wishes))


def test_nothing_asked_nothing_changed() -> None:
    """Without wishes a bundle is run as it is."""
    assert adapted() == bundle()


@pytest.mark.parametrize("args", [[], ["x"], ["a b", "", "ä"]])
def test_args_follow_the_program(args: list[str]) -> None:
    """The caller's arguments replace the spec's, and the program stays."""
    process = adapted(args=args).spec.process
    assert process is not None
    assert process.args == ("/app.wasm", *args)


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, ("A=1", "B=2", "C=3")),
        ({"B": "new"}, ("A=1", "B=new", "C=3")),
        ({"Z": "26", "A": ""}, ("A=", "B=2", "C=3", "Z=26")),
        (["B=x=y", "Y= 1 "], ("A=1", "B=x=y", "C=3", "Y= 1 ")),
        ((f"N={n}" for n in (1, 2)), ("A=1", "B=2", "C=3", "N=2")),
    ],
)
def test_env_is_merged(env: Any, expected: tuple[str, ...]) -> None:
    """The caller's variables are set over the spec's, which keep their places."""
    process = adapted(env=env).spec.process
    assert process is not None
    assert process.env == expected


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ("/host:/guest", ("/host", "/guest", ("rbind", "rw"))),
        ("/host:/guest:rw", ("/host", "/guest", ("rbind", "rw"))),
        ("/host:/guest:ro", ("/host", "/guest", ("rbind", "ro"))),
        ("data:/guest", (f"{Path.cwd()}/data", "/guest", ("rbind", "rw"))),
        (".:/", (str(Path.cwd()), "/", ("rbind", "rw"))),
    ],
)
def test_volumes_come_on_top(volume: str, expected: tuple[str, str, tuple[str, ...]]) -> None:
    """A volume is a bind mount after the spec's own; a relative path is the caller's."""
    mounts = adapted(volumes=[volume]).spec.mounts
    assert mounts[0] == bundle().spec.mounts[0]
    assert [(m.source, m.destination, m.options, m.type) for m in mounts[1:]] == [(*expected, "bind")]


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("root", [Root(path="rootfs"), Root(path="rootfs", readonly=True), None])
def test_read_only_replaces_the_flag(read_only: bool, root: Root | None) -> None:  # noqa: FBT001
    """The caller's word on the root is the last."""
    changed = adapt(bundle(root=root), GuestOptions("", read_only=read_only)).spec.root
    assert changed is not None
    assert changed.readonly is read_only


def test_working_directory_is_replaced() -> None:
    """A directory is a guest path."""
    process = adapted(cwd="/other").spec.process
    assert process is not None
    assert (process.cwd, process.args) == ("/other", ("/app.wasm", "old"))


WRONG: list[tuple[dict[str, Any], type[WasmociError], str]] = [
    ({"cwd": "srv"}, InvalidSpec, "cwd: found 'srv'; an absolute guest path was expected"),
    ({"cwd": "/a\0"}, InvalidSpec, 'cwd: found "/a\\u0000"; a string without NUL bytes was expected'),
    ({"args": ["a\0b"]}, InvalidSpec, 'args: found "a\\u0000b"; a string without NUL bytes was expected'),
    ({"args": ["\udcff"]}, InvalidSpec, 'args: found "\\udcff"; a string without lone surrogates was expected'),
    ({"args": [1]}, InvalidSpec, "args: found 1; a string was expected"),
    ({"env": ["A"]}, InvalidSpec, "env: found 'A'; NAME=value was expected"),
    ({"env": ["=1"]}, InvalidSpec, "env: found '=1'; NAME=value was expected"),
    ({"env": {"": "1"}}, InvalidSpec, "env: found '=1'; NAME=value was expected"),
    ({"env": {"A": "\0"}}, InvalidSpec, 'env: found "A=\\u0000"; a string without NUL bytes was expected'),
    *(
        ({"volumes": [text]}, InvalidMount, f"volume {text!r}: HOST:GUEST, HOST:GUEST:ro or HOST:GUEST:rw was expected")
        for text in ("", "/x", ":/x", "/x:", "/x:y", "/x:/y:z", "/x:/y:ro:z", "/x::ro")
    ),
    ({"volumes": ["/\0:/x"]}, InvalidSpec, 'volumes: found "/\\u0000:/x"; a string without NUL bytes was expected'),
]


@pytest.mark.parametrize(("options", "error", "message"), WRONG)
def test_wrong_argument(options: dict[str, Any], error: type[WasmociError], message: str) -> None:
    """An argument that can't be is refused by name, before anything runs."""
    with pytest.raises(error) as caught:
        adapted(**options)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("options", [{"args": "--help"}, {"env": "A=1"}, {"volumes": "/a:/b"}])
def test_string_instead_of_strings(make_bundle: Callable[..., Path], options: dict[str, Any]) -> None:
    """A string is a sequence of strings, but not the one that was meant."""
    with pytest.raises(TypeError, match="a sequence of strings was expected"):
        wasmoci.run(make_bundle(b""), **options)


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"timeout": -1}, {"memory": 0}, {"fuel": 0}, {"isolation": "elsewhere"}]
)
def test_wrong_number_or_word(make_bundle: Callable[..., Path], options: dict[str, Any]) -> None:
    """A limit of nothing, or a place that doesn't exist, is the caller's mistake."""
    with pytest.raises(ValueError, match=r"expected more than 0|is not a valid Isolation"):
        wasmoci.run(make_bundle(b""), **options)


def test_wrong_settings_are_told(make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration file that is wrong stops a run."""
    monkeypatch.setenv("WASMOCI_CONFIG", "/no/such/file")
    with pytest.raises(InvalidConfiguration):
        wasmoci.run(make_bundle(b""))


def test_engines_are_listed() -> None:
    """Every engine of ours is listed, with what it can do or why it can't be used."""
    found = {status.name: status for status in wasmoci.engines()}
    assert set(found) >= {"wasmtime", "wasmer", "wasm3"}
    for status in found.values():
        assert bool(status.reason) is not status.available
        assert bool(status.capabilities) is status.available
        assert json.loads(json.dumps(status.to_dict())) == status.to_dict()


# With the engines that are here.


def test_run_captures(engine: str, guest: Callable[..., Path], make_bundle: Callable[..., Path]) -> None:
    """A run gives the guest's code and both outputs, and leaves no descriptor."""
    directory = make_bundle(guest("output"), args=["5", "2"])
    for _ in range(2):  # the second time a server is started that stays
        wasmoci.run(directory, engine=engine)
    with no_descriptor_left():
        result = wasmoci.run(directory, engine=engine)
    assert (result.engine, result.ok, result.check()) == (engine, True, result)
    assert (result.stdout, result.stderr) == (b"", b"xxxxx")


@pytest.mark.parametrize("code", [0, 1, 7, 255])
@pytest.mark.parametrize("isolation", ["inline", "process"])
def test_exit_codes(
    engine: str, guest: Callable[..., Path], make_bundle: Callable[..., Path], code: int, isolation: str
) -> None:
    """A guest's code arrives, from wherever it ran; ``check`` raises for all but 0."""
    result = wasmoci.run(make_bundle(guest("exit"), args=[str(code)]), engine=engine, isolation=isolation)
    assert (result.exit_code, result.reason) == (code, ExitReason.EXITED)
    if code:
        with pytest.raises(GuestFailed, match=f"the guest exited with {code} "):
            result.check()


def test_all_arguments(
    engine: str, guest: Callable[..., Path], make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    """Arguments, variables, input and limits reach the guest, in this process and in another alike."""
    directory = make_bundle(guest("show"), args=["of the spec"], env=["KEPT=1", "CHANGED=old"])
    results = [
        wasmoci.run(
            directory,
            engine=engine,
            args=["a b", "ä", ""],
            env={"CHANGED": "new x", "ADDED": "ü"},
            stdin=b"",
            timeout=60.0,
            memory=1 << 26,
            isolation=isolation,
        )
        for isolation in (None, "process")
    ]
    assert [result.exit_code for result in results] == [0, 0]
    assert results[0].stdout == results[1].stdout
    shown = (results[0].stdout or b"").decode()
    for text in ("a b", "ä", "KEPT=1", "CHANGED=new x", "ADDED=ü"):
        assert text in shown
    assert "of the spec" not in shown
    assert "old" not in shown


def test_stdin(engine: str, guest: Callable[..., Path], make_bundle: Callable[..., Path]) -> None:
    """Bytes go in and come out as they are."""
    data = bytes(range(256)) * 1024
    assert wasmoci.run(make_bundle(guest("cat")), engine=engine, stdin=data).stdout == data


@pytest.mark.parametrize("name", ["loop", "sleep"])
def test_time_limit(engine: str, guest: Callable[..., Path], make_bundle: Callable[..., Path], name: str) -> None:
    """A guest that loops or sleeps is ended by its limit, on every engine."""
    result = wasmoci.run(make_bundle(guest(name)), engine=engine, timeout=0.5)
    assert (result.reason, result.exit_code) == (ExitReason.TIMED_OUT, 124)
    assert 0.5 <= result.duration < PATIENCE


def test_memory_limit(engine: str, guest: Callable[..., Path], make_bundle: Callable[..., Path]) -> None:
    """A guest that allocates without end is out of memory, on every engine."""
    result = wasmoci.run(make_bundle(guest("allocate"), args=["abort"]), engine=engine, memory=32 << 20, timeout=120.0)
    assert (result.reason, result.exit_code) == (ExitReason.OUT_OF_MEMORY, 137)


def test_trap(engine: str, guest: Callable[..., Path], make_bundle: Callable[..., Path]) -> None:
    """A trap has the engine's message."""
    result = wasmoci.run(make_bundle(guest("trap")), engine=engine)
    assert (result.reason, result.exit_code) == (ExitReason.TRAPPED, 134)
    assert result.message


def test_threads(engine: str, guest: Callable[..., Path], make_bundle: Callable[..., Path]) -> None:
    """Several threads may run guests at once; each gets its own result."""
    directory = make_bundle(guest("exit"))
    found: list[tuple[int, int]] = []

    def work(code: int) -> None:
        found.extend(
            (code, wasmoci.run(directory, engine=engine, args=[str(code)], timeout=60.0).exit_code) for _ in range(2)
        )

    threads = [threading.Thread(target=work, args=(code,)) for code in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted((code, code) for code in range(1, 5) for _ in range(2))


def test_engine_without_its_package(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    """An engine that was named and isn't installed is an error that says what to install."""
    directory = make_bundle(PROGRAM)
    for name in ("wasmtime", "wasm3"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('No module named {name}', name={name!r})")
    script = f"""
import sys
sys.path[:0] = [{str(tmp_path)!r}, {str(REPOSITORY)!r}]
import wasmoci
for name in ("wasmtime", "wasm3"):
    try:
        wasmoci.run({str(directory)!r}, engine=name)
    except wasmoci.EngineUnavailable as error:
        print(error.hint)
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "install it with: pip install 'wasmoci[wasmtime]'",
        "install it with: pip install 'wasmoci[wasm3]'",
    ]


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("missing", "missing: doesn't exist, and no image in the local store has that name", "wasmoci pull"),
        ("app.wasm", "app.wasm: is a module; a bundle's directory or an image was expected", "wasmoci build app.wasm"),
        ("file", "file: is not a directory; a bundle is a directory with", ""),
        ("a\0b", "'a\\x00b' has a NUL byte", ""),
    ],
)
def test_what_is_no_workload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str, hint: str
) -> None:
    """Whoever names something else is told what it is, and what to do."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WASMOCI_STORE", str(tmp_path / "store"))
    Path("app.wasm").write_bytes(b"\0asm\1\0\0\0")
    Path("file").touch()
    with pytest.raises(InvalidBundle) as caught:
        wasmoci.run(name)
    assert caught.value.message.startswith(message)
    assert hint in (caught.value.hint or "")
    assert not (tmp_path / "store").exists()

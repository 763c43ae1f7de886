"""The dispatcher: from a bundle to the engine that runs it, and with what."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from tests.support.handlers import FULL, Handlers, Recorder
from wasmoci import native
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.dispatch.request import Request
from wasmoci.dispatch.settings import Settings
from wasmoci.errors import (
    EntrypointError,
    EntrypointNotFound,
    InvalidModule,
    InvalidMount,
    InvalidSpec,
    NoSuitableEngine,
    UnknownEngine,
    UnsupportedWorkload,
    WasmociError,
)
from wasmoci.handlers.capabilities import Capability
from wasmoci.limits import Limits
from wasmoci.oci.bundle import Bundle
from wasmoci.oci.classification import Detection, Kind
from wasmoci.result import ExecutionResult, ExitReason
from wasmoci.stdio import Stdio

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# (module (func (export "_start")))
PROGRAM = bytes.fromhex("0061736d0100000001040160000003020100070a01065f737461727400000a040102000b")
ENGINES = ("wasm3", "wasmer", "wasmtime")
BOTH = {"annotations": {"run.oci.handler": "wasmer"}}


def handlers() -> Handlers:
    """The three engines, as recorders, and one more."""
    return Handlers(*(Recorder(name) for name in (*ENGINES, "other")))


@pytest.fixture
def bundle(make_bundle: Callable[..., Path]) -> Callable[..., Bundle]:
    """Makes and loads bundles with a program that does nothing."""
    return lambda **options: Bundle.load(make_bundle(options.pop("wasm", PROGRAM), **options))


CHOICES: list[tuple[str, dict[str, Any], Settings, str | None, tuple[str, ...] | None, str]] = [
    ("the default", {}, Settings(), None, None, "wasmtime"),
    ("the file's order", {}, Settings(engines=("wasm3", "wasmtime")), None, None, "wasm3"),
    ("the file names another", {}, Settings(engines=("other",)), None, None, "other"),
    ("the file names nobody", {}, Settings(engines=("typo",)), None, None, "other"),
    ("the environment", {}, Settings(engine="wasm3", engines=("other",)), None, None, "wasm3"),
    ("the annotation", BOTH, Settings(engine="wasm3", engines=("other",)), None, None, "wasmer"),
    ("the argument", BOTH, Settings(engine="wasm3", engines=("other",)), "other", None, "other"),
    ("the dispatcher's engines", {}, Settings(engine="wasm3", engines=("wasm3",)), None, ("other", "wasmer"), "other"),
    ("the annotation over those", BOTH, Settings(engine="wasm3"), None, ("other",), "wasmer"),
    ("the argument over those", BOTH, Settings(engine="wasm3"), "wasmtime", ("other",), "wasmtime"),
]


@pytest.mark.parametrize(
    ("options", "settings", "engine", "engines", "expected"), [c[1:] for c in CHOICES], ids=[c[0] for c in CHOICES]
)
def test_preference(
    bundle: Callable[..., Bundle],
    options: dict[str, Any],
    settings: Settings,
    engine: str | None,
    engines: tuple[str, ...] | None,
    expected: str,
) -> None:
    """The caller's argument, then the annotation, then the environment, then the file, then the default."""
    dispatcher = Dispatcher(engines, settings=settings, registry=handlers())
    assert dispatcher.run(bundle(**options), engine=engine).engine == expected


def test_settings_are_read_once_and_late(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A dispatcher reads the user's settings when it first needs them."""
    dispatcher = Dispatcher(registry=handlers())
    (tmp_path / "c.toml").write_text('engines = ["wasm3"]')
    monkeypatch.setenv("WASMOCI_CONFIG", str(tmp_path / "c.toml"))
    monkeypatch.setenv("WASMOCI_ENGINE", "wasmer")
    assert (dispatcher.settings.engine, dispatcher.settings.engines) == ("wasmer", ("wasm3",))
    monkeypatch.setenv("WASMOCI_ENGINE", "other")
    assert dispatcher.settings.engine == "wasmer"


@pytest.mark.parametrize(
    ("named", "options"),
    [("argument", {"engine": "v8"}), ("environment", {})],
)
def test_named_engine_that_is_unknown(bundle: Callable[..., Bundle], named: str, options: dict[str, Any]) -> None:
    """An engine that was named, by whomever, and isn't there is an error."""
    settings = Settings(engine="v8" if named == "environment" else None)
    with pytest.raises(UnknownEngine):
        Dispatcher(settings=settings, registry=handlers()).run(bundle(), **options)


def test_annotation_names_an_engine_of_the_dispatchers(bundle: Callable[..., Bundle]) -> None:
    """Which names mean Wasm is up to the registry that a dispatcher was given."""
    loaded = bundle(annotations={"run.oci.handler": "wasm3"})
    kinds = [
        Dispatcher(settings=Settings(), registry=Handlers(Recorder(name))).classify(Request(loaded)).kind
        for name in ("wasm3", "wasmtime")
    ]
    assert kinds == [Kind.WASM, Kind.NATIVE]


def test_handler_gets_the_spec_and_the_rest(bundle: Callable[..., Bundle]) -> None:
    """The handler runs the bundle's spec in its root, with the caller's streams and limits."""
    loaded, recorder, stdio = bundle(), Recorder("wasm3"), Stdio.capture()
    limits = Limits(time=3.0, memory=1 << 20, fuel=7)
    result = Dispatcher(("wasm3",), settings=Settings(), registry=Handlers(recorder)).run(
        loaded, stdio=stdio, limits=limits
    )
    assert recorder.runs == [(loaded.spec, loaded.rootfs, stdio, limits)]
    assert result == ExecutionResult(exit_code=0, reason=ExitReason.EXITED, engine="wasm3")


@pytest.mark.parametrize(
    ("in_spec", "given", "expected"), [(None, None, None), (64, None, 64), (None, 32, 32), (64, 32, 32), (64, 128, 128)]
)
def test_memory_limit(
    bundle: Callable[..., Bundle], in_spec: int | None, given: int | None, expected: int | None
) -> None:
    """The spec's memory limit holds where the caller gives none."""
    recorder = Recorder("wasm3")
    Dispatcher(settings=Settings(), registry=Handlers(recorder)).run(
        bundle(memory=in_spec), limits=Limits(memory=given)
    )
    assert recorder.runs[0][3].memory == expected


def test_native_goes_to_the_native_runtime(bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that is native never sees an engine."""
    calls: list[tuple[object, ...]] = []
    answer = ExecutionResult(exit_code=4, reason=ExitReason.EXITED, engine="youki")

    def run(bundle: Bundle, *, runtime: str | None, stdio: Stdio, limits: Limits) -> ExecutionResult:
        calls.append((bundle, runtime, stdio, limits))
        return answer

    monkeypatch.setattr(native, "run", run)
    loaded, stdio, limits = bundle(annotations={}), Stdio.null(), Limits(time=2.0)
    dispatcher = Dispatcher(settings=Settings(native_runtime="youki"), registry=Handlers())
    assert dispatcher.run(loaded, stdio=stdio, limits=limits) is answer
    assert calls == [(loaded, "youki", stdio, limits)]


def test_detection_by_content_is_a_setting(bundle: Callable[..., Bundle]) -> None:
    """Without annotations a module is Wasm where the user's settings say so."""
    dispatcher = Dispatcher(settings=Settings(detection=Detection.CONTENT), registry=handlers())
    assert dispatcher.run(bundle(annotations={})).engine == "wasmtime"


@pytest.mark.parametrize(("forced", "expected"), [("wasm", "wasmtime"), ("other", "other")])
def test_forced_handler(bundle: Callable[..., Bundle], forced: str, expected: str) -> None:
    """A handler that is forced from outside makes a bundle Wasm, and names the engine."""
    dispatcher = Dispatcher(settings=Settings(), registry=handlers(), forced=forced)
    assert dispatcher.run(bundle(annotations={})).engine == expected
    with pytest.raises(InvalidSpec, match="is forced from outside"):
        dispatcher.run(bundle())


def test_no_engine_at_all(bundle: Callable[..., Bundle]) -> None:
    """Without any engine a run says what to install."""
    with pytest.raises(NoSuitableEngine) as caught:
        Dispatcher(settings=Settings(), registry=Handlers(missing=ENGINES)).run(bundle())
    assert "pip install 'wasmoci[all]'" in (caught.value.hint or "")


# What is wrong with a workload, whichever engine is to run it.
WRONG: list[tuple[dict[str, Any], type[WasmociError], str]] = [
    ({"entry": "/missing.wasm"}, EntrypointNotFound, "/missing.wasm: isn't in the root file system"),
    ({"entry": "/etc", "directories": ["/etc"]}, EntrypointError, "/etc: is a directory; a Wasm file was expected"),
    ({"wasm": b"#!/bin/sh\n"}, InvalidModule, "/app.wasm: byte 0x0:"),
    ({"wasm": b""}, InvalidModule, "/app.wasm: "),
    ({"wasm": PROGRAM[:20]}, InvalidModule, "/app.wasm: byte 0x"),
    ({"wasm": PROGRAM[:8]}, EntrypointError, "/app.wasm: exports no function '_start'"),
    ({"entry": "/app.wasm#run"}, EntrypointError, "/app.wasm: exports no function 'run'"),
    ({"extra": {"process": {"args": ["#main"], "cwd": "/"}}}, InvalidSpec, "$.process.args[0]: found '#main'"),
    ({"extra": {"process": {"args": ["/app.wasm"], "cwd": "/app.wasm"}}}, InvalidSpec, "$.process.cwd: '/app.wasm'"),
    ({"mounts": [("/no/such/source", "/data")]}, InvalidMount, "$.mounts[0].source: /no/such/source doesn't exist"),
    ({"mounts": [("/", "/a/../b")]}, InvalidMount, "$.mounts[0].destination: '/a/../b' has a"),
]


@pytest.mark.parametrize(("options", "error", "message"), WRONG)
def test_wrong_workload(
    bundle: Callable[..., Bundle], options: dict[str, Any], error: type[WasmociError], message: str
) -> None:
    """What is wrong with a workload itself is told before any engine is asked."""
    recorder = Recorder("wasm3", refusal=ZeroDivisionError("not to be asked"))
    with pytest.raises(error) as caught:
        Dispatcher(settings=Settings(), registry=Handlers(recorder)).run(bundle(**options))
    assert type(caught.value) is error
    assert caught.value.message.startswith(message)


def test_file_mount_is_refused_by_name(bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    """An engine without mounts of single files is passed over, or refused where it was named."""
    (tmp_path / "file").write_text("x")
    loaded = bundle(mounts=[(tmp_path / "file", "/etc/file")])
    registry = Handlers(Recorder("wasm3", FULL - {Capability.FILE_MOUNTS}), Recorder("wasmer"))
    dispatcher = Dispatcher(("wasm3", "wasmer"), settings=Settings(), registry=registry)
    assert dispatcher.run(loaded).engine == "wasmer"
    with pytest.raises(UnsupportedWorkload) as caught:
        dispatcher.run(loaded, engine="wasm3")
    assert caught.value.message == "wasm3 doesn't offer what the workload needs: file-mounts"
    assert caught.value.hint == "engines that can run it: wasmer"


def test_one_dispatcher_many_threads(bundle: Callable[..., Bundle]) -> None:
    """A dispatcher may be used by several threads at once."""
    dispatcher = Dispatcher(settings=Settings(), registry=handlers())
    bundles = {name: bundle(annotations={"run.oci.handler": name}) for name in ENGINES}
    found: list[tuple[str, str]] = []

    def work(name: str) -> None:
        found.extend((name, dispatcher.run(bundles[name]).engine) for _ in range(20))

    threads = [threading.Thread(target=work, args=(name,)) for name in ENGINES * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted((name, name) for name in ENGINES * 2 for _ in range(20))


def test_bundle_is_not_changed(bundle: Callable[..., Bundle]) -> None:
    """A bundle that was run is as it was, on disk and in memory."""
    loaded = bundle(memory=1 << 20)
    before = attrs.asdict(loaded.spec), (loaded.path / "config.json").read_bytes()
    Dispatcher(settings=Settings(), registry=handlers()).run(loaded, limits=Limits(memory=5))
    assert (attrs.asdict(loaded.spec), (loaded.path / "config.json").read_bytes()) == before

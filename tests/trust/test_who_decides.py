"""Who decides that something is Wasm, and who allows what is not: the caller, and no image, annotation or misspelt key."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import wasmoci
from tests.cli.command import wasmoci as command
from tests.conftest import usable
from tests.image.making import WASM, make_layout, member, tar
from tests.support.bundles import write_native_bundle
from tests.support.requirements import require
from wasmoci.dispatch.request import Request
from wasmoci.errors import InvalidBundle, NativeRefused
from wasmoci.image import as_bundle
from wasmoci.isolation import Isolation
from wasmoci.native import checks
from wasmoci.oci.bundle import Bundle
from wasmoci.testing.bundles import bundle as make

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.testing.workbench import Workbench

pytestmark = pytest.mark.heavy

# (module (func (export "_start")))
PROGRAM = bytes.fromhex("0061736d0100000001040160000003020100070a01065f737461727400000a040102000b")
ELF = b"\x7fELF" + bytes(60)
VARIANT = "module.wasm.image/variant"


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there as soon as a native runtime was called to run something."""
    found = tmp_path / "ran"
    program = tmp_path / "fakerun"
    program.write_text(f'#!/bin/sh\ncase "$*" in *" run "*) touch {found};; --version) echo +SECCOMP;; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("WASMOCI_NATIVE_RUNTIME", str(program))
    monkeypatch.setenv("WASMOCI_STORE", str(tmp_path / "store"))
    return found


def native_image(directory: Path, **labels: str) -> str:
    """A reference to an image for a Wasm platform whose program is native, in the words of its labels."""
    config = {"Cmd": ["/program"], "Labels": {VARIANT: "x", **labels}}
    files = tar(member("program", data=ELF, mode=0o755), member("etc", "dir"))
    return f"oci:{make_layout(directory / 'layout', files, config=config, target=('wasi', 'wasm'))}"


def native_bundle(directory: Path) -> str:
    """A bundle whose program is native."""
    return str(write_native_bundle(directory / "bundle", "exit 7"))


async def _stopped(awaitable: Any) -> Any:
    return await awaitable


def _by_run(workload: str, **options: Any) -> object:
    return wasmoci.run(workload, **options)


def _by_run_async(workload: str, **options: Any) -> object:
    return asyncio.run(_stopped(wasmoci.run_async(workload, **options)))


def _by_start(workload: str, **options: Any) -> object:
    with wasmoci.start(workload, **options) as guest:
        return guest.wait(timeout=60)


def _by_pool(workload: str, **options: Any) -> object:
    with wasmoci.WorkerPool(1) as pool:
        return pool.run(workload, **options)


def _by_pool_async(workload: str, **options: Any) -> object:
    async def main() -> object:
        with wasmoci.WorkerPool(1) as pool:
            return await pool.run_async(workload, **options)

    return asyncio.run(main())


@contextlib.contextmanager
def _loaded(workload: str) -> Any:
    if workload.startswith("oci:"):
        with as_bundle(workload) as bundle:
            yield bundle
    else:
        yield Bundle.load(workload)


def _by_dispatcher(workload: str, **options: Any) -> object:
    platform = options.pop("platform", None)
    options["isolation"] = Isolation(options["isolation"]) if "isolation" in options else None
    with _loaded(workload) as bundle:
        return wasmoci.Dispatcher().run(bundle, wasm=True if platform else None, **options)


def _by_launch(workload: str, **options: Any) -> object:
    platform = options.pop("platform", None)
    with (
        _loaded(workload) as bundle,
        wasmoci.Dispatcher().launch(Request(bundle, wasm=bool(platform), **options)) as running,
    ):
        return running.wait()


def _by_command(workload: str, **options: Any) -> object:
    words = [f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items()]
    done = command("run", *words, workload, env=here())
    if done.returncode == 126:
        raise NativeRefused(done.stderr.decode())
    if done.returncode == 125:
        raise wasmoci.WasmociError(done.stderr.decode())
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr.decode()
    return done


def here() -> dict[str, str]:
    """The settings of the test, which the command gets as well."""
    return {name: os.environ[name] for name in ("WASMOCI_NATIVE_RUNTIME", "WASMOCI_STORE") if name in os.environ}


WAYS = [_by_run, _by_run_async, _by_start, _by_pool, _by_pool_async, _by_dispatcher, _by_launch, _by_command]
WITH_ISOLATION = {_by_run, _by_dispatcher, _by_command}
WORDS: list[dict[str, str]] = [
    *({"engine": name} for name in ("wasmtime", "wasmer", "wasm3", "no-such-engine")),
    *({"isolation": name} for name in ("inline", "process")),
    *({"platform": name} for name in ("wasi/wasm", "wasi/wasm32", "wasip2/wasm", "linux/wasm", "WASI/WASM")),
]


@pytest.mark.parametrize(
    ("way", "word"),
    [(way, word) for way in WAYS for word in WORDS if "isolation" not in word or way in WITH_ISOLATION],
    ids=lambda part: part.__name__ if callable(part) else "=".join(*part.items()),
)
@pytest.mark.parametrize("make_workload", [native_image, native_bundle])
def test_wasm_or_an_error(
    way: Callable[..., object],
    make_workload: Callable[[Path], str],
    word: dict[str, str],
    ran: Path,
    tmp_path: Path,
) -> None:
    """An engine, an isolation or a Wasm platform never runs a native program, whichever way in, nor with the word for it."""
    workload = make_workload(tmp_path)
    # Not to have an image for the platform is an error before.
    other = make_workload is native_image and word.get("platform") not in {None, "wasi/wasm"}
    for more in ({}, {"native": True}):
        with pytest.raises(wasmoci.WasmociError if other else NativeRefused) as caught:
            way(workload, **word, **more)
        assert other or "means Wasm" in str(caught.value)
    assert not ran.exists()


@pytest.mark.parametrize("way", WAYS)
def test_native_program_of_an_image_needs_a_word(way: Callable[..., object], ran: Path, tmp_path: Path) -> None:
    """An image never runs a native program by itself; the caller's word is enough."""
    workload = native_image(tmp_path)
    with pytest.raises(NativeRefused, match="isn't run without a word of the caller's"):
        way(workload)
    assert not ran.exists()
    way(workload, native=True)
    assert ran.exists()


@pytest.mark.parametrize("way", WAYS)
def test_native_bundle_runs_as_its_spec_says(way: Callable[..., object], ran: Path, tmp_path: Path) -> None:
    """A bundle is the caller's own, and needs no word."""
    way(native_bundle(tmp_path))
    assert ran.exists()


@pytest.mark.parametrize("make_workload", [native_image, native_bundle])
def test_choice_among_engines(make_workload: Callable[[Path], str], ran: Path, tmp_path: Path) -> None:
    """Whoever gives a dispatcher or a pool its engines gets no native program either, unless it is said."""
    workload = make_workload(tmp_path)
    with (
        _loaded(workload) as bundle,
        pytest.raises(NativeRefused, match="the choice among the engines wasm3, wasmtime"),
    ):
        wasmoci.Dispatcher(("wasm3", "wasmtime")).run(bundle)
    assert not ran.exists()
    with _loaded(workload) as bundle:
        wasmoci.Dispatcher(("wasm3", "wasmtime")).run(bundle, native=True)
    assert ran.exists()


ANNOTATIONS: list[dict[str, str]] = [
    {},
    {"run.oci.handlr": "wasm"},
    {f"{VARIANT}.other": "compat"},
    {"io.kubernetes.cri.container-name": "a", f"{VARIANT}.b": "compat"},
]


@pytest.mark.parametrize("annotations", ANNOTATIONS)
def test_named_engine_runs_what_is_wasm(
    engine: str, annotations: dict[str, str], ran: Path, make_bundle: Callable[..., Path]
) -> None:
    """Where no annotation decides, a named engine runs a program that is WebAssembly, and the rule says so."""
    bundle = make_bundle(PROGRAM, program="/tool", annotations=annotations)
    assert wasmoci.run(bundle, engine=engine).engine == engine
    explained = wasmoci.explain(bundle, engine=engine)
    assert (explained.classification.rule, explained.runs_on, explained.problem) == (11, engine, "")
    assert "Wasm is asked for" in explained.classification.reason
    assert not ran.exists()


def test_text_format(ran: Path, make_bundle: Callable[..., Path]) -> None:
    """A program in the text format is Wasm by its name."""
    usable("wasmtime")
    text = b'(module (func (export "_start")))'
    bundle = make_bundle(text, program="/app.wat", annotations={})
    assert wasmoci.run(bundle, engine="wasmtime").exit_code == 0
    assert not ran.exists()


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ({"io.kubernetes.cri.container-type": "sandbox"}, "says that it is a pod's sandbox"),
        ({"run.oci.handler": "krun"}, "names none of our engines"),
        ({VARIANT: "compatt"}, "is no variant that wasmoci knows"),
    ],
)
def test_annotations_that_say_native(
    annotations: dict[str, str], message: str, ran: Path, make_bundle: Callable[..., Path]
) -> None:
    """An annotation that says otherwise than the caller is an error, and named."""
    with pytest.raises(NativeRefused, match=message):
        wasmoci.run(make_bundle(PROGRAM, annotations=annotations), engine="wasmtime")
    assert not ran.exists()


def test_layout_that_is_a_bundle_as_well(ran: Path, tmp_path: Path) -> None:
    """A directory that is given as an image brings no spec of its own, nor hooks; by its transport it is the image."""
    layout = native_image(tmp_path).removeprefix("oci:")
    bundle = native_bundle(tmp_path)
    shutil.copy(f"{bundle}/config.json", layout)
    (Path(layout) / "rootfs").mkdir()
    with pytest.raises(InvalidBundle, match="is a bundle and an image at once") as caught:
        wasmoci.run(layout)
    assert f"oci:{layout}" in (caught.value.hint or "")
    with pytest.raises(NativeRefused):
        wasmoci.run(f"oci:{layout}")
    assert not ran.exists()


def test_no_warning_of_what_does_not_run(ran: Path, tmp_path: Path) -> None:
    """What is refused isn't said to run natively; what does run is, once."""
    image = native_image(tmp_path)
    for words in ([], ["--engine=wasmtime"]):
        refused = command("run", *words, image, env=here())
        assert (refused.returncode, b"wasmoci: warning" in refused.stderr) == (126, False)
    assert not ran.exists()
    done = command("run", "--native", image, env=here())
    assert (done.returncode, done.stderr.count(b"warning: the annotation module.wasm.image/variant is 'x'")) == (0, 1)


def test_nothing_to_run(ran: Path, make_bundle: Callable[..., Path]) -> None:
    """A spec without a program is no Wasm."""
    bundle = make_bundle(PROGRAM, extra={"process": {"args": [], "cwd": "/"}})
    with pytest.raises(NativeRefused, match="no process with arguments"):
        wasmoci.run(bundle, engine="wasmtime")
    assert not ran.exists()


@pytest.mark.parametrize(
    ("found", "meant"),
    [
        ("run.oci.handlr", "run.oci.handler"),
        ("run.oci.Handler", "run.oci.handler"),
        ("run.oci.handler ", "run.oci.handler"),
        ("module.wasm.image/varient", VARIANT),
        ("module.wasm.image.variant", VARIANT),
        ("module.wasm.images/variant.shop", f"{VARIANT}.shop"),
    ],
)
def test_misspelt_annotation_is_told(
    found: str, meant: str, ran: Path, tmp_path: Path, make_bundle: Callable[..., Path]
) -> None:
    """A refusal names the annotation that was meant, and so does the explanation."""
    bundle = make_bundle(ELF, annotations={found: "wasm"})
    with pytest.raises(NativeRefused) as caught:
        wasmoci.run(bundle, engine="wasmtime")
    expected = f"the annotation {found!r} may be meant to be {meant!r}"
    assert expected in (caught.value.hint or "")
    assert f"  but {expected}" in str(wasmoci.explain(bundle)).splitlines()
    assert wasmoci.explain(bundle).to_dict()["misspelt"] == {found: meant}
    assert not ran.exists()
    write_native_bundle(
        tmp_path / "right", "exit 7", annotations={"org.example.handler": "x", "run.oci.hooks.stdout": "y"}
    )
    assert wasmoci.explain(tmp_path / "right").misspelt == {}


def test_refusal_of_an_image_tells_what_does_not_count(ran: Path, tmp_path: Path) -> None:
    """An image whose annotations were left out says which of them would have had a say."""
    with pytest.raises(NativeRefused) as caught:
        wasmoci.run(native_image(tmp_path, **{"run.oci.handler": "wasm3", "maintainer": "x"}))
    hint = caught.value.hint or ""
    assert "of the image's own annotations these don't count: 'run.oci.handler'" in hint
    assert "--native" in hint
    assert "maintainer" not in hint
    assert not ran.exists()


def test_refusal_of_an_image_with_very_many_annotations(ran: Path, tmp_path: Path) -> None:
    """What is named of them is short, whatever an image has."""
    many = {f"run.oci.{number}": "x" for number in range(20_000)}
    with pytest.raises(NativeRefused) as caught:
        wasmoci.run(native_image(tmp_path, **many))
    assert "'run.oci.0', " in str(caught.value)
    assert "and 19990 more" in str(caught.value)
    assert len(str(caught.value)) < 2000
    assert not ran.exists()


def test_module_of_an_image_without_annotations(ran: Path, tmp_path: Path) -> None:
    """An image that doesn't say that its module is Wasm runs by a named engine alone, and the refusal says so."""
    usable("wasmtime")
    config = {"Cmd": ["/app.wasm"]}
    layout = make_layout(tmp_path / "layout", tar(member("app.wasm", data=PROGRAM)), config=config)
    with pytest.raises(NativeRefused) as caught:
        wasmoci.run(f"oci:{layout}")
    assert "wasmoci run --engine wasmtime IMAGE" in (caught.value.hint or "")
    assert wasmoci.run(f"oci:{layout}", engine="wasmtime").exit_code == 0
    assert not ran.exists()


NO_SECCOMP = [
    ("exit 1", "neither question is answered"),
    ("echo crun -SECCOMP +CAP", "built without it"),
    (
        """case $1 in features) echo '{"linux": {"seccomp": {"enabled": false}}}';; *) echo +SECCOMP;; esac""",
        "it says no",
    ),
    ("""echo '{"linux": {"seccomp": null}}'""", "it says nothing"),
]


@pytest.mark.parametrize("answer", [answer for answer, _ in NO_SECCOMP], ids=[name for _, name in NO_SECCOMP])
def test_runtime_without_seccomp(answer: str, ran: Path, tmp_path: Path) -> None:
    """A native runtime that would pass over the profile runs no program of an image, and a bundle's as ever."""
    program = Path(os.environ["WASMOCI_NATIVE_RUNTIME"])
    program.write_text(f'#!/bin/sh\ncase "$*" in *" run "*) touch {ran}; exit;; esac\n{answer}\n')
    image = native_image(tmp_path)
    with pytest.raises(NativeRefused, match="doesn't say that it was built with seccomp"):
        wasmoci.run(image, native=True)
    assert not ran.exists()
    assert "built with seccomp" in wasmoci.explain(image, native=True).problem
    wasmoci.run(native_bundle(tmp_path))
    assert ran.exists()


def test_explanations(ran: Path, tmp_path: Path) -> None:
    """``explain`` says what a run with the same words would."""
    image, bundle = native_image(tmp_path), native_bundle(tmp_path)
    cases = [
        (image, {}, "isn't run without a word of the caller's"),
        (image, {"native": True}, ""),
        (image, {"platform": "wasi/wasm", "native": True}, "the platform means Wasm"),
        (bundle, {}, ""),
        (bundle, {"engine": "wasm3"}, "the engine 'wasm3' means Wasm"),
        (bundle, {"isolation": "inline"}, "the isolation 'inline' means Wasm"),
    ]
    for workload, words, problem in cases:
        explained = wasmoci.explain(workload, **words)
        assert (problem in explained.problem, explained.runs_on is None) == (True, bool(problem)), (workload, words)
        options = [f"--{name}" if value is True else f"--{name}={value}" for name, value in words.items()]
        document = json.loads(command("explain", "--json", *options, workload, env=here()).stdout)
        assert document["problem"] == explained.problem
    assert not ran.exists()


def test_pytest_fixtures(ran: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The fixtures run guests: a native workload is an error for all of them, also where no engine is named."""
    workbench: Workbench = request.getfixturevalue("_wasm_workbench")
    for workload in (native_image(tmp_path), native_bundle(tmp_path)):
        for engine in ("wasmtime", None):
            workbench.engine = engine
            with pytest.raises(NativeRefused):
                workbench.run(workload)
        with pytest.raises(NativeRefused):
            workbench.start(workload, engine="wasmtime")
    assert not ran.exists()


def with_linux(directory: Path, **linux: Any) -> Path:
    """A native bundle, with something else in ``linux``."""
    bundle = write_native_bundle(directory / "bundle", "exit 7", annotations={"run.oci.handlr": "wasm"})
    document = json.loads((bundle / "config.json").read_text())
    document["linux"] = {**document["linux"], **linux}
    (bundle / "config.json").write_text(json.dumps(document))
    return bundle


def mounted(beneath: Path) -> list[str]:
    """What is mounted beneath a directory."""
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {beneath}" in line]


OTHERS = [{"type": kind} for kind in ("pid", "ipc", "uts")]
ON_THE_HOST: list[tuple[dict[str, Any], str]] = [
    ({"namespaces": OTHERS}, "has no mount namespace"),
    ({"namespaces": []}, "has no mount namespace"),
    ({"namespaces": None}, "has no mount namespace"),
    ({"namespaces": {}}, "has no mount namespace"),
    ({"namespaces": ["mount"]}, "has no mount namespace"),
    ({"namespaces": [*OTHERS, {"type": "mount", "path": "/proc/1/ns/mnt"}]}, "the mount namespace is '/proc/1/ns/mnt'"),
    ({"namespaces": [*OTHERS, {"type": "mount", "path": "/proc/self/ns/mnt"}]}, "the mount namespace is"),
    ({"namespaces": [{"type": "mount"}, {"type": "mount", "path": "/proc/1/ns/mnt"}]}, "the mount namespace is"),
    ({"rootfsPropagation": "shared"}, "found 'shared'"),
    ({"rootfsPropagation": "rshared"}, "found 'rshared'"),
    ({"rootfsPropagation": ["private"]}, r"found \['private'\]"),
    # What runc reads, which takes names without regard to case.
    ({"Namespaces": OTHERS}, "reads as 'namespaces'"),
    ({"name\u017fpaces": OTHERS}, "reads as 'namespaces'"),
    ({"RootfsPropagation": "shared"}, "reads as 'rootfsPropagation'"),
    ({"namespaces": [{"type": "mount", "TYPE": "uts"}]}, "reads as 'type'"),
    ({"namespaces": [{"type": "mount", "Path": "/proc/1/ns/mnt"}]}, "reads as 'path'"),
    # And what crun does, for which a name ends at a NUL.
    ({"namespaces\0": OTHERS}, "reads as 'namespaces'"),
]


@pytest.mark.parametrize(("linux", "message"), ON_THE_HOST)
@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_mounted_on_the_host(
    way: Callable[..., object], linux: dict[str, Any], message: str, tmp_path: Path, ran: Path
) -> None:
    """A spec whose mounts would be the host's is refused before the native runtime is called, with what was misspelt."""
    bundle = with_linux(tmp_path, **linux)
    with pytest.raises(NativeRefused, match=message) as caught:
        way(str(bundle))
    assert "'run.oci.handlr' may be meant to be 'run.oci.handler'" in str(caught.value)
    explained = wasmoci.explain(bundle)
    assert (explained.runs_on, "$.linux" in explained.problem) == (None, True)
    assert not ran.exists()


def test_with_the_real_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No mount is left behind on the host, by runc itself, whatever the spec says of its namespaces."""
    require(shutil.which("runc") and os.geteuid() == 0, "native containers need runc, and root: apt install runc")
    monkeypatch.setenv("WASMOCI_NATIVE_RUNTIME", "runc")
    for number, (linux, _) in enumerate(ON_THE_HOST):
        bundle = with_linux(tmp_path / str(number), **linux)
        assert command("run", bundle, env={"WASMOCI_NATIVE_RUNTIME": "runc"}).returncode == 126
    for propagation in ("private", "rprivate", "slave", "rslave"):
        bundle = with_linux(tmp_path / propagation, rootfsPropagation=propagation)
        assert wasmoci.run(bundle).exit_code == 7
    assert mounted(tmp_path) == []


@pytest.mark.parametrize("name", ["LINUX", "Linux", "linux\0"])
def test_another_name_for_all_of_it(name: str, tmp_path: Path, ran: Path) -> None:
    """Nor is the object itself there in another spelling."""
    bundle = write_native_bundle(tmp_path / "bundle", "exit 7")
    document = json.loads((bundle / "config.json").read_text())
    (bundle / "config.json").write_text(json.dumps({**document, name: {"namespaces": OTHERS}}))
    with pytest.raises(NativeRefused, match="reads as 'linux'"):
        wasmoci.run(bundle)
    assert not ran.exists()


def test_name_that_is_there_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a native runtime gets is what was looked at: of two objects of a name crun takes the first."""
    program = tmp_path / "fakerun"
    shown = tmp_path / "shown"
    program.write_text(
        f'#!/bin/sh\nwhile [ $# -gt 0 ]; do [ "$1" = --bundle ] && cp "$2/config.json" {shown}; shift; done\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("WASMOCI_NATIVE_RUNTIME", str(program))
    bundle = write_native_bundle(tmp_path / "bundle", "exit 7")
    text = (bundle / "config.json").read_text()
    twice = f'{{"linux": {{"namespaces": {json.dumps(OTHERS)}}}, {text.lstrip()[1:]}'
    (bundle / "config.json").write_text(twice)
    wasmoci.run(bundle)
    assert (twice.count('"linux"'), shown.read_text().count('"linux"')) == (2, 1)


def test_changed_bundle_is_looked_at_as_well(tmp_path: Path, ran: Path) -> None:
    """What counts is the spec at hand, and not its file."""
    bundle = Bundle.load(write_native_bundle(tmp_path / "bundle", "exit 7"))
    changed = attrs.evolve(bundle, spec=attrs.evolve(bundle.spec, raw={**bundle.spec.raw, "linux": {}}))
    with pytest.raises(NativeRefused, match="has no mount namespace"):
        checks.check_mounts(changed)
    with pytest.raises(NativeRefused):
        wasmoci.run(changed)
    assert not ran.exists()


def test_image_of_a_module_needs_no_word(engine: str, ran: Path, tmp_path: Path) -> None:
    """An image that is Wasm runs as ever, and the word changes nothing of it."""
    made = make(tmp_path / "bundle", PROGRAM)
    config = {"Cmd": ["/app.wasm"]}
    files = tar(member("app.wasm", data=(made.rootfs / "app.wasm").read_bytes()))
    layout = make_layout(tmp_path / "layout", files, config=config, target=("wasi", "wasm"))
    for words in ({}, {"native": True}, {"platform": "wasi/wasm"}, {"isolation": "process"}):
        assert wasmoci.run(f"oci:{layout}", engine=engine, **words).engine == engine
    assert wasmoci.run(f"oci:{layout}").exit_code == 0
    assert PROGRAM[:8] == WASM
    assert not ran.exists()

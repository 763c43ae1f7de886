"""Explanations: the whole decision as text and as data, for every situation, the bad ones among them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wasmoci
from tests.support.handlers import FULL, Handlers, Recorder
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.dispatch.explanation import Explanation, explain_bundle
from wasmoci.dispatch.request import Request
from wasmoci.dispatch.settings import Settings
from wasmoci.errors import InvalidBundle, InvalidSpec
from wasmoci.handlers.capabilities import Capability
from wasmoci.isolation import Isolation
from wasmoci.limits import Limits
from wasmoci.native import runtimes
from wasmoci.oci.bundle import Bundle
from wasmoci.oci.classification import RULES
from wasmoci.oci.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# (module (func (export "_start")))
PROGRAM = bytes.fromhex("0061736d0100000001040160000003020100070a01065f737461727400000a040102000b")


@pytest.fixture
def explain(make_bundle: Callable[..., Path]) -> Callable[..., Explanation]:
    """Explains a bundle among engines of the test's own."""

    def call(*handlers: Recorder, dispatcher: dict[str, Any] | None = None, **options: Any) -> Explanation:
        asked = {key: options.pop(key) for key in ("engine", "limits", "isolation") if key in options}
        bundle = Bundle.load(make_bundle(options.pop("wasm", PROGRAM), **options))
        registry = Handlers(*(handlers or (Recorder("wasm3"), Recorder("wasmtime"))))
        return explain_bundle(
            Request(bundle, **asked), Dispatcher(**{"settings": Settings(), "registry": registry, **(dispatcher or {})})
        )

    return call


def test_text_of_a_wasm_workload(explain: Callable[..., Explanation], tmp_path: Path) -> None:
    """Everything that a run would decide is there, in one reading."""
    (tmp_path / "data").mkdir()
    explained = explain(
        args=["a b"],
        env=["A=1", "B="],
        mounts=[
            (tmp_path / "data", "/data", "ro"),
            {"destination": "/tmp", "type": "tmpfs"},
            {"destination": "/proc", "type": "proc"},
        ],
        memory=1 << 20,
        limits=Limits(time=2.5),
    )
    root = f"{explained.bundle}/rootfs"
    digest = explained.module["digest"]
    assert (
        str(explained)
        == f"""{explained.bundle}: wasm
  because the annotation run.oci.handler=wasm asks for Wasm (rule 3)
  runs on wasmtime, isolation inline
rules
   1  does not apply  {RULES[0].condition}
   2  does not apply  {RULES[1].condition}
   0  does not apply  {RULES[2].condition}
   3  applies         run.oci.handler is wasm
   4  not reached     {RULES[4].condition}
   5  not reached     {RULES[5].condition}
   6  not reached     {RULES[6].condition}
   7  not reached     {RULES[7].condition}
   8  not reached     {RULES[8].condition}
   9  not reached     {RULES[9].condition}
  10  not reached     {RULES[10].condition}
  11  not reached     {RULES[11].condition}
  12  not reached     {RULES[12].condition}
engines
  -> wasmtime  the first that is installed and offers what the workload needs
     wasm3     it could, but comes later
module
  core module, {len(PROGRAM)} bytes, sha256:{digest}
  imports from nowhere
  needs no feature beyond the first version of WebAssembly
guest
  arguments    '/app.wasm' 'a b'
  environment  A, B
  directory    /
  read-write   / from {root}
  read-only    /data from {tmp_path}/data
  read-write   /tmp from tmpfs
  left out     /proc (proc): a guest has no kernel
  limits       time 2.5, memory 1048576"""
    )


def test_data_of_a_wasm_workload(explain: Callable[..., Explanation]) -> None:
    """The same for tools, as JSON can hold it."""
    explained = explain(entry="/app.wasm#_start", cwd="/srv", readonly=True)
    document = explained.to_dict()
    assert json.loads(json.dumps(document)) == document
    assert document["classification"] == explained.classification.to_dict()
    assert (document["runs_on"], document["isolation"], document["problem"], document["hint"]) == (
        "wasmtime",
        "inline",
        "",
        "",
    )
    assert [(item["engine"], item["chosen"]) for item in document["engines"]] == [("wasmtime", True), ("wasm3", False)]
    assert [item["row"] for item in document["rules"] if item["outcome"] == "applies"] == [3]
    assert document["guest"] == {
        "argv": ["/app.wasm"],
        "function": "_start",
        "environment": ["PWD"],
        "cwd": "/srv",
        "directories": [{"path": "/", "source": f"{explained.bundle}/rootfs", "read_only": True}],
        "left_out": [],
        "limits": {"time": None, "memory": None, "fuel": None},
    }


@pytest.mark.parametrize(
    ("annotations", "row"),
    [
        ({"io.kubernetes.cri.container-type": "sandbox"}, 1),
        ({"run.oci.handler": "wasm-smart"}, 4),
        ({"run.oci.handler": "wasm3"}, 5),
        ({"run.oci.handler": "krun"}, 6),
        ({"io.kubernetes.cri.container-name": "a", "module.wasm.image/variant.a": "compat"}, 7),
        ({"module.wasm.image/variant": "compat"}, 8),
        ({"module.wasm.image/variant": "compat-smart"}, 9),
        ({"module.wasm.image/variant": "x"}, 10),
        ({}, 12),
    ],
)
def test_every_rule_is_accounted_for(
    explain: Callable[..., Explanation], annotations: dict[str, str], row: int
) -> None:
    """Exactly one rule applies, those before it don't, and those behind it were not reached."""
    outcomes = [rule.outcome for rule in explain(annotations=annotations).rules]
    place = [rule.row for rule in RULES].index(row)
    behind = len(RULES) - place - 1
    assert outcomes == ["does not apply"] * place + ["applies"] + ["not reached"] * behind


def test_forced_handler_is_a_rule(explain: Callable[..., Explanation]) -> None:
    """A handler that is forced from outside is explained as well."""
    explained = explain(annotations={}, dispatcher={"forced": "wasm3"})
    assert [rule.row for rule in explained.rules if rule.outcome == "applies"] == [0]
    assert explained.runs_on == "wasm3"
    assert "because the handler 'wasm3' is forced from outside" in str(explained)


def test_warning_is_shown(explain: Callable[..., Explanation]) -> None:
    """What a log would say is in the explanation."""
    assert "\n  warning: the annotation module.wasm.image/variant is 'x'; " in str(
        explain(annotations={"module.wasm.image/variant": "x"})
    )


def test_native_workload(explain: Callable[..., Explanation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A native workload has the runtime that would run it, and no engines."""
    (tmp_path / "youki").write_text("#!/bin/sh\n")
    (tmp_path / "youki").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    explained = explain(annotations={}, extra={"linux": {"namespaces": [{"type": "mount"}]}})
    assert (explained.runs_on, explained.engines, explained.module, explained.guest) == (
        f"youki ({tmp_path}/youki)",
        (),
        {},
        {},
    )
    assert f"\n  runs on youki ({tmp_path}/youki)\n" in str(explained)


def test_annotation_that_never_arrived(explain: Callable[..., Explanation]) -> None:
    """A native workload whose program is WebAssembly is told of, with the line that is missing; an ELF program isn't."""
    made = {"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.container-name": "shop"}
    explained = explain(annotations=made)
    line = 'pod_annotations = ["module.wasm.image/variant", "module.wasm.image/variant.*", "run.oci.handler"]'
    lines = str(explained).splitlines()
    assert lines[lines.index("rules") - 6 : lines.index("rules")] == [
        "  but '/app.wasm' begins as WebAssembly does, and no annotation about it arrived (made by containerd)",
        "    let containerd pass it on, in the table of the runtime:",
        f"      {line}",
        "      (written by: wasmoci config containerd --write)",
        "    and annotate the pod itself, as the image's own don't count:",
        "      module.wasm.image/variant: compat-smart",
    ]
    document = json.loads(json.dumps(explained.to_dict()))["missing"]
    assert (document["origin"], document["fixes"][0]["line"]) == ("containerd", line)
    assert explain(wasm=b"\x7fELF", annotations=made).missing is None
    assert explain().missing is None


def test_native_workload_without_a_runtime(
    explain: Callable[..., Explanation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no runtime is installed the explanation says so, and what to do."""
    monkeypatch.setattr(runtimes, "installed", tuple)
    explained = explain(annotations={})
    assert explained.runs_on is None
    assert str(explained).splitlines()[2:4] == [
        "  can't be run: the workload is native, and none of crun, runc and youki is installed",
        "  install one of them, as with: apt-get install crun",
    ]


PROBLEMS: list[tuple[dict[str, Any], str]] = [
    ({"entry": "/missing.wasm"}, "/missing.wasm: isn't in the root file system"),
    ({"entry": "/app.wasm#run"}, "/app.wasm: exports no function 'run'; it exports _start"),
    ({"wasm": b"text"}, "/app.wasm: byte 0x0: "),
    ({"mounts": [("/no/such", "/data")]}, "$.mounts[0].source: /no/such doesn't exist on the host"),
    ({"extra": {"process": {"args": ["/app.wasm"], "cwd": "/app.wasm"}}}, "$.process.cwd: '/app.wasm': "),
]


@pytest.mark.parametrize(("options", "problem"), PROBLEMS)
def test_workload_that_nobody_can_run(
    explain: Callable[..., Explanation], options: dict[str, Any], problem: str
) -> None:
    """What is wrong with a workload is part of the explanation, and no exception."""
    explained = explain(**options)
    assert explained.problem.startswith(problem)
    assert explained.runs_on is None
    assert f"\n  can't be run: {problem}" in str(explained)
    assert json.loads(json.dumps(explained.to_dict())) == explained.to_dict()


def test_no_engine_fits(explain: Callable[..., Explanation]) -> None:
    """Each engine that was passed over has its reason."""
    explained = explain(Recorder("a", refusal="lacks simd"), Recorder("b", FULL - {Capability.WASI_PREVIEW1}))
    assert explained.problem == "no engine can run the workload"
    lines = str(explained).splitlines()
    assert lines[2] == "  can't be run: no engine can run the workload"
    place = lines.index("engines")
    assert lines[place + 1 : place + 3] == [
        "     a  a lacks simd",
        "     b  b doesn't offer what the workload needs: wasi-preview1",
    ]


def test_named_engine_cannot(explain: Callable[..., Explanation]) -> None:
    """An engine that was named and can't is the problem, and others are suggested."""
    explained = explain(Recorder("a", refusal="lacks simd"), Recorder("b"), engine="a")
    assert (explained.problem, explained.hint) == ("a lacks simd", "engines that can run it: b")
    assert [(item.engine, item.chosen, item.reason) for item in explained.engines] == [("a", False, "a lacks simd")]


def test_named_engine_is_unknown(explain: Callable[..., Explanation]) -> None:
    """A name that nobody has is the problem."""
    explained = explain(engine="v8")
    assert explained.problem == "no engine is called 'v8'; registered are: wasm3, wasmtime"


def test_limits_choose_the_place(explain: Callable[..., Explanation]) -> None:
    """What the caller would ask for is part of the decision."""
    weak = Recorder("a", FULL - {Capability.TIME_LIMIT})
    assert explain(weak, limits=Limits(time=1.0)).isolation == "process"
    assert explain(weak).isolation == "inline"
    assert explain(weak, isolation=Isolation.PROCESS).isolation == "process"
    refused = explain(weak, limits=Limits(time=1.0), isolation=Isolation.INLINE)
    assert refused.engines[0].reason == "a can't hold a time limit for this workload in the caller's process"


def test_contradiction_is_an_error(explain: Callable[..., Explanation]) -> None:
    """Where annotations and caller contradict each other there is nothing to explain."""
    with pytest.raises(InvalidSpec):
        explain(dispatcher={"forced": "wasm3"})


def test_public_function(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    """``wasmoci.explain`` takes a directory; one that is no bundle is an error."""
    explained = wasmoci.explain(str(make_bundle(PROGRAM)))
    assert isinstance(explained, wasmoci.Explanation)
    assert explained.classification.kind is wasmoci.Kind.WASM
    with pytest.raises(InvalidBundle):
        wasmoci.explain(tmp_path / "missing")


paths = st.lists(
    st.sampled_from(["etc", "link", "loop", "dangling", "up", "app.wasm", "new", "..", ".", "", "\n", "ä", "a" * 260]),
    max_size=5,
).map(lambda names: "/" + "/".join(names))
mounts = st.fixed_dictionaries(
    {
        "destination": st.one_of(paths, st.sampled_from(["/data", "/etc", "/up", "/link/x"])),
        "type": st.sampled_from(["bind", "tmpfs", "proc"]),
        "source": st.sampled_from(
            ["rootfs", "rootfs/etc", "rootfs/app.wasm", "rootfs/loop", "/dev/null", "/proc/self"]
        ),
    },
    optional={"options": st.lists(st.sampled_from(["ro", "rw", "rbind"]), max_size=2)},
)
processes = st.fixed_dictionaries(
    {"args": st.one_of(st.just(["/app.wasm"]), st.just(["app.wasm"]), st.lists(paths, max_size=1))},
    optional={"cwd": paths, "env": st.lists(st.sampled_from(["PATH=/etc:/link:/loop:", "PATH=", "A=b"]), max_size=2)},
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(mounts=st.lists(mounts, max_size=3), process=processes)
def test_any_files_can_be_explained(tmp_path: Path, mounts: list[dict[str, Any]], process: dict[str, Any]) -> None:
    """Whatever links, mounts and paths come together, there is an explanation, and a run where it says so."""
    rootfs = tmp_path / "rootfs"
    if not rootfs.exists():
        (rootfs / "etc").mkdir(parents=True)
        (rootfs / "app.wasm").write_bytes(PROGRAM)
        for name, target in {"link": "/etc", "loop": "loop", "dangling": "/nowhere", "up": "../../.."}.items():
            (rootfs / name).symlink_to(target)
    document = {"ociVersion": "1.0.2", "process": process, "root": {"path": "rootfs"}, "mounts": mounts}
    spec = Spec.from_dict({**document, "annotations": {"run.oci.handler": "wasm3"}}, directory=str(tmp_path))
    dispatcher = Dispatcher(settings=Settings(native_runtime="sh"), registry=Handlers(Recorder("wasm3")))
    bundle = Bundle(tmp_path, spec, rootfs)
    explained = explain_bundle(Request(bundle), dispatcher)
    assert (explained.runs_on is None) is bool(explained.problem)
    if explained.runs_on == "wasm3":
        assert dispatcher.run(bundle).ok

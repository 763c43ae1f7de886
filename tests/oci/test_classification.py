"""The table "Classification": each row, which row comes first, and the smart check with and without files."""

from __future__ import annotations

import itertools
import logging
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wasmoci
from wasmoci.errors import InvalidSpec
from wasmoci.oci.classification import RULES, Classification, Detection, Kind, classify
from wasmoci.oci.spec import Mount, Process, Spec

if TYPE_CHECKING:
    from pathlib import Path

HANDLER, VARIANT = "run.oci.handler", "module.wasm.image/variant"
CRI_TYPE, CRIO_TYPE = "io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"
CRI_NAME, CRIO_NAME = "io.kubernetes.cri.container-name", "io.kubernetes.container.name"
HANDLERS = ("wasmtime", "wasmer", "wasm3")

WASM, NATIVE = Kind.WASM, Kind.NATIVE
MODULE = b"\0asm\1\0\0\0"
ELF = b"\x7fELF\2\1\1\0"


def spec(program: str | None = "/app.wasm", *, cwd: str = "/", **fields: Any) -> Spec:
    """A spec with a program and annotations; None is a spec without a process."""
    process = None if program is None else Process(args=(program, "arg"), cwd=cwd, env=fields.pop("env", ()))
    return Spec(process=process, **fields)


def decide(annotations: dict[str, str], program: str | None = "/app.wasm", **options: Any) -> Classification:
    """A decision on annotations alone."""
    return classify(spec(program, annotations=annotations), handlers=lambda: HANDLERS, **options)


ROWS: list[tuple[int, dict[str, str], str | None, Kind]] = [
    (1, {CRI_TYPE: "sandbox"}, "/pause", NATIVE),
    (1, {CRIO_TYPE: "sandbox"}, "/pause.wasm", NATIVE),
    (2, {}, None, NATIVE),
    (2, {HANDLER: "wasm"}, None, NATIVE),
    (3, {HANDLER: "wasm"}, "/bin/anything", WASM),
    (4, {HANDLER: "wasm-smart"}, "/app.wasm", WASM),
    (4, {HANDLER: "wasm-smart"}, "/bin/sh", NATIVE),
    *((5, {HANDLER: name}, "/bin/anything", WASM) for name in HANDLERS),
    *((6, {HANDLER: name}, "/app.wasm", NATIVE) for name in ("krun", "", "WASM", "Wasm", " wasm", "wasm ", "compat")),
    (7, {CRI_NAME: "web", f"{VARIANT}.web": "compat"}, "/bin/anything", WASM),
    (7, {CRIO_NAME: "web", f"{VARIANT}.web": "compat"}, "/bin/anything", WASM),
    (7, {CRI_NAME: "web", f"{VARIANT}.web": "compat-smart"}, "/app.wasm", WASM),
    (7, {CRI_NAME: "web", f"{VARIANT}.web": "compat-smart"}, "/bin/sh", NATIVE),
    (7, {CRI_NAME: "web", f"{VARIANT}.web": "other"}, "/app.wasm", NATIVE),
    (7, {CRI_NAME: "web", f"{VARIANT}.web": ""}, "/app.wasm", NATIVE),
    (8, {VARIANT: "compat"}, "/bin/anything", WASM),
    (9, {VARIANT: "compat-smart"}, "/app.wasm", WASM),
    (9, {VARIANT: "compat-smart"}, "/bin/sh", NATIVE),
    *(
        (10, {VARIANT: value}, "/app.wasm", NATIVE)
        for value in ("", "wasm", "Compat", "compat ", "smart", "wasm-smart")
    ),
    (12, {}, "/app.wasm", NATIVE),
    (12, {CRI_TYPE: "container", CRIO_TYPE: "container"}, "/app.wasm", NATIVE),
    (12, {CRI_TYPE: "Sandbox"}, "/app.wasm", NATIVE),
    (12, {CRI_NAME: "web", f"{VARIANT}.other": "compat"}, "/app.wasm", NATIVE),
    (12, {f"{VARIANT}.web": "compat"}, "/app.wasm", NATIVE),
    (12, {CRI_NAME: "", f"{VARIANT}.": "compat"}, "/app.wasm", NATIVE),
    (12, {"RUN.OCI.HANDLER": "wasm", f"{VARIANT}s": "compat", "run.oci.handler.x": "wasm"}, "/app.wasm", NATIVE),
]


@pytest.mark.parametrize(("row", "annotations", "program", "kind"), ROWS)
def test_row(row: int, annotations: dict[str, str], program: str | None, kind: Kind) -> None:
    """Each row applies when its condition holds, and decides as the table says."""
    found = decide(annotations, program)
    assert (found.rule, found.kind) == (row, kind)


# For each row annotations that make it apply, with a container's name for row 7.
APPLIES: dict[int, dict[str, str]] = {
    1: {CRI_TYPE: "sandbox"},
    3: {HANDLER: "wasm"},
    4: {HANDLER: "wasm-smart"},
    5: {HANDLER: "wasm3"},
    6: {HANDLER: "krun"},
    7: {CRI_NAME: "web", f"{VARIANT}.web": "compat-smart"},
    8: {VARIANT: "compat"},
    9: {VARIANT: "compat-smart"},
    10: {VARIANT: "unknown"},
    12: {},
}


def compatible(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether both can stand in one spec."""
    return all(one[key] == other[key] for key in one.keys() & other.keys())


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in itertools.combinations(APPLIES, 2) if compatible(*map(APPLIES.get, pair))],  # type: ignore[arg-type]
)
def test_row_that_comes_first_decides(first: int, second: int) -> None:
    """Of two rows that apply the earlier decides, in whatever order the annotations stand."""
    one, two = APPLIES[first], APPLIES[second]
    assert {decide({**one, **two}).rule, decide({**two, **one}).rule} == {first}


@pytest.mark.parametrize("row", [row for row in APPLIES if row > 2])
def test_nothing_to_run_comes_before_annotations(row: int) -> None:
    """A spec without a program is native, whatever its annotations say."""
    assert decide(APPLIES[row], None).rule == 2
    assert classify(Spec(process=Process(), annotations=APPLIES[row]), handlers=lambda: HANDLERS).rule == 2


def test_sandbox_comes_before_nothing_to_run() -> None:
    """The first row is the first."""
    assert decide(APPLIES[1], None).rule == 1


@pytest.mark.parametrize("value", ["wasm", "wasm-smart", "wasm3", "krun", ""])
def test_handler_shadows_every_variant(value: str) -> None:
    """Where ``run.oci.handler`` is there, no variant is looked at, as in crun."""
    variants = {VARIANT: "compat", CRI_NAME: "web", f"{VARIANT}.web": "compat"}
    assert decide({HANDLER: value, **variants}) == decide({HANDLER: value})


@pytest.mark.parametrize("own", ["compat", "compat-smart", "native", ""])
@pytest.mark.parametrize("pod", ["compat", "compat-smart", "native", ""])
def test_own_variant_shadows_the_pods(own: str, pod: str) -> None:
    """A container's own variant decides, whatever its pod's is, in both ways."""
    named = {CRI_NAME: "web", f"{VARIANT}.web": own}
    assert decide({**named, VARIANT: pod}, "/bin/sh").kind is decide(named, "/bin/sh").kind
    assert decide({**named, VARIANT: pod}, "/bin/sh").rule == 7


def test_one_pod_many_containers() -> None:
    """A pod's annotations reach all its containers; each heeds its own."""
    pod = {f"{VARIANT}.web": "compat", f"{VARIANT}.proxy": "native", VARIANT: "compat-smart"}
    kinds = {name: decide({**pod, CRIO_NAME: name}, "/usr/bin/run").kind for name in ("web", "proxy", "db")}
    assert kinds == {"web": WASM, "proxy": NATIVE, "db": NATIVE}


@pytest.mark.parametrize(
    ("annotations", "engine"), [({HANDLER: "wasm3"}, "wasm3"), ({HANDLER: "wasm"}, None), ({VARIANT: "compat"}, None)]
)
def test_engine_is_the_one_that_was_named(annotations: dict[str, str], engine: str | None) -> None:
    """Only row 5 names an engine."""
    assert decide(annotations).engine == engine


def test_registered_handlers_are_the_default() -> None:
    """Without a list of handlers those that are registered count."""
    assert wasmoci.classify(spec(annotations={HANDLER: "wasm3"})).rule == 5
    assert wasmoci.classify(spec(annotations={HANDLER: "krun"})).rule == 6


@pytest.mark.parametrize("annotations", [{VARIANT: "other"}, {CRI_NAME: "web", f"{VARIANT}.web": "other"}])
def test_unknown_variant_warns(annotations: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """A variant that is misspelled is run natively, and logged."""
    with caplog.at_level(logging.WARNING, "wasmoci"):
        found = decide(annotations)
    key = next(key for key in annotations if key.startswith(VARIANT))
    expected = f"the annotation {key} is 'other'; compat or compat-smart was expected; the container runs natively"
    assert (found.warning, caplog.messages) == (expected, [expected])


def test_unknown_handler_warns() -> None:
    """A handler that nobody has is left to the native runtime, with a word about it; crun's own are meant."""
    warning = decide({HANDLER: "wasmtim"}).warning
    assert warning is not None
    assert warning.startswith(f"the annotation {HANDLER} is 'wasmtim'; one of wasm, wasm-smart, ")
    assert decide({HANDLER: "krun"}).warning is None


def test_variant_of_a_name_needs_one() -> None:
    """Where the spec has no container's name, an annotation for one says that it can't apply."""
    found = decide({f"{VARIANT}.web": "compat"})
    assert (found.kind, found.rule) == (NATIVE, 12)
    assert f"the annotation {VARIANT}.web can't apply, as the spec has no container's name" in str(found.warning)
    assert decide({f"{VARIANT}.web": "compat", CRI_NAME: "db"}).warning is None


@pytest.mark.parametrize(("row", "annotations", "program", "kind"), ROWS)
def test_known_rows_warn_of_nothing(
    row: int, annotations: dict[str, str], program: str | None, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    """Only a value that nobody knows is worth a warning, and a name that nobody has."""
    is_unknown = {
        6: annotations.get(HANDLER) != "krun",
        7: not any(value.startswith("compat") for value in annotations.values()),
        10: True,
        12: any(key.startswith(f"{VARIANT}.") for key in annotations)
        and not (annotations.get(CRI_NAME) or annotations.get(CRIO_NAME)),
    }
    decide(annotations, program)
    assert bool(caplog.messages) is is_unknown.get(row, False)


@pytest.mark.parametrize(
    ("annotations", "key", "value", "reason"),
    [
        (
            {CRI_TYPE: "sandbox"},
            CRI_TYPE,
            "sandbox",
            f"the annotation {CRI_TYPE}=sandbox says that it is a pod's sandbox",
        ),
        ({HANDLER: "wasm"}, HANDLER, "wasm", f"the annotation {HANDLER}=wasm asks for Wasm"),
        (
            {HANDLER: "wasm-smart"},
            HANDLER,
            "wasm-smart",
            f"the annotation {HANDLER}=wasm-smart leaves it to the program: '/app.wasm' ends in .wasm or .wat",
        ),
        ({HANDLER: "wasm3"}, HANDLER, "wasm3", f"the annotation {HANDLER}=wasm3 names the engine wasm3"),
        (
            {HANDLER: "krun"},
            HANDLER,
            "krun",
            f"the annotation {HANDLER}=krun names none of our engines and is left to the native runtime",
        ),
        (
            {CRI_NAME: "web", f"{VARIANT}.web": "compat"},
            f"{VARIANT}.web",
            "compat",
            f"the annotation {VARIANT}.web=compat asks for Wasm",
        ),
        ({}, None, None, "no annotation makes it Wasm"),
    ],
)
def test_decision_explains_itself(annotations: dict[str, str], key: str | None, value: str | None, reason: str) -> None:
    """A decision has the annotation, its value, and a sentence about both."""
    found = decide(annotations)
    assert (found.annotation, found.value, found.reason) == (key, value, reason)


def test_to_dict() -> None:
    """The same as plain data."""
    assert decide({HANDLER: "wasm3"}).to_dict() == {
        "kind": "wasm",
        "rule": 5,
        "reason": f"the annotation {HANDLER}=wasm3 names the engine wasm3",
        "annotation": HANDLER,
        "value": "wasm3",
        "engine": "wasm3",
        "warning": None,
    }


SUFFIXES = [
    ("/app.wasm", WASM),
    ("/app.wat", WASM),
    ("app.wasm", WASM),
    (".wasm", WASM),
    ("/APP.WASM", WASM),
    ("/app.Wat", WASM),
    ("/app.wasm#main", WASM),
    ("/app#x.wasm", WASM),
    ("/app", NATIVE),
    ("/app.wasm.sh", NATIVE),
    ("/app.wasm/", NATIVE),
    ("/app.wasm ", NATIVE),
    ("/appwasm", NATIVE),
    ("/wasm", NATIVE),
    ("", NATIVE),
    ("#main", NATIVE),
]


@pytest.mark.parametrize(("program", "kind"), SUFFIXES)
@pytest.mark.parametrize(
    "annotations", [{HANDLER: "wasm-smart"}, {VARIANT: "compat-smart"}], ids=["handler", "variant"]
)
def test_smart_by_name_as_crun(annotations: dict[str, str], program: str, kind: Kind) -> None:
    """Without files the name's end decides, in any case of letters; a function behind it doesn't count."""
    assert decide(annotations, program).kind is kind


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """A root file system with programs of all kinds, and a host outside of it."""
    root = tmp_path / "rootfs"
    (tmp_path / "outside").write_bytes(MODULE)
    (tmp_path / "outside.wasm").write_bytes(ELF)
    files = {
        "app.wasm": MODULE,
        "app": MODULE,
        "module.txt": MODULE,
        "elf": ELF,
        "elf.wasm": ELF,
        "script.wasm": b"#!/bin/sh\n",
        "script": b"#!/bin/sh\n",
        "text.wat": b"(module)",
        "text": b"(module)",
        "empty.wasm": b"",
        "empty": b"",
        "short.wasm": b"\0a",
        "srv/tool": MODULE,
        "srv/tool.wasm": ELF,
        "usr/bin/cmd": MODULE,
        "bin/cmd": ELF,
        "outside": ELF,
        "outside.wasm": MODULE,
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "directory.wasm").mkdir()
    os.mkfifo(root / "fifo.wasm")
    links = {
        "to-module": "app",
        "absolute": "/app",
        "absolute.wasm": "/elf",
        "escape.wasm": str(tmp_path / "outside"),
        "up": "../outside",
        "up.wasm": "../../../../outside.wasm",
        "loop.wasm": "loop.wasm",
        "dangling.wasm": "/nowhere",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    return root


CONTENTS = [
    ("/app.wasm", WASM, "begins as WebAssembly does"),
    ("/app", WASM, "begins as WebAssembly does"),
    ("/app#main", WASM, "begins as WebAssembly does"),
    ("/module.txt", WASM, "begins as WebAssembly does"),
    ("/elf", NATIVE, "is an ELF program"),
    ("/elf.wasm", NATIVE, "is an ELF program"),
    ("/elf.wasm#main", NATIVE, "is an ELF program"),
    ("/script.wasm", NATIVE, "is a script"),
    ("/script", NATIVE, "is a script"),
    ("/text.wat", WASM, "(its first bytes are neither WebAssembly's nor a native program's)"),
    ("/text", NATIVE, "(its first bytes are neither WebAssembly's nor a native program's)"),
    ("/empty.wasm", WASM, "(its first bytes are neither WebAssembly's nor a native program's)"),
    ("/empty", NATIVE, "(its first bytes are neither WebAssembly's nor a native program's)"),
    ("/short.wasm", WASM, "(its first bytes are neither WebAssembly's nor a native program's)"),
    ("/missing.wasm", WASM, "(it can't be read in the root file system)"),
    ("/missing", NATIVE, "(it can't be read in the root file system)"),
    ("/directory.wasm", WASM, "(it can't be read in the root file system)"),
    ("/fifo.wasm", WASM, "(it can't be read in the root file system)"),
    ("/loop.wasm", WASM, "(it can't be read in the root file system)"),
    ("/dangling.wasm", WASM, "(it can't be read in the root file system)"),
    ("/to-module", WASM, "begins as WebAssembly does"),
    ("/absolute", WASM, "begins as WebAssembly does"),
    ("/absolute.wasm", NATIVE, "is an ELF program"),
    ("/escape.wasm", WASM, "(it can't be read in the root file system)"),
    ("/up", NATIVE, "is an ELF program"),
    ("/up.wasm", WASM, "begins as WebAssembly does"),
    ("srv/tool", WASM, "begins as WebAssembly does"),
    ("./srv/tool.wasm", NATIVE, "is an ELF program"),
    ("/srv/../elf", NATIVE, "is an ELF program"),
]


@pytest.mark.parametrize(("program", "kind", "reason"), CONTENTS)
def test_smart_by_content(rootfs: Path, program: str, kind: Kind, reason: str) -> None:
    """The first bytes decide whatever the name; links stay inside; what can't be read is judged by its name."""
    found = classify(spec(program, annotations={HANDLER: "wasm-smart"}), rootfs, handlers=lambda: HANDLERS)
    assert (found.kind, found.rule) == (kind, 4)
    assert found.reason.endswith(reason)


@pytest.mark.parametrize(
    ("program", "options", "kind"),
    [
        ("tool", {"cwd": "/srv"}, WASM),
        ("./tool", {"cwd": "/srv"}, WASM),
        ("./tool.wasm", {"cwd": "/srv"}, NATIVE),
        ("../elf", {"cwd": "/srv"}, NATIVE),
        ("cmd", {}, WASM),
        ("cmd", {"env": ("PATH=/bin:/usr/bin",)}, NATIVE),
        ("cmd", {"env": ("PATH=/nowhere:/directory.wasm:/usr/bin:/bin",)}, WASM),
        ("cmd", {"env": ("PATH=bin",)}, NATIVE),
        ("tool", {"env": ("PATH=/bin",), "cwd": "/srv"}, WASM),
        ("directory.wasm", {"env": ("PATH=/:/srv",)}, WASM),
    ],
)
def test_smart_finds_the_program_as_a_run_does(rootfs: Path, program: str, options: dict[str, Any], kind: Kind) -> None:
    """A relative program is looked for in ``PATH`` and in the working directory."""
    found = classify(spec(program, annotations={VARIANT: "compat-smart"}, **options), rootfs, handlers=lambda: HANDLERS)
    assert found.kind is kind


@pytest.mark.parametrize("where", ["/opt", "/srv"])
def test_smart_sees_bind_mounts(rootfs: Path, where: str) -> None:
    """A program in a bind mount is read there, and not in what the mount hides."""
    source = rootfs.parent / "mounted"
    source.mkdir()
    (source / "tool.wasm").write_bytes(MODULE)
    (source / "tool").write_bytes(ELF)
    mounts = (Mount(destination=where, source=str(source), type="bind"),)
    kinds = [
        classify(
            spec(f"{where}/{name}", annotations={HANDLER: "wasm-smart"}, mounts=mounts),
            rootfs,
            handlers=lambda: HANDLERS,
        ).kind
        for name in ("tool", "tool.wasm")
    ]
    assert kinds == [NATIVE, WASM]


def test_smart_sees_what_a_tmpfs_hides(rootfs: Path) -> None:
    """A program beneath a tmpfs isn't there any more."""
    mounts = (Mount(destination="/srv", type="tmpfs"),)
    found = classify(
        spec("/srv/tool", annotations={HANDLER: "wasm-smart"}, mounts=mounts), rootfs, handlers=lambda: HANDLERS
    )
    assert found.kind is NATIVE


@pytest.mark.parametrize(
    "mount",
    [
        Mount(destination="/data", source="/no/such/thing", type="bind"),
        Mount(destination="/a/../b", type="tmpfs"),
        Mount(destination="/data", source="server:/x", type="nfs"),
    ],
)
def test_smart_does_not_stumble_over_mounts(rootfs: Path, mount: Mount) -> None:
    """A mount that a guest can't have is no reason not to classify: a native container may well have it."""
    for program, kind in (("/elf.wasm", NATIVE), ("/app", WASM)):
        asked = spec(program, annotations={HANDLER: "wasm-smart"}, mounts=(mount,))
        assert classify(asked, rootfs, handlers=lambda: HANDLERS).kind is kind


def test_smart_without_its_root(rootfs: Path) -> None:
    """A root file system that is gone is no crash."""
    asked = spec("/app.wasm", annotations={HANDLER: "wasm-smart"})
    assert classify(asked, rootfs / "missing", handlers=lambda: HANDLERS).kind is WASM


@pytest.mark.parametrize(
    ("program", "kind", "rule"),
    [
        ("/app", WASM, 11),
        ("/elf.wasm", NATIVE, 11),
        ("/script", NATIVE, 11),
        ("/text.wat", NATIVE, 12),
        ("/empty.wasm", NATIVE, 12),
        ("/missing.wasm", NATIVE, 12),
    ],
)
def test_detection_by_content(rootfs: Path, program: str, kind: Kind, rule: int) -> None:
    """The policy ``content`` heeds the content alone, and only where no annotation speaks."""
    found = classify(spec(program), rootfs, handlers=lambda: HANDLERS, detection=Detection.CONTENT)
    assert (found.kind, found.rule) == (kind, rule)


@pytest.mark.parametrize("row", [row for row in APPLIES if row < 11])
def test_detection_comes_after_all_annotations(rootfs: Path, row: int) -> None:
    """An annotation decides, whatever the policy."""
    asked = spec("/app", annotations=APPLIES[row])
    assert classify(asked, rootfs, handlers=lambda: HANDLERS, detection=Detection.CONTENT).rule == row


def test_detection_without_files_decides_nothing() -> None:
    """Without a root file system there is no content."""
    assert decide({}, detection=Detection.CONTENT).rule == 12


@pytest.mark.parametrize("forced", ["wasm", "wasm3", "wasmtime"])
@pytest.mark.parametrize("row", [row for row in APPLIES if row not in (1, 3, 4, 5, 6)])
def test_forced_handler(forced: str, row: int) -> None:
    """A handler that is forced from outside makes everything Wasm, on the engine that it names."""
    found = decide(APPLIES[row], "/bin/sh", forced=forced)
    assert (found.kind, found.rule) == (WASM, 0)
    assert found.engine == (None if forced == "wasm" else forced)


@pytest.mark.parametrize("key", [CRI_TYPE, CRIO_TYPE])
def test_sandbox_is_native_even_where_a_handler_is_forced(key: str) -> None:
    """A pod's sandbox is native, with whatever annotations."""
    assert decide({key: "sandbox"}, forced="wasm").rule == 1
    assert decide({key: "sandbox", HANDLER: "wasm"}, forced="wasm").rule == 1


@pytest.mark.parametrize("value", ["wasm", "wasm-smart", "wasm3", "krun", ""])
def test_forced_handler_and_annotation_contradict(value: str) -> None:
    """A spec that asks for a handler by itself is refused where one is forced, as crun does."""
    with pytest.raises(InvalidSpec) as caught:
        decide({HANDLER: value}, forced="wasm")
    assert caught.value.path == '$.annotations["run.oci.handler"]'
    assert caught.value.hint == "drop the annotation, or don't force a handler"


def test_rules_are_the_table() -> None:
    """The rows come in the table's order; a forced handler stands between what is never Wasm and the annotations."""
    assert [rule.row for rule in RULES] == [1, 2, 0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]


# The table once more, written down as plainly as can be, with nothing of the code's.
def oracle(annotations: dict[str, str], program: str | None, content: str, detection: Detection) -> tuple[int, Kind]:  # noqa: PLR0911
    """Row and kind; ``content`` is wasm, native, other (neither), missing or unknown (no root file system)."""

    def smart() -> Kind:
        if content in ("wasm", "native"):
            return {"wasm": WASM, "native": NATIVE}[content]
        name = (program or "").lower()
        return WASM if name.endswith((".wasm", ".wat")) else NATIVE

    def variant(value: str) -> tuple[int, Kind]:
        return {"compat": (8, WASM), "compat-smart": (9, smart())}.get(value, (10, NATIVE))

    get = annotations.get
    if "sandbox" in (get(CRI_TYPE), get(CRIO_TYPE)):
        return 1, NATIVE
    if program is None:
        return 2, NATIVE
    if HANDLER in annotations:
        rows = {"wasm": (3, WASM), "wasm-smart": (4, smart()), **dict.fromkeys(HANDLERS, (5, WASM))}
        return rows.get(annotations[HANDLER], (6, NATIVE))
    own = f"{VARIANT}.{get(CRI_NAME) or get(CRIO_NAME)}"
    if (get(CRI_NAME) or get(CRIO_NAME)) and own in annotations:
        return 7, variant(annotations[own])[1]
    if VARIANT in annotations:
        return variant(annotations[VARIANT])
    if detection is Detection.CONTENT and content in ("wasm", "native"):
        return 11, smart()
    return 12, NATIVE


NAMES = ("web", "db")
some_annotations = st.fixed_dictionaries(
    {},
    optional={
        CRI_TYPE: st.sampled_from(["sandbox", "container"]),
        CRIO_TYPE: st.sampled_from(["sandbox", "container"]),
        CRI_NAME: st.sampled_from([*NAMES, ""]),
        CRIO_NAME: st.sampled_from([*NAMES, ""]),
        HANDLER: st.sampled_from(["wasm", "wasm-smart", *HANDLERS, "krun", "", "compat"]),
        VARIANT: st.sampled_from(["compat", "compat-smart", "other", ""]),
        **{f"{VARIANT}.{name}": st.sampled_from(["compat", "compat-smart", "other", ""]) for name in (*NAMES, "")},
        "other": st.text(max_size=3),
    },
)
CONTENT = {"wasm": MODULE, "native": ELF, "other": b"(module)"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
@given(
    annotations=some_annotations,
    program=st.sampled_from([None, "/app", "/app.wasm", "/app.wat", "/APP.WASM", "/app.sh"]),
    content=st.sampled_from([*CONTENT, "missing", "unknown"]),
    detection=st.sampled_from(Detection),
)
def test_any_spec_is_classified_as_the_table_says(
    tmp_path: Path, annotations: dict[str, str], program: str | None, content: str, detection: Detection
) -> None:
    """Whatever annotations, program and files come together, the decision is that of the table."""
    root = tmp_path / "rootfs"
    root.mkdir(exist_ok=True)
    for left in root.iterdir():
        left.unlink()
    if program is not None and content in CONTENT:
        (root / program.strip("/")).write_bytes(CONTENT[content])
    asked = spec(program, annotations=annotations)
    found = classify(asked, None if content == "unknown" else root, handlers=lambda: HANDLERS, detection=detection)
    assert (found.rule, found.kind) == oracle(annotations, program, content, detection)

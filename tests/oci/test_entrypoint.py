"""Which program runs, and with what: the arguments, the environment, and where the program is found."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.leak_check import no_descriptor_left
from wasmoci.errors import EntrypointError, EntrypointNotFound, InvalidModule, InvalidSpec, WasmociError
from wasmoci.oci.entrypoint import Entrypoint, first_bytes
from wasmoci.oci.filesystem import plan
from wasmoci.oci.spec import Mount, Process, Spec
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from pathlib import Path

EMPTY = b"\0asm\1\0\0\0"


def of(*args: str, **process: Any) -> Entrypoint:
    """The entry point of a process."""
    return Entrypoint.of(Spec(process=Process(args=args, **process)))


@pytest.mark.parametrize(
    ("first", "program", "function"),
    [
        ("/app.wasm", "/app.wasm", None),
        ("/app.wasm#main", "/app.wasm", "main"),
        ("app#a#b", "app", "a#b"),
        ("/ä b.wasm#wasi:cli/run@0.2.0#run", "/ä b.wasm", "wasi:cli/run@0.2.0#run"),
    ],
)
def test_function_is_cut_from_the_program(first: str, program: str, function: str | None) -> None:
    """What comes behind the first ``#`` is a function, and no part of argv."""
    found = of(first, "#x", "", "a b")
    assert (found.program, found.function, found.argv) == (program, function, (program, "#x", "", "a b"))


@pytest.mark.parametrize("first", ["", "#", "#main", "/app.wasm#"])
def test_program_that_is_none(first: str) -> None:
    """A program and, if there is a mark, a function are needed."""
    with pytest.raises(InvalidSpec) as caught:
        of(first)
    expected = (
        f"$.process.args[0]: found {first!r}; a path, or a path and a function as in /app.wasm#main, was expected"
    )
    assert caught.value.message == expected


@pytest.mark.parametrize(("spec", "path"), [(Spec(), "$.process"), (Spec(process=Process()), "$.process.args")])
def test_nothing_to_run(spec: Spec, path: str) -> None:
    """A spec without a program is told what it lacks."""
    with pytest.raises(InvalidSpec) as caught:
        Entrypoint.of(spec)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("variable", "pair"),
    [
        ("A=b", ("A", "b")),
        ("A=", ("A", "")),
        ("A=b=c", ("A", "b=c")),
        (" A = b ", (" A ", " b ")),
        ("Ä=ö\n", ("Ä", "ö\n")),
    ],
)
def test_environment_is_split_at_the_first_mark(variable: str, pair: tuple[str, str]) -> None:
    """Nothing is trimmed, and the order is kept."""
    assert of("/x", env=("Z=1", variable, "Z=2")).env == (("Z", "1"), pair, ("Z", "2"))


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_arguments_are_unchanged(args: list[str]) -> None:
    """Any argument arrives as it is."""
    assert of("/app.wasm", *args).argv == ("/app.wasm", *args)


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """A root file system with programs in many places, and a host around it."""
    root = tmp_path / "rootfs"
    for name in ("app.wasm", "srv/app.wasm", "bin/tool", "usr/bin/tool", "srv/local", "opt/PATH.wasm"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        # Each with a custom section that has its own path, so that one can tell which was read.
        text = name.encode()
        (root / name).write_bytes(EMPTY + bytes([0, len(text) + 1, len(text)]) + text)
    (root / "sbin" / "tool").mkdir(parents=True)
    (tmp_path / "outside.wasm").write_bytes(EMPTY)
    os.mkfifo(root / "fifo")
    (root / "text").write_text("#!/bin/sh\n")
    (root / "empty").write_bytes(b"")
    for name, target in {
        "absolute": "/srv/app.wasm",
        "up": "../../../srv/app.wasm",
        "directory": "srv",
        "escape": str(tmp_path / "outside.wasm"),
        "loop": "loop",
        "dangling": "nowhere",
        "device": "/dev/null",
        "chain": "absolute",
    }.items():
        (root / name).symlink_to(target)
    return root


def load(rootfs: Path, program: str, *, mounts: tuple[Mount, ...] = (), **process: Any) -> Module:
    """Read a program as a run does; no descriptor may be left."""
    spec = Spec(process=Process(args=(program,), **process), mounts=mounts)
    with no_descriptor_left(), plan(spec, rootfs).materialise() as files:
        return Entrypoint.of(spec).load(files)


FOUND = [
    ("/app.wasm", {}, "app.wasm"),
    ("//srv/./app.wasm", {}, "srv/app.wasm"),
    ("/srv/../app.wasm", {}, "app.wasm"),
    ("./app.wasm", {}, "app.wasm"),
    ("./app.wasm", {"cwd": "/srv"}, "srv/app.wasm"),
    ("../app.wasm", {"cwd": "/srv"}, "app.wasm"),
    ("srv/app.wasm", {}, "srv/app.wasm"),
    ("app.wasm", {"cwd": "/srv"}, "srv/app.wasm"),
    ("app.wasm", {"cwd": "/directory"}, "srv/app.wasm"),
    ("tool", {}, "usr/bin/tool"),
    ("tool", {"env": ("PATH=/bin",)}, "bin/tool"),
    ("tool", {"env": ("PATH=/sbin:/bin",)}, "bin/tool"),
    ("tool", {"env": ("PATH=:/bin",), "cwd": "/usr/bin"}, "usr/bin/tool"),
    ("tool", {"env": ("PATH=bin",), "cwd": "/usr"}, "usr/bin/tool"),
    ("tool", {"env": ("PATH=",)}, "usr/bin/tool"),
    ("local", {"env": ("PATH=/bin",), "cwd": "/srv"}, "srv/local"),
    ("app.wasm#main", {"cwd": "/srv"}, "srv/app.wasm"),
    ("/absolute", {}, "srv/app.wasm"),
    ("/up", {}, "srv/app.wasm"),
    ("/chain", {}, "srv/app.wasm"),
    ("/directory/app.wasm", {}, "srv/app.wasm"),
    ("/directory/../app.wasm", {}, "app.wasm"),
]


@pytest.mark.parametrize(("program", "process", "expected"), FOUND)
def test_program_is_found(rootfs: Path, program: str, process: dict[str, Any], expected: str) -> None:
    """A program is found as a native one would be: by its path, in ``PATH``, then in the working directory."""
    module = load(rootfs, program, **process)
    assert module.data == (rootfs / expected).read_bytes()
    assert module.source == program.partition("#")[0]


NOT_FOUND = [
    ("/missing.wasm", {}, "/missing.wasm: isn't in the root file system {root}"),
    ("missing.wasm", {}, "missing.wasm: isn't in any directory of PATH, nor in the working directory /"),
    ("missing", {"cwd": "/srv"}, "missing: isn't in any directory of PATH, nor in the working directory /srv"),
    ("/app.wasm/", {}, "/app.wasm/: isn't in the root file system {root}"),
    ("/app.wasm/below", {}, "/app.wasm/below: isn't in the root file system {root}"),
    ("/dangling", {}, "/dangling: isn't in the root file system {root}"),
    ("/escape", {}, "/escape: isn't in the root file system {root}"),
    ("/device", {}, "/device: isn't in the root file system {root}"),
]


@pytest.mark.parametrize(("program", "process", "message"), NOT_FOUND)
@pytest.mark.parametrize("mounts", [(), (Mount(destination="/tmp", type="tmpfs"),)], ids=["plain", "with mounts"])
def test_program_that_is_not_there(
    rootfs: Path, program: str, process: dict[str, Any], message: str, mounts: tuple[Mount, ...]
) -> None:
    """The error names the path and the root file system, and a command exits with 127."""
    with pytest.raises(EntrypointNotFound) as caught:
        load(rootfs, program, mounts=mounts, **process)
    assert caught.value.message == message.format(root=rootfs)
    assert caught.value.exit_status == 127


REFUSED = [
    ("/srv", "/srv: is a directory; a Wasm file was expected"),
    ("/directory", "/directory: is a directory; a Wasm file was expected"),
    ("/", "/: is a directory; a Wasm file was expected"),
    ("/fifo", "/fifo: is a special file; a Wasm file was expected"),
    ("/loop", "/loop: can't be opened: Too many levels of symbolic links"),
    ("/" + "x" * 300, "/" + "x" * 300 + ": can't be opened: File name too long"),
    ("/../app.wasm", "/../app.wasm: leads out of the root file system"),
    ("/../../outside.wasm", "/../../outside.wasm: leads out of the root file system"),
]


@pytest.mark.parametrize(("program", "message"), REFUSED)
@pytest.mark.parametrize("mounts", [(), (Mount(destination="/tmp", type="tmpfs"),)], ids=["plain", "with mounts"])
def test_program_that_cannot_be_run(rootfs: Path, program: str, message: str, mounts: tuple[Mount, ...]) -> None:
    """The error says what is there instead, and a command exits with 126; nothing blocks."""
    with pytest.raises(EntrypointError) as caught:
        load(rootfs, program, mounts=mounts)
    assert (caught.value.message, caught.value.exit_status) == (message, 126)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_program_that_is_unreadable(rootfs: Path) -> None:
    """A file without permissions can't be run."""
    (rootfs / "app.wasm").chmod(0)
    with pytest.raises(EntrypointError, match="can't be opened: Permission denied"):
        load(rootfs, "/app.wasm")


@pytest.mark.parametrize("program", ["/text", "/empty"])
def test_program_that_is_no_wasm(rootfs: Path, program: str) -> None:
    """What isn't WebAssembly is told with the guest's name for it."""
    with pytest.raises(InvalidModule) as caught:
        load(rootfs, program)
    assert caught.value.source == program
    assert caught.value.exit_status == 126


@pytest.mark.parametrize(
    ("cwd", "problem"),
    [
        ("/app.wasm", "'/app.wasm': is not a directory"),
        ("/loop", "'/loop': /loop: can't be opened: Too many levels of symbolic links"),
        ("/fifo", "'/fifo': is not a directory"),
    ],
)
def test_working_directory_that_is_none(rootfs: Path, cwd: str, problem: str) -> None:
    """A working directory that is there has to be a directory."""
    with pytest.raises(InvalidSpec) as caught:
        load(rootfs, "/app.wasm", cwd=cwd)
    assert caught.value.message == "$.process.cwd: " + problem.format(root=rootfs)


def test_program_and_directory_in_mounts(rootfs: Path, tmp_path: Path) -> None:
    """A program may be in a mount, may be a mount, and the working directory may be a tmpfs."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "new.wasm").write_bytes(EMPTY)
    mounts = (
        Mount(destination="/data", source=str(source), type="bind"),
        Mount(destination="/one.wasm", source=str(source / "new.wasm"), type="bind"),
        Mount(destination="/work", type="tmpfs"),
    )
    for program in ("/data/new.wasm", "../data/new.wasm", "/one.wasm"):
        assert load(rootfs, program, mounts=mounts, cwd="/work").data == EMPTY


@given(
    st.lists(st.sampled_from(["..", ".", "", "srv", "absolute", "escape", "up", "loop", "x", "app.wasm"]), max_size=6)
)
def test_no_path_leaves_the_root(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    """Whatever a path is made of, nothing outside is read."""
    root = tmp_path_factory.getbasetemp() / "walled" / "rootfs"
    if not root.exists():
        (root / "srv").mkdir(parents=True)
        (root / "app.wasm").write_bytes(EMPTY)
        for place in (root.parent, root.parent.parent):
            for name in ("x", "srv.wasm", "app.wasm"):
                (place / name).write_bytes(b"\0asm outside")
        links = {"absolute": "/srv", "escape": str(root.parent), "up": "../../..", "loop": "loop"}
        for name, target in links.items():
            (root / name).symlink_to(target)
            (root / "srv" / name).symlink_to(target)
    program = "/" + "/".join(names)
    assert first_bytes(Spec(process=Process(args=(program,))), root, 8) in (None, EMPTY)


MODULE = Module.from_bytes(
    # (module (func (export "_start")) (func (export "add") (param i32 i32)) (global (export "g") i32 (i32.const 0)))
    EMPTY
    + bytes.fromhex("0109026000006002 7f7f00".replace(" ", ""))
    + bytes.fromhex("03030200 01".replace(" ", ""))
    + bytes.fromhex("0606017f0041000b")
    + bytes.fromhex("071403065f73746172740000036164640001016703 00".replace(" ", ""))
    + bytes.fromhex("0a070202000b02000b"),
    source="/app.wasm",
)


def test_entry_function_that_is_there() -> None:
    """The default and a named function without parameters will do."""
    of("/app.wasm").check_function(MODULE)
    of("/app.wasm#_start").check_function(MODULE)


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ("/app.wasm#run", "/app.wasm: exports no function 'run'; it exports _start, add"),
        ("/app.wasm#g", "/app.wasm: exports no function 'g'; it exports _start, add"),
        (
            "/app.wasm#add",
            "/app.wasm: the function 'add' takes 2 parameters; one without parameters was expected",
        ),
    ],
)
def test_entry_function_that_cannot_be_called(first: str, message: str) -> None:
    """The error names the function, and those that are there."""
    with pytest.raises(EntrypointError) as caught:
        of(first).check_function(MODULE)
    assert (caught.value.message, caught.value.exit_status) == (message, 126)


def test_module_without_any_function() -> None:
    """A library is told how to be called."""
    with pytest.raises(EntrypointError) as caught:
        of("/app.wasm").check_function(Module.from_bytes(EMPTY, source="/app.wasm"))
    assert caught.value.message == "/app.wasm: exports no function '_start'; it exports no function at all"
    assert caught.value.hint == "a program exports _start; to call a function of a library, name it: /lib.wasm#function"


@pytest.mark.parametrize("program", ["/app.wasm", "/srv", "/missing", "/fifo", "/loop", "/text", ""])
def test_first_bytes_never_raise(rootfs: Path, program: str) -> None:
    """A look at a program gives its first bytes, or nothing."""
    expected = {"/app.wasm": EMPTY[:4], "/text": b"#!/b"}.get(program)
    spec = Spec(process=Process(args=(program,)))
    with no_descriptor_left():
        assert first_bytes(spec, rootfs, 4) == expected
        assert first_bytes(attrs.evolve(spec, process=None), rootfs, 4) is None
        assert first_bytes(spec, rootfs / "missing", 4) is None


def test_errors_are_ours() -> None:
    """Everything that is wrong with a program is an error of wasmoci."""
    assert all(issubclass(kind, WasmociError) for kind in (EntrypointError, EntrypointNotFound, InvalidModule))

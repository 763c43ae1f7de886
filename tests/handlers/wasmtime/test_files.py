"""The files that guests see on wasmtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wasmoci.wasi import Errno

if TYPE_CHECKING:
    from pathlib import Path

    from tests.handlers.wasmtime.conftest import Run

FILES = {"/etc/real": "R", "/data/x": "X", "/work/local": "L"}
LINKS = {
    "/absolute": "/etc/real",
    "/etc/relative": "real",
    "/etc/above": "../../../etc/real",
    "/chain": "/absolute",
    "/dir": "/data",
    "/data/back": "/etc",
    "/dangling": "/data/new",
    "/loop": "/loop",
}


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("read /absolute", "read /absolute: R"),
        ("read /etc/relative", "read /etc/relative: R"),
        ("read /etc/above", "read /etc/above: R"),
        ("read /chain", "read /chain: R"),
        ("read /dir/x", "read /dir/x: X"),
        ("read /dir/back/real", "read /dir/back/real: R"),
        ("list /dir", "list /dir: back x"),
        ("write /dangling new", "wrote /dangling: 3"),
        ("write /dir/y text", "wrote /dir/y: 4"),
        ("mkdir /dir/sub", "mkdir /dir/sub: done"),
        ("rm /dir/x", "rm /dir/x: done"),
        ("rm /absolute", "rm /absolute: done"),
        ("mv /dir/x /dir/back/moved", "mv /dir/x: done"),
        ("ln /dir/x /dir/hard", "ln /dir/x: done"),
        ("readlink /absolute", "readlink /absolute: /etc/real"),
        ("read /loop", "read /loop: ELOOP"),
        ("read /dir/missing", "read /dir/missing: ENOENT"),
        ("read ../../etc/real", "read ../../etc/real: EPERM"),
    ],
)
def test_links(run: Run, command: str, line: str) -> None:
    """Links lead to places in the root file system, wherever in a path they are."""
    result = run("files", *command.split(), files=FILES, symlinks=LINKS)
    assert result.stdout is not None
    if command == "read /loop":  # by wasmtime's own errno
        assert result.exit_code == 1
        return
    assert result.stdout.decode().splitlines() == [line]


def test_link_written_through(run: Run, tmp_path: Path) -> None:
    """A file made through a dangling link is made where the link leads to."""
    result = run("files", "write", "/dangling", "new", ",", "read", "/data/new", files=FILES, symlinks=LINKS)
    assert result.stdout == b"wrote /dangling: 3\nread /data/new: new\n"
    assert (tmp_path / "bundle/rootfs/data/new").read_text() == "new"


REMOVING = """(module
  (import "wasi_snapshot_preview1" "path_remove_directory" (func $remove (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "NAME")
  (func (export "_start") (call $exit (call $remove (i32.const 3) (i32.const 0) (i32.const LENGTH)))))"""


@pytest.mark.parametrize(
    ("name", "errno"),
    [("empty/", 0), ("empty//", 0), ("data/", 55), ("data/x/", 54), ("missing/", 44), ("/", 63)],
)
def test_directory_is_removed_by_a_name_with_a_slash(run: Run, name: str, errno: int) -> None:
    """As ``rmdir`` has it, and the public test suite of WASI."""
    guest = REMOVING.replace("NAME", name).replace("LENGTH", str(len(name)))
    result = run(guest.encode(), files=FILES, directories=["/empty"])
    assert result.exit_code == errno


GIVING_UP = """(module
  (import "wasi_snapshot_preview1" "fd_fdstat_set_rights" (func $set (param i32 i64 i64) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory" (func $make (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "new")
  (func (export "_start")
    (if (call $set (i32.const 3) (i64.const 0) (i64.const 0)) (then (call $exit (i32.const 1))))
    (call $exit (call $make (i32.const 3) (i32.const 0) (i32.const 3)))))"""


def test_rights_that_are_given_up(run: Run) -> None:
    """Whether or not wasmtime's own WASI has rights, a guest that gives them up has them no more all the same."""
    assert run(GIVING_UP.encode()).exit_code == Errno.NOTCAPABLE


RELATIVE = """(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_renumber" (func $renumber (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "data") (data (i32.const 32) "back/real") (data (i32.const 64) "etc")
  (func $must (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))
  (func (export "_start")
    (call $must (call $open (i32.const 3) (i32.const 1) (i32.const 16) (i32.const 4) (i32.const 2)
      (i64.const 0x2000) (i64.const 0x2002) (i32.const 0) (i32.const 0)))
    %s
    (call $must (call $open (i32.load (i32.const 0)) (i32.const 1) (i32.const 32) (i32.const 9) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 4)))
    (call $exit (i32.const 99))))"""
RENUMBER = """(call $must (call $open (i32.const 3) (i32.const 1) (i32.const 64) (i32.const 3) (i32.const 2)
      (i64.const 0x2000) (i64.const 0x2002) (i32.const 0) (i32.const 8)))
    (call $must (call $renumber (i32.load (i32.const 0)) (i32.load (i32.const 8))))
    (i32.store (i32.const 0) (i32.load (i32.const 8)))"""


@pytest.mark.parametrize("between", ["", RENUMBER], ids=["opened", "renumbered"])
def test_link_from_opened_directory(run: Run, between: str) -> None:
    """A link is resolved as well where the path starts from a directory that the guest opened."""
    assert run(RELATIVE % between, files=FILES, symlinks=LINKS).exit_code == 99


@pytest.mark.parametrize(
    ("pointer", "length", "errno"),
    [(65530, 100, 21), (2**32 - 1, 2**32 - 1, 21), (0, 4095, 44), (0, 4096, 37), (16, 0, 44)],
    ids=["past the end", "absurd", "longest", "too long", "empty"],
)
def test_pointers(run: Run, pointer: int, length: int, errno: int) -> None:
    """A path that isn't in memory, or is too long, is an errno."""
    text = f"""(module
      (import "wasi_snapshot_preview1" "path_unlink_file" (func $f (param i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1) (data (i32.const 0) "{"x/" * 2048}")
      (func (export "_start") (call $exit (call $f (i32.const 3) (i32.const {pointer}) (i32.const {length})))))"""
    assert run(text).exit_code == errno


def test_working_directory(run: Run, tmp_path: Path) -> None:
    """Relative paths start in it, absolute ones in the root, links lead where they lead in a container."""
    commands = "read local , read /etc/real , read out , write made text , write /etc/made text , list ."
    result = run("files", *commands.split(), cwd="/work", files=FILES, symlinks={"/work/out": "../etc/real"})
    assert result.stdout == (
        b"read local: L\nread /etc/real: R\nread out: R\nwrote made: 4\nwrote /etc/made: 4\nlist .: local made out\n"
    )
    assert (tmp_path / "bundle/rootfs/work/made").exists()
    assert (tmp_path / "bundle/rootfs/etc/made").exists()


def test_mounts(run: Run, tmp_path: Path) -> None:
    """A mount is seen from wherever one comes, and covers what is there."""
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "f").write_text("F")
    (volume / "link").symlink_to("/etc/real")
    commands = "read vol/f , read /work/vol/f , read vol/hidden , read vol/link , write vol/new n , list vol"
    result = run(
        "files",
        *commands.split(),
        cwd="/work",
        files={**FILES, "/work/vol/hidden": "H"},
        mounts=[(volume, "/work/vol")],
    )
    assert result.stdout == (
        b"read vol/f: F\nread /work/vol/f: F\nread vol/hidden: ENOENT\nread vol/link: R\nwrote vol/new: 1\n"
        b"list vol: f link new\n"
    )
    assert (volume / "new").read_text() == "n"


def test_file_mount(run: Run, tmp_path: Path) -> None:
    """A single file is mounted, and nothing beside it."""
    file = tmp_path / "config"
    file.write_text("C")
    result = run("files", "read", "/etc/app", ",", "list", "/etc", files=FILES, mounts=[(file, "/etc/app")])
    assert result.stdout == b"read /etc/app: C\nlist /etc: app real\n"

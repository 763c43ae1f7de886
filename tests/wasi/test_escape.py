"""While a guest opens paths, somebody swaps directories for links: nothing outside is ever reached."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.wasi.harness import READ, ROOT, WRITE, Guest
from wasmoci.wasi import FileTree, Mount, Oflags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.heavy

SECONDS = 0.4  # of trying, in each test


# Another process, so that it runs at the same time as the guest. The directory is gone, a link, and back, in turns.
SWAP = """
import os, sys
directory, aside, decoy, target = sys.argv[1:]
while True:
    os.rename(directory, aside)
    os.symlink(target, decoy)
    os.rename(decoy, directory)
    os.unlink(directory)
    os.rename(aside, directory)
"""
MOVE = """
import os, sys
here, there = sys.argv[1:]
while True:
    os.rename(here, there)
    os.rename(there, here)
"""


@contextlib.contextmanager
def running(script: str, *arguments: Path | str) -> Iterator[None]:
    """Run a script of Python's until the block ends."""
    with subprocess.Popen([sys.executable, "-S", "-c", script, *map(str, arguments)]) as process:
        try:
            yield
            assert process.poll() is None, "it has to run until now"
        finally:
            process.kill()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What must not be reached: a directory laid out like the one within."""
    directory = tmp_path / "outside"
    (directory / "b/c").mkdir(parents=True)
    for place in ("file", "b/file", "b/c/file"):
        (directory / place).write_text("outside")
    return directory


def state(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything beneath a directory: links, times of modification, contents."""
    return {
        str(path.relative_to(directory)): (
            path.lstat().st_nlink,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in [directory, *directory.rglob("*")]
    }


def read(guest: Guest) -> None:
    """Open for reading through the swapped directory; what is read is from within."""
    for path in ("a/file", "a/b/file", "a/b/c/file", "a/b/../file", "a/../a/b/file"):
        if guest.try_open(path, 0, READ) == "SUCCESS":
            fd = guest.number(32764)
            content = guest.read(fd)
            guest.call("fd_close", fd)
            assert content == b"inside"


def change(guest: Guest) -> None:
    """Write, make, link, rename and remove through the swapped directory."""
    text = guest.text
    if guest.try_open("a/b/new", Oflags.CREAT, WRITE) == "SUCCESS":
        guest.call("fd_close", guest.number(32764))
    if guest.try_open("a/b/c/file", Oflags.TRUNC, READ) == "SUCCESS":
        guest.call("fd_close", guest.number(32764))
    guest.name("path_create_directory", ROOT, *text("a/b/directory"))
    guest.name("path_filestat_set_times", ROOT, 1, *text("a/b/c/file"), 1, 1, 5)
    guest.name("path_symlink", *text("x"), ROOT, *text("a/b/link", 1))
    guest.name("path_link", ROOT, 0, *text("a/b/file"), ROOT, *text("a/hard", 1))
    guest.name("path_rename", ROOT, *text("a/b/file"), ROOT, *text("a/moved", 1))
    guest.name("path_rename", ROOT, *text("a/moved"), ROOT, *text("a/b/file", 1))
    for name in ("a/b/new", "a/b/link", "a/hard"):
        guest.name("path_unlink_file", ROOT, *text(name))
    guest.name("path_remove_directory", ROOT, *text("a/b/directory"))


@pytest.mark.parametrize("use", [read, change])
@pytest.mark.parametrize("with_mounts", [False, True], ids=["plain", "mounts"])
@pytest.mark.parametrize("link", ["absolute", "relative"])
def test_swapping_a_directory_for_a_link(
    root: Path,
    outside: Path,
    use_openat2: bool,  # noqa: FBT001
    with_mounts: bool,  # noqa: FBT001
    link: str,
    use: Callable[[Guest], None],
) -> None:
    """Whatever the moment, a path stays within, or fails."""
    (root / "a/b/c").mkdir(parents=True)
    for place in ("a/file", "a/b/file", "a/b/c/file"):
        (root / place).write_text("inside")
    (root.parent / "mounted").mkdir()
    mounts = [Mount(root.parent / "mounted", "/a/mounted"), Mount(root.parent / "mounted", "/m")] if with_mounts else []
    before = state(outside)
    target = outside if link == "absolute" else os.path.relpath(outside, root)
    guest = Guest(preopens=FileTree(root, mounts=mounts).preopens(), use_openat2=use_openat2)
    with guest, running(SWAP, root / "a", root / "aside", root / "decoy", target):
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            use(guest)
    assert state(outside) == before


def test_swapping_a_directory_that_a_path_goes_up_from(
    root: Path,
    outside: Path,
    use_openat2: bool,  # noqa: FBT001
) -> None:
    """A directory that is moved out of the root while a path passes through it isn't a way up and out."""
    (root / "a/b").mkdir(parents=True)
    (root / "file").write_text("inside")
    (root / "up").symlink_to("a/b/../../file")
    seen = set()
    with Guest(root, use_openat2=use_openat2) as guest:
        directory = guest.directory("a")
        with running(MOVE, root / "a/b", outside / "b/moved"):
            ends = time.monotonic() + SECONDS
            while time.monotonic() < ends:
                for path, fd in (("a/b/../../file", ROOT), ("up", ROOT), ("b/../../file", directory)):
                    errno = guest.try_open(path, 0, READ, directory=fd)
                    seen.add(errno)
                    if errno == "SUCCESS":
                        opened = guest.number(32764)
                        seen.add(guest.read(opened).decode())
                        guest.call("fd_close", opened)
    assert seen <= {"SUCCESS", "inside", "NOENT", "PERM"}
    assert "inside" in seen


def test_a_directory_moved_out_of_a_mount_is_no_way_out(root: Path, tmp_path: Path, use_openat2: bool) -> None:  # noqa: FBT001
    """Two mounts of nested directories: what is moved from one to the other doesn't lead above either."""
    shared = tmp_path / "shared"
    (shared / "inner/directory").mkdir(parents=True)
    (shared / "inner/directory/up").symlink_to("../../../secret")
    tree = FileTree(root, mounts=[Mount(shared, "/outer"), Mount(shared / "inner", "/inner")])
    with Guest(preopens=tree.preopens(), use_openat2=use_openat2) as guest:
        directory = guest.directory("inner/directory")
        moved = (guest.text("outer/inner/directory"), guest.text("outer/directory", 1))
        assert guest.name("path_rename", ROOT, *moved[0], ROOT, *moved[1]) == "SUCCESS"
        assert guest.try_open("up", 0, READ, directory=directory) == "NOENT"
        assert guest.try_open("../secret", 0, READ, directory=directory) == "PERM"
        assert guest.try_open("outer/directory/up", 0, READ) == "NOENT"

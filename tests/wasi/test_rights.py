"""Rights are enforced: looked up with the descriptor, shrunk, inherited."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wasi.harness import EVERYTHING, READ, ROOT, WRITE, Guest
from wasmoci.wasi import Oflags, Rights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

R = Rights


def rights(guest: Guest, fd: int) -> tuple[int, int]:
    """The base and the inheriting rights of a descriptor."""
    assert guest.name("fd_fdstat_get", fd, 0) == "SUCCESS"
    return guest.number(8, 8), guest.number(16, 8)


def poll_read(guest: Guest, fd: int) -> str:
    """Wait for a descriptor to be readable."""
    guest.put(512, bytes(8) + b"\1" + bytes(7) + fd.to_bytes(4, "little") + bytes(28))
    return guest.name("poll_oneoff", 512, 1024, 1, 600)


# Every use of a file and of a directory, with the rights that it needs and what is said without one of them.
FILE_USES: list[tuple[str, int, str, Callable[[Guest, int], str]]] = [
    ("fd_datasync", R.FD_DATASYNC, "NOTCAPABLE", lambda g, fd: g.name("fd_datasync", fd)),
    ("fd_sync", R.FD_SYNC, "NOTCAPABLE", lambda g, fd: g.name("fd_sync", fd)),
    ("fd_read", R.FD_READ, "BADF", lambda g, fd: g.name("fd_read", fd, 0, 0, 0)),
    ("fd_write", R.FD_WRITE, "BADF", lambda g, fd: g.name("fd_write", fd, 0, 0, 0)),
    ("fd_pread without read", R.FD_READ, "BADF", lambda g, fd: g.name("fd_pread", fd, 0, 0, 0, 0)),
    ("fd_pread without seek", R.FD_SEEK, "NOTCAPABLE", lambda g, fd: g.name("fd_pread", fd, 0, 0, 0, 0)),
    ("fd_pwrite without write", R.FD_WRITE, "BADF", lambda g, fd: g.name("fd_pwrite", fd, 0, 0, 0, 0)),
    ("fd_pwrite without seek", R.FD_SEEK, "NOTCAPABLE", lambda g, fd: g.name("fd_pwrite", fd, 0, 0, 0, 0)),
    ("fd_seek", R.FD_SEEK, "NOTCAPABLE", lambda g, fd: g.name("fd_seek", fd, 0, 0, 0)),
    ("fd_tell", R.FD_TELL, "NOTCAPABLE", lambda g, fd: g.name("fd_tell", fd, 0)),
    ("fd_advise", R.FD_ADVISE, "NOTCAPABLE", lambda g, fd: g.name("fd_advise", fd, 0, 0, 0)),
    ("fd_allocate", R.FD_ALLOCATE, "NOTCAPABLE", lambda g, fd: g.name("fd_allocate", fd, 0, 1)),
    ("fd_filestat_get", R.FD_FILESTAT_GET, "NOTCAPABLE", lambda g, fd: g.name("fd_filestat_get", fd, 0)),
    ("fd_filestat_set_size", R.FD_FILESTAT_SET_SIZE, "NOTCAPABLE", lambda g, fd: g.name("fd_filestat_set_size", fd, 0)),
    (
        "fd_filestat_set_times",
        R.FD_FILESTAT_SET_TIMES,
        "NOTCAPABLE",
        lambda g, fd: g.name("fd_filestat_set_times", fd, 0, 0, 0),
    ),
    (
        "fd_fdstat_set_flags",
        R.FD_FDSTAT_SET_FLAGS,
        "NOTCAPABLE",
        lambda g, fd: g.name("fd_fdstat_set_flags", fd, 0),
    ),
    ("poll", R.POLL_FD_READWRITE, "NOTCAPABLE", poll_read),
]

DIRECTORY_USES: list[tuple[str, int, str, Callable[[Guest, int], str]]] = [
    ("open", R.PATH_OPEN, "NOTCAPABLE", lambda g, fd: g.try_open("file", 0, 0, directory=fd)),
    ("create", R.PATH_CREATE_FILE, "NOTCAPABLE", lambda g, fd: g.try_open("new", Oflags.CREAT, 0, directory=fd)),
    ("truncate", R.PATH_FILESTAT_SET_SIZE, "PERM", lambda g, fd: g.try_open("file", Oflags.TRUNC, 0, directory=fd)),
    ("mkdir", R.PATH_CREATE_DIRECTORY, "NOTCAPABLE", lambda g, fd: g.name("path_create_directory", fd, *g.text("new"))),
    (
        "rmdir",
        R.PATH_REMOVE_DIRECTORY,
        "NOTCAPABLE",
        lambda g, fd: g.name("path_remove_directory", fd, *g.text("empty")),
    ),
    ("unlink", R.PATH_UNLINK_FILE, "NOTCAPABLE", lambda g, fd: g.name("path_unlink_file", fd, *g.text("file"))),
    ("readlink", R.PATH_READLINK, "NOTCAPABLE", lambda g, fd: g.name("path_readlink", fd, *g.text("link"), 0, 9, 16)),
    ("stat", R.PATH_FILESTAT_GET, "NOTCAPABLE", lambda g, fd: g.name("path_filestat_get", fd, 0, *g.text("file"), 0)),
    (
        "times",
        R.PATH_FILESTAT_SET_TIMES,
        "NOTCAPABLE",
        lambda g, fd: g.name("path_filestat_set_times", fd, 0, *g.text("file"), 0, 0, 0),
    ),
    (
        "symlink",
        R.PATH_SYMLINK,
        "NOTCAPABLE",
        lambda g, fd: g.name("path_symlink", *g.text("x"), fd, *g.text("new", 1)),
    ),
    (
        "link from",
        R.PATH_LINK_SOURCE,
        "NOTCAPABLE",
        lambda g, fd: g.name("path_link", fd, 0, *g.text("file"), ROOT, *g.text("new", 1)),
    ),
    (
        "link to",
        R.PATH_LINK_TARGET,
        "NOTCAPABLE",
        lambda g, fd: g.name("path_link", ROOT, 0, *g.text("file"), fd, *g.text("new", 1)),
    ),
    (
        "rename from",
        R.PATH_RENAME_SOURCE,
        "NOTCAPABLE",
        lambda g, fd: g.name("path_rename", fd, *g.text("file"), ROOT, *g.text("new", 1)),
    ),
    (
        "rename to",
        R.PATH_RENAME_TARGET,
        "NOTCAPABLE",
        lambda g, fd: g.name("path_rename", ROOT, *g.text("file"), fd, *g.text("new", 1)),
    ),
    ("readdir", R.FD_READDIR, "NOTCAPABLE", lambda g, fd: g.name("fd_readdir", fd, 0, 9, 0, 16)),
    ("filestat", R.FD_FILESTAT_GET, "NOTCAPABLE", lambda g, fd: g.name("fd_filestat_get", fd, 0)),
    (
        "set times",
        R.FD_FILESTAT_SET_TIMES,
        "NOTCAPABLE",
        lambda g, fd: g.name("fd_filestat_set_times", fd, 0, 0, 0),
    ),
]


@pytest.fixture
def files(root: Path) -> Path:
    """Something for each use to be used on."""
    (root / "file").write_text("data")
    (root / "empty").mkdir()
    (root / "link").symlink_to("file")
    return root


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(("right", "refusal", "use"), [u[1:] for u in FILE_USES], ids=[u[0] for u in FILE_USES])
@pytest.mark.parametrize("how", ["opened without", "given up"])
def test_files_are_used_as_far_as_rights_go(
    guest: Guest, right: int, refusal: str, use: Callable[[Guest, int], str], how: str
) -> None:
    """With the right it works, without it is refused, however it came to be missing."""
    assert use(guest, guest.open("file")) in {"SUCCESS", "NOTSUP"}
    fd = guest.open("file", 0, EVERYTHING & ~right if how == "opened without" else EVERYTHING)
    if how == "given up":
        base, inheriting = rights(guest, fd)
        assert guest.name("fd_fdstat_set_rights", fd, base & ~right, inheriting) == "SUCCESS"
    assert rights(guest, fd)[0] == R.FILE & ~right
    assert use(guest, fd) == refusal


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("right", "refusal", "use"), [u[1:] for u in DIRECTORY_USES], ids=[u[0] for u in DIRECTORY_USES]
)
@pytest.mark.parametrize("how", ["opened without", "given up"])
def test_directories_are_used_as_far_as_rights_go(
    guest: Guest, right: int, refusal: str, use: Callable[[Guest, int], str], how: str
) -> None:
    """The same for directories; nothing happens where it is refused."""
    fd = guest.directory(".", (EVERYTHING & ~right if how == "opened without" else EVERYTHING) & ~WRITE)
    if how == "given up":
        base, inheriting = rights(guest, fd)
        assert guest.name("fd_fdstat_set_rights", fd, base & ~right, inheriting) == "SUCCESS"
    assert rights(guest, fd)[0] == R.DIRECTORY & ~right
    assert use(guest, fd) == refusal
    assert use(guest, guest.directory(".")) == "SUCCESS"


@pytest.mark.usefixtures("files")
def test_rights_are_inherited(guest: Guest) -> None:
    """What a directory doesn't let be inherited, nothing beneath it ever has."""
    kept = R.FD_READ | R.PATH_OPEN | R.FD_SEEK
    directory = guest.directory(".", EVERYTHING & ~WRITE, inheriting=kept)
    assert rights(guest, directory) == (R.DIRECTORY, kept)
    below = guest.directory(".", EVERYTHING & ~WRITE, directory=directory)
    assert rights(guest, below) == (R.PATH_OPEN, kept)
    file = guest.open("file", 0, EVERYTHING & ~WRITE, directory=below)
    assert rights(guest, file) == (R.FD_READ | R.FD_SEEK, kept)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("wanted", [READ, WRITE, READ | WRITE])
def test_reading_and_writing_that_cannot_be_inherited_fails_at_once(guest: Guest, wanted: int) -> None:
    """A program learns from opening a file that it can't use it."""
    directory = guest.directory(".", R.PATH_OPEN, inheriting=EVERYTHING & ~wanted)
    assert guest.try_open("file", 0, wanted, directory=directory) == "NOTCAPABLE"
    assert guest.try_open("file", 0, R.FD_SEEK, directory=directory) == "SUCCESS"


def test_rights_only_shrink(guest: Guest) -> None:
    """What was given up, or never there, can't be had."""
    base, inheriting = rights(guest, ROOT)
    set_rights = "fd_fdstat_set_rights"
    assert guest.name(set_rights, ROOT, base | R.FD_READ, inheriting) == "NOTCAPABLE"
    assert guest.name(set_rights, ROOT, base, inheriting | 1 << 60) == "NOTCAPABLE"
    assert guest.name(set_rights, ROOT, -1, -1) == "NOTCAPABLE"
    assert guest.name(set_rights, ROOT, base, R.FD_READ) == "SUCCESS"
    assert guest.name(set_rights, ROOT, base, inheriting) == "NOTCAPABLE"
    assert rights(guest, ROOT) == (base, R.FD_READ)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("directory", {"fd_read": "BADF", "fd_seek": "BADF", "fd_sync": "BADF", "poll": "BADF", "fd_fdstat_set_flags": "BADF"}),
        ("stdin", {"fd_write": "BADF", "fd_seek": "SPIPE", "fd_pread without read": "SPIPE", "fd_sync": "BADF"}),
        ("stdout", {"fd_read": "BADF", "fd_tell": "SPIPE", "fd_pwrite without write": "SPIPE", "poll": "BADF"}),
        ("nothing", dict.fromkeys((use[0] for use in FILE_USES), "BADF")),
    ],
)  # fmt: skip
def test_other_kinds_are_refused_as_by_wasmtime(guest: Guest, kind: str, expected: dict[str, str]) -> None:
    """A use that makes no sense for what a descriptor is."""
    fd = {"directory": ROOT, "stdin": 0, "stdout": 1, "nothing": 77}[kind]
    uses = {name: use for name, _, _, use in FILE_USES}
    assert {name: uses[name](guest, fd) for name in expected} == expected


@pytest.mark.usefixtures("files")
def test_a_file_is_no_directory(guest: Guest) -> None:
    """Opening from it is NOTDIR, everything else BADF."""
    fd = guest.open("file")
    results = {name: use(guest, fd) for name, right, _, use in DIRECTORY_USES if right & ~R.FILE}
    expected = {name: "NOTDIR" if name in {"open", "create", "truncate"} else "BADF" for name in results}
    assert results == expected

"""Beside wasmtime: the same calls on the same files, the same errno values and bytes."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.wasi import test_paths, test_tree
from tests.wasi.harness import EVERYTHING, READ, ROOT, SCRATCH, WRITE, Guest
from tests.wasi.native import NativeGuest
from wasmoci.wasi import Fdflags, Preopen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Case = Callable[[Guest], Any]

pytestmark = pytest.mark.heavy

populated = test_paths.populated


def opened(kind: str) -> Callable[[Guest], int]:
    """How a case gets a descriptor of some kind."""
    return {
        "file": lambda g: g.open("file", 0, EVERYTHING),
        "read-only file": lambda g: g.open("file", 0, EVERYTHING & ~WRITE),
        "write-only file": lambda g: g.open("file", 0, EVERYTHING & ~READ),
        "directory": lambda g: g.directory("etc"),
        "preopen": lambda _: ROOT,
        "stdin": lambda _: 0,
        "stdout": lambda _: 1,
        "closed": lambda _: 77,
        "negative": lambda _: -1,
    }[kind]


KINDS = ("file", "read-only file", "write-only file", "directory", "preopen", "stdin", "stdout", "closed", "negative")


def on_descriptor(name: str, *arguments: int) -> Callable[[str], Case]:
    """A function called on a descriptor of each kind."""
    return lambda kind: lambda g: g.name(name, opened(kind)(g), *arguments)


def on_path(name: str, path: str | bytes, *arguments: int) -> Case:
    """A function called with a path beneath the root."""
    return lambda g: g.name(name, ROOT, *g.text(path), *arguments)


def on_two_paths(name: str, old: str, new: str) -> Case:
    """A function called with two paths."""

    def case(guest: Guest) -> str:
        old_at, new_at = guest.text(old), guest.text(new, slot=1)
        if name == "path_symlink":
            return guest.name(name, *old_at, ROOT, *new_at)
        flags = (0,) if name == "path_link" else ()
        return guest.name(name, ROOT, *flags, *old_at, ROOT, *new_at)

    return case


def on_io(name: str, *offset: int) -> Callable[[str], Case]:
    """Reading or writing, with the bytes and the count that come of it."""

    def make(kind: str) -> Case:
        def case(guest: Guest) -> Any:
            fd = opened(kind)(guest)
            errno = guest.name(name, fd, *guest.iovs((64, 3)), *offset, 0)
            return errno, guest.get(0, 4) + guest.get(64, 4) if errno == "SUCCESS" else None

        return case

    return make


DESCRIPTOR_CASES = {
    "fd_read": on_io("fd_read"),
    "fd_write": on_io("fd_write"),
    "fd_pread": on_io("fd_pread", 1),
    "fd_pwrite": on_io("fd_pwrite", 1),
    "fd_pread negative": on_io("fd_pread", -1),
    "fd_pwrite negative": on_io("fd_pwrite", -1),
    "fd_seek": on_descriptor("fd_seek", 2, 0, 0),
    "fd_seek current": on_descriptor("fd_seek", 0, 1, 0),
    "fd_seek end": on_descriptor("fd_seek", -1, 2, 0),
    "fd_seek before": on_descriptor("fd_seek", -1, 0, 0),
    "fd_tell": on_descriptor("fd_tell", 0),
    "fd_advise": on_descriptor("fd_advise", 0, 10, 3),
    "fd_advise negative": on_descriptor("fd_advise", 0, -1, 0),
    "fd_advise far": on_descriptor("fd_advise", -1, 1, 0),
    "fd_allocate": on_descriptor("fd_allocate", 0, 100),
    "fd_close": on_descriptor("fd_close"),
    "fd_datasync": on_descriptor("fd_datasync"),
    "fd_sync": on_descriptor("fd_sync"),
    "fd_fdstat_get": on_descriptor("fd_fdstat_get", 0),
    "fd_fdstat_set_flags": on_descriptor("fd_fdstat_set_flags", Fdflags.APPEND),
    "fd_fdstat_set_rights": on_descriptor("fd_fdstat_set_rights", 0, 0),
    "fd_filestat_get": on_descriptor("fd_filestat_get", 0),
    "fd_filestat_set_size": on_descriptor("fd_filestat_set_size", 2),
    "fd_filestat_set_size negative": on_descriptor("fd_filestat_set_size", -1),
    "fd_filestat_set_times": on_descriptor("fd_filestat_set_times", 1, 2, 5),
    "fd_filestat_set_times nothing": on_descriptor("fd_filestat_set_times", 1, 2, 0),
    "fd_filestat_set_times both": on_descriptor("fd_filestat_set_times", 1, 2, 3),
    "fd_prestat_get": on_descriptor("fd_prestat_get", 0),
    "fd_prestat_dir_name": on_descriptor("fd_prestat_dir_name", 0, 1),
    "fd_prestat_dir_name short": on_descriptor("fd_prestat_dir_name", 0, 0),
    "fd_prestat_dir_name long": on_descriptor("fd_prestat_dir_name", 0, 9),
    "fd_readdir": on_descriptor("fd_readdir", 64, 100, 0, 0),
    "fd_renumber to root": on_descriptor("fd_renumber", ROOT),
    "fd_renumber to nothing": on_descriptor("fd_renumber", 66),
    "path_create_directory": on_descriptor("path_create_directory", 64, 1),
    "path_open": on_descriptor("path_open", 0, 64, 1, 0, 0, 0, 0, 0),
    "sock_accept": on_descriptor("sock_accept", 0, 0),
    "sock_recv": on_descriptor("sock_recv", 0, 0, 0, 0, 4),
    "sock_send": on_descriptor("sock_send", 0, 0, 0, 0),
    "sock_shutdown": on_descriptor("sock_shutdown", 1),
}


def opening(path: str, oflags: int, rights: int, fdflags: int = 0) -> Case:
    """Opening, and what the new descriptor says of itself."""

    def case(guest: Guest) -> Any:
        errno = guest.try_open(path, oflags, rights, fdflags=fdflags)
        if errno != "SUCCESS":
            return errno
        assert guest.name("fd_fdstat_get", guest.number(SCRATCH - 4), 0) == "SUCCESS"
        return guest.get(0, 1), guest.get(2, 2)  # wasmtime leaves what is between them as it is

    return case


def looking(path: str | bytes, follow: int) -> Case:
    """Looking at a path: type, links and size."""

    def case(guest: Guest) -> Any:
        errno = guest.name("path_filestat_get", ROOT, follow, *guest.text(path), 0)
        is_directory = guest.get(16, 1) == b"\3"  # whose size depends on the file system
        return errno, guest.get(16, 1), b"" if is_directory else guest.get(24, 16)

    return case


def linked(path: str, size: int) -> Case:
    """Reading a link."""
    return lambda g: (g.name("path_readlink", ROOT, *g.text(path), 0, size, 128), g.get(0, size))


def set_times(flags: int) -> Case:
    """Setting times, and what is there afterwards where that can be foreseen."""

    def case(guest: Guest) -> Any:
        errno = guest.name("path_filestat_set_times", ROOT, 1, *guest.text("file"), 10**18 + 1, 10**18 + 2, flags)
        assert guest.name("path_filestat_get", ROOT, 1, *guest.text("file"), 0) == "SUCCESS"
        return errno, None if flags & 2 else guest.get(40, 8), None if flags & 8 else guest.get(48, 8)

    return case


def clock_resolution(clock: int) -> Case:
    """The resolution of a clock."""
    return lambda g: (g.name("clock_res_get", clock, 0), g.get(0, 8))


def reading(path: str | bytes, *, follow: bool) -> Case:
    """Reading a file."""
    return lambda g: test_paths.outcome(g, path, follow=follow)


#: These leave the files as they are.
READING: dict[str, Case] = {
    f"open {path[:40]!r} follow={follow}": reading(path, follow=follow)
    for path, _ in test_paths.READS
    for follow in (True, False)
}
READING |= {
    f"stat {path[:40]!r} follow={follow}": looking(path, follow) for path, _ in test_paths.READS for follow in (0, 1)
}
READING |= {
    f"readlink {path!r} {size}": linked(path, size)
    for path in ("relative", "lib/up", "file", "etc", "lib/", "relative/", "nowhere", "", "..", "/relative", "dangling")
    for size in (0, 3, 100)
}
READING |= {f"clock {clock}": clock_resolution(clock) for clock in range(4)}
READING |= {
    "proc_raise": lambda g: g.name("proc_raise", 1),
    "sched_yield": lambda g: g.name("sched_yield"),
    "random": lambda g: g.name("random_get", 0, 10),
    "random nothing at the end": lambda g: g.name("random_get", 65536, 0),
    "arguments": lambda g: (g.name("args_sizes_get", 0, 4), g.get(0, 8)),
    "no buffers": lambda g: (g.name("fd_write", g.open("file"), 0, 0, 64), g.get(64, 4)),
    "poll nothing": lambda g: g.name("poll_oneoff", 0, 64, 0, 128),
}

#: These may change them.
CHANGING: dict[str, Case] = {
    f"{name} of {kind}": make(kind) for name, make in DESCRIPTOR_CASES.items() for kind in KINDS
}
CHANGING |= {
    f"open {path} oflags={oflags} rights={rights}": opening(path, oflags, rights)
    for path in ("file", "etc", "new", "etc/", "dangling")
    for oflags in (0, 1, 2, 3, 4, 5, 8, 9, 10, 13)
    for rights in (0, READ | WRITE)
}
CHANGING |= {f"open fdflags={flags}": opening("file", 0, READ | WRITE, flags) for flags in (1, 4, 5)}
CHANGING |= {f"{name} {path!r}": on_path(name, path) for name, path, _ in test_paths.CHANGES}
CHANGING |= {f"{name} {old!r} {new!r}": on_two_paths(name, old, new) for name, old, new, _ in test_paths.TWO_PATHS}
CHANGING |= {f"times flags={flags}": set_times(flags) for flags in range(16)}

# Where we say something else than wasmtime does, with what wasmtime says, and why. Nothing else may differ.
EXCEPTIONS = [
    (
        "a link may lead anywhere within the root, as in a container",
        "PERM",
        r".*'(absolute-directory|lib/root|parent)/.*",
    ),
    ("the same", "PERM", r"(open|stat) '(absolute|above|leak|usr/lib/above|magic)' follow=(True|1)"),
    ("space can be reserved", "NOTSUP", r"fd_allocate of .*file"),
    ("rights can be given up", "NOTSUP", r"fd_fdstat_set_rights of (.*file|directory|preopen)"),
    ("the same, of streams", "BADF", r"fd_fdstat_set_rights of std.*"),
    (
        "the right is looked at before the offset",
        "INVAL",
        r"fd_p(read negative of write|write negative of read)-only file",
    ),
    ("a directory may be removed by a name with a slash", "INVAL", r"path_remove_directory 'empty/'"),
]


def run(case: Case, guest: Guest) -> Any:
    """Run a case, with a failed step as its result."""
    with guest:
        guest.put(64, b"x" * 64)
        try:
            return case(guest)
        except AssertionError as error:
            return str(error)


def both(case: Case, root: Path, *, read_only: bool = False) -> tuple[Any, Any]:
    """Run a case here and on wasmtime, on two copies of the same files."""
    copy = root.parent / "copy"
    if not copy.exists():
        shutil.copytree(root, copy, symlinks=True)
        for directory in (root, copy):
            os.utime(directory / "file", ns=(10**18, 10**18))
    ours = run(case, Guest(preopens=[Preopen(root, "/", read_only)]))
    return ours, run(case, NativeGuest(preopens=[Preopen(copy, "/", read_only)]))


def compare(name: str, ours: object, theirs: object) -> None:
    """See that both are the same, but for the listed exceptions, which must be real ones."""
    for _, errno, pattern in EXCEPTIONS:
        if re.fullmatch(pattern, name):
            assert errno == (theirs[0] if isinstance(theirs, tuple) else theirs)
            assert ours != theirs
            return
    assert ours == theirs


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that are shared by all cases that leave them as they are."""
    return test_paths.populate(tmp_path_factory.mktemp("image") / "root")


@pytest.mark.parametrize("name", READING)
def test_reading_is_as_on_wasmtime(image: Path, name: str) -> None:
    """The same errno and the same bytes."""
    compare(name, *both(READING[name], image))


@pytest.mark.parametrize("name", CHANGING)
def test_changing_is_as_on_wasmtime(populated: Path, name: str) -> None:
    """The same errno and the same bytes, from the same state of the files."""
    compare(name, *both(CHANGING[name], populated))


@pytest.mark.parametrize("change", [change for _, change in test_tree.CHANGES], ids=[n for n, _ in test_tree.CHANGES])
@pytest.mark.parametrize("path", ["etc", "nowhere", ".."])
def test_a_read_only_preopen_refuses_as_wasmtimes(
    populated: Path, change: Callable[[Guest, str], str], path: str
) -> None:
    """Each change, also of what isn't there and of what is out of reach."""
    (populated / "etc/file").write_text("data")
    ours, theirs = both(lambda guest: change(guest, path), populated, read_only=True)
    assert ours == theirs

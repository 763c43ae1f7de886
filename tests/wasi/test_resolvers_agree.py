"""Both ways to resolve paths give the same, for any path at all."""

from __future__ import annotations

import ctypes
import errno
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.wasi import test_paths
from tests.wasi.harness import READ, ROOT, WRITE, Guest
from wasmoci.wasi import FileTree, Mount, Oflags, syscalls

NAMES = [
    "etc", "passwd", "usr", "lib", "libc", "file", "absolute", "absolute-directory", "relative", "slash", "dangling",
    "loop", "above", "leak", "up", "root", "out", "self", "parent", "mounted", "..", ".", "", "nowhere",
]  # fmt: skip
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=6).map("/".join)
OFLAGS = st.sampled_from([0, Oflags.DIRECTORY, Oflags.CREAT, Oflags.CREAT | Oflags.EXCL, Oflags.TRUNC])
RIGHTS = st.sampled_from([READ, READ | WRITE])


def outcomes(guest: Guest, path: str, oflags: int, rights: int, *, follow: bool) -> list[object]:
    """Everything that a path gives: opened, looked at, read as a link; from the root and from a directory below."""
    result: list[object] = []
    for directory in (ROOT, guest.directory("usr/lib")):
        code = guest.name("path_filestat_get", directory, int(follow), *guest.text(path), 0)
        result.append((code, guest.get(16, 1)) if code == "SUCCESS" else code)
        code = guest.name("path_readlink", directory, *guest.text(path), 0, 64, 128)
        result.append((code, guest.get(0, guest.number(128))) if code == "SUCCESS" else code)
        code = guest.try_open(path, oflags, rights, directory=directory, follow=follow)
        result.append(code)
        if code == "SUCCESS":
            fd = guest.number(32764)
            guest.name("fd_filestat_get", fd, 0)
            result.append((guest.get(16, 1), guest.get(32, 8)))  # the type and the size
            guest.call("fd_close", fd)
    return result


@pytest.mark.skipif(not syscalls.openat2_available(), reason="this kernel, or its seccomp filter, has no openat2")
@pytest.mark.parametrize("mounts", [False, True], ids=["plain", "mounts"])
@settings(max_examples=150, deadline=None)
@example(path="usr/lib/..", oflags=Oflags.CREAT, rights=READ, follow=True)
@example(path="nowhere/", oflags=Oflags.CREAT, rights=READ, follow=True)
@given(path=PATHS, oflags=OFLAGS, rights=RIGHTS, follow=st.booleans())
def test_any_path_means_the_same(mounts: bool, path: str, oflags: int, rights: int, follow: bool) -> None:  # noqa: FBT001
    """By openat2 and by single components, with mounts and without."""
    results = []
    for use_openat2 in (True, False):
        with tempfile.TemporaryDirectory() as scratch:
            root, mounted = test_paths.populate(Path(scratch, "root")), Path(scratch, "mounted")
            mounted.mkdir()
            (mounted / "file").write_text("mounted")
            (mounted / "up").symlink_to("../etc/passwd")
            placed = [Mount(mounted, "/usr/mounted"), Mount(mounted / "file", "/etc/file", read_only=True)]
            tree = FileTree(root, mounts=placed if mounts else ())
            with Guest(preopens=tree.preopens(), use_openat2=use_openat2) as guest:
                results.append(outcomes(guest, path, oflags, rights, follow=follow))
                results[-1] += [sorted(str(p.relative_to(scratch)) for p in Path(scratch).rglob("*"))]
    assert results[0] == results[1]


@pytest.mark.skipif(not syscalls.openat2_available(), reason="this kernel, or its seccomp filter, has no openat2")
@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS])
def test_openat2_can_be_taken_away(root: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """A process that denies it to itself goes on by single components."""

    def deny(*_: object) -> int:
        ctypes.set_errno(code)
        return -1

    (root / "directory").mkdir()
    with Guest(root) as guest:
        assert guest.try_open("directory", 0, READ) == "SUCCESS"
        monkeypatch.setattr(syscalls, "_syscall", deny)
        assert guest.try_open("directory", 0, READ) == "SUCCESS"
        assert guest.try_open("nowhere", 0, READ) == "NOENT"

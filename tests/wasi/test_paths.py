"""Paths mean what they mean in a container, whichever way they are resolved, and never anything outside of it."""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from tests.wasi.harness import EVERYTHING, READ, ROOT, WRITE, Guest
from wasmoci.wasi import Oflags, Preopen, path_walk, resolver

if TYPE_CHECKING:
    from pathlib import Path

LONG = "x" * 255


def populate(root: Path) -> Path:
    """Make a small image: files, directories, links of all kinds."""
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("users")
    (root / "usr/lib").mkdir(parents=True)
    (root / "usr/lib/libc").write_text("libc")
    (root / "file").write_text("file")
    (root / "empty").mkdir()
    links = {
        "absolute": "/etc/passwd",
        "absolute-directory": "/etc",
        "relative": "etc/passwd",
        "slash": "etc/",
        "dangling": "nowhere",
        "loop": "loop",
        "above": "../../../../etc/passwd",
        "leak": "../secret",
        "usr/lib/up": "../../etc/passwd",
        "usr/lib/root": "/",
        "usr/lib/above": "../../../../../../secret",
        "usr/lib/out": "../../usr",
        "magic": "/proc/self/root/etc/hostname",
        "lib": "usr/lib",
        "self": ".",
        "parent": "..",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    return root


def chain(root: Path, length: int = 45) -> None:
    """Make links to links to a file."""
    for i in range(length):
        (root / f"chain{i}").symlink_to(f"chain{i - 1}" if i else "file")


@pytest.fixture
def populated(root: Path) -> Path:
    """A small image as the guest's root."""
    return populate(root)


READS: list[tuple[str | bytes, str]] = [
    ("file", "file"),
    ("./file", "file"),
    (".//./file", "file"),
    ("etc/passwd", "users"),
    ("etc/../file", "file"),
    ("usr/lib/../../etc/passwd", "users"),
    ("absolute", "users"),
    ("relative", "users"),
    ("slash/passwd", "users"),
    ("absolute-directory/passwd", "users"),
    ("above", "users"),
    ("usr/lib/up", "users"),
    ("lib/libc", "libc"),
    ("lib/up", "users"),
    ("lib/root/etc/passwd", "users"),
    ("lib/root/lib/root/file", "file"),
    ("lib/out/lib/libc", "libc"),
    ("self/self/file", "file"),
    ("parent/file", "file"),
    ("parent/parent/etc/passwd", "users"),
    ("lib/../lib/libc", "libc"),
    # Errors
    ("nowhere", "NOENT"),
    ("nowhere/file", "NOENT"),
    ("dangling", "NOENT"),
    ("leak", "NOENT"),
    ("usr/lib/above", "NOENT"),
    ("magic", "NOENT"),
    ("loop", "LOOP"),
    ("file/", "NOTDIR"),
    ("file/.", "NOTDIR"),
    ("file/x", "NOTDIR"),
    ("file/..", "NOTDIR"),
    ("relative/", "NOTDIR"),
    ("", "NOENT"),
    ("/", "PERM"),
    ("/file", "PERM"),
    ("/etc/passwd", "PERM"),
    ("..", "PERM"),
    ("../secret", "PERM"),
    ("etc/../../secret", "PERM"),
    ("etc/../../root/file", "PERM"),
    ("./../file", "PERM"),
    ("fi\0le", "INVAL"),
    ("file\0", "INVAL"),
    (b"\xff", "ILSEQ"),
    (LONG + "x", "NAMETOOLONG"),
    (LONG, "NOENT"),
    ("./" * 2047 + "x", "NOENT"),
    ("./" * 2048, "NAMETOOLONG"),
    ("x" * 5000, "NAMETOOLONG"),
]


def outcome(guest: Guest, path: str | bytes, **options: object) -> str:
    """Read a file, or give the name of the errno."""
    errno = guest.try_open(path, 0, READ, **options)  # type: ignore[arg-type]
    if errno != "SUCCESS":
        return errno
    fd = guest.number(32764)
    try:
        return guest.read(fd).decode()
    finally:
        guest.call("fd_close", fd)


@pytest.mark.usefixtures("populated")
@pytest.mark.parametrize(("path", "expected"), READS)
def test_paths_from_the_root(resolving: Guest, path: str | bytes, expected: str) -> None:
    """Links, absolute ones too, stay inside; a guest's own way out is PERM."""
    assert outcome(resolving, path) == expected


@pytest.mark.parametrize(("path", "expected"), [("chain39", "file"), ("chain40", "LOOP")])
def test_links_to_links(resolving: Guest, populated: Path, path: str, expected: str) -> None:
    """As many as Linux follows, and no more."""
    chain(populated)
    assert outcome(resolving, path) == expected


@pytest.mark.usefixtures("populated")
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("libc", "libc"),
        ("up", "users"),
        ("root/file", "file"),
        ("root/etc/passwd", "users"),
        ("out/lib/libc", "libc"),
        ("out/../etc/passwd", "users"),
        ("above", "NOENT"),
        ("../lib/libc", "PERM"),
        ("..", "PERM"),
        ("./..", "PERM"),
        ("root/../file", "PERM"),
    ],
)
def test_paths_from_a_directory_below(resolving: Guest, path: str, expected: str) -> None:
    """A link may lead above the directory where a path starts, and the path itself may not."""
    directory = resolving.directory("usr/lib")
    assert outcome(resolving, path, directory=directory) == expected
    by_way_of_a_link = resolving.directory("lib")
    assert outcome(resolving, path, directory=by_way_of_a_link) == expected


def test_a_link_above_a_directory_that_was_reached_by_dots(resolving: Guest, populated: Path) -> None:
    """Where a directory is, is known even when the path to it went back and forth."""
    (populated / "etc/inner").mkdir()
    (populated / "etc/inner/up").symlink_to("../../file")
    directory = resolving.directory("usr/../etc/../lib/../../etc/inner")
    assert outcome(resolving, "up", directory=directory) == "file"


@pytest.mark.usefixtures("populated")
@pytest.mark.parametrize(
    ("path", "oflags", "expected"),
    [
        ("relative", 0, "LOOP"),
        ("dangling", 0, "LOOP"),
        ("dangling", Oflags.DIRECTORY, "NOTDIR"),
        ("lib", Oflags.DIRECTORY, "NOTDIR"),
        ("dangling", Oflags.CREAT, "LOOP"),
        ("dangling", Oflags.CREAT | Oflags.EXCL, "EXIST"),
        ("absolute-directory/passwd", 0, "SUCCESS"),
        ("file", 0, "SUCCESS"),
        ("file", Oflags.DIRECTORY, "NOTDIR"),
    ],
)
def test_without_following(resolving: Guest, path: str, oflags: int, expected: str) -> None:
    """The last component isn't followed, those before it are."""
    assert resolving.try_open(path, oflags, READ, follow=False) == expected


@pytest.mark.parametrize(
    ("path", "oflags", "rights", "expected"),
    [
        ("new", Oflags.CREAT, READ | WRITE, "SUCCESS"),
        ("new/", Oflags.CREAT, READ | WRITE, "ISDIR"),
        ("dangling", Oflags.CREAT, READ | WRITE, "SUCCESS"),
        ("etc", Oflags.CREAT, READ, "ISDIR"),
        ("etc", Oflags.TRUNC, READ, "ISDIR"),
        ("etc", 0, READ | WRITE, "ISDIR"),
        (".", 0, READ | WRITE, "ISDIR"),
        ("etc", 0, READ, "SUCCESS"),
        ("file", Oflags.CREAT | Oflags.EXCL, READ, "EXIST"),
        ("relative", Oflags.CREAT | Oflags.EXCL, READ, "EXIST"),
        ("file", Oflags.EXCL, READ, "SUCCESS"),
        ("nowhere/new", Oflags.CREAT, READ, "NOENT"),
        ("file/new", Oflags.CREAT, READ, "NOTDIR"),
        ("file", Oflags.CREAT | Oflags.DIRECTORY, READ, "INVAL"),
        ("file", Oflags.TRUNC | Oflags.DIRECTORY, READ, "INVAL"),
        ("file", 16, READ, "INVAL"),
        ("file", -1, READ, "INVAL"),
    ],
)
def test_creating_and_truncating(
    resolving: Guest, populated: Path, path: str, oflags: int, rights: int, expected: str
) -> None:
    """The flags mean what they mean in POSIX, and what contradicts itself is INVAL."""
    assert resolving.try_open(path, oflags, rights) == expected
    if path == "dangling":
        assert (populated / "nowhere").read_bytes() == b""


@pytest.mark.usefixtures("populated")
@pytest.mark.parametrize(
    ("path", "follow", "expected"),
    [
        ("file", 0, 4),
        ("file", 1, 4),
        ("etc/", 0, 3),
        ("lib", 0, 7),
        ("lib", 1, 3),
        ("lib/", 0, 3),
        ("absolute", 0, 7),
        ("absolute", 1, 4),
        ("usr/lib/up", 1, 4),
        (".", 0, 3),
        ("usr/..", 0, 3),
        ("leak", 1, "NOENT"),
        ("dangling", 1, "NOENT"),
        ("loop", 1, "LOOP"),
        ("relative/", 0, "NOTDIR"),
        ("..", 0, "PERM"),
        ("", 0, "NOENT"),
        ("file", 2, "INVAL"),
    ],
)
def test_looking_at_paths(resolving: Guest, path: str, follow: int, expected: int | str) -> None:
    """``path_filestat_get`` tells the type of the link or of what it leads to."""
    errno = resolving.name("path_filestat_get", ROOT, follow, *resolving.text(path), 0)
    assert (errno if errno != "SUCCESS" else resolving.get(16, 1)[0]) == expected


@pytest.mark.usefixtures("populated")
@pytest.mark.parametrize(
    ("path", "size", "expected"),
    [
        ("relative", 100, b"etc/passwd"),
        ("relative", 3, b"etc"),
        ("relative", 0, b""),
        ("absolute", 100, b"/etc/passwd"),
        ("lib/up", 100, b"../../etc/passwd"),
        ("file", 100, "INVAL"),
        ("etc", 100, "INVAL"),
        ("lib/", 100, "INVAL"),
        ("relative/", 100, "NOTDIR"),
        ("nowhere", 100, "NOENT"),
    ],
)
def test_reading_links(resolving: Guest, path: str, size: int, expected: bytes | str) -> None:
    """A link is cut to the buffer, an absolute one is told as it is."""
    errno = resolving.name("path_readlink", ROOT, *resolving.text(path), 0, size, 128)
    assert (resolving.get(0, resolving.number(128)) if errno == "SUCCESS" else errno) == expected


def test_a_link_that_is_not_utf_8(resolving: Guest, root: Path) -> None:
    """It can be followed, and can't be told."""
    (root / os.fsdecode(b"\xff")).write_text("odd")
    (root / "link").symlink_to(os.fsdecode(b"\xff"))
    assert outcome(resolving, "link") == "odd"
    assert resolving.name("path_readlink", ROOT, *resolving.text("link"), 0, 100, 128) == "ILSEQ"


CHANGES = [
    ("path_create_directory", "new", "SUCCESS"),
    ("path_create_directory", "new/", "SUCCESS"),
    ("path_create_directory", "lib/new", "SUCCESS"),
    ("path_create_directory", "etc", "EXIST"),
    ("path_create_directory", "etc/", "EXIST"),
    ("path_create_directory", "file", "EXIST"),
    ("path_create_directory", "dangling", "EXIST"),
    ("path_create_directory", ".", "EXIST"),
    ("path_create_directory", "etc/..", "EXIST"),
    ("path_create_directory", "..", "PERM"),
    ("path_create_directory", "../new", "PERM"),
    ("path_create_directory", "/new", "PERM"),
    ("path_create_directory", "nowhere/new", "NOENT"),
    ("path_create_directory", "", "NOENT"),
    ("path_remove_directory", "empty", "SUCCESS"),
    ("path_remove_directory", "empty/", "SUCCESS"),
    ("path_remove_directory", "etc", "NOTEMPTY"),
    ("path_remove_directory", "file", "NOTDIR"),
    ("path_remove_directory", "file/", "NOTDIR"),
    ("path_remove_directory", "lib", "NOTDIR"),
    ("path_remove_directory", ".", "INVAL"),
    ("path_remove_directory", "..", "PERM"),
    ("path_remove_directory", "nowhere", "NOENT"),
    ("path_unlink_file", "file", "SUCCESS"),
    ("path_unlink_file", "lib", "SUCCESS"),
    ("path_unlink_file", "dangling", "SUCCESS"),
    ("path_unlink_file", "absolute-directory/passwd", "SUCCESS"),
    ("path_unlink_file", "file/", "NOTDIR"),
    ("path_unlink_file", "etc", "ISDIR"),
    ("path_unlink_file", "etc/", "ISDIR"),
    ("path_unlink_file", ".", "ISDIR"),
    ("path_unlink_file", "..", "PERM"),
    ("path_unlink_file", "nowhere", "NOENT"),
    ("path_unlink_file", "nowhere/", "NOENT"),
]


@pytest.mark.parametrize(("function", "path", "expected"), CHANGES)
def test_making_and_removing(resolving: Guest, populated: Path, function: str, path: str, expected: str) -> None:
    """Directories are made and removed, files removed, slashes judged as the kernel does."""
    assert resolving.name(function, ROOT, *resolving.text(path)) == expected
    if expected == "SUCCESS":
        there = resolving.name("path_filestat_get", ROOT, 0, *resolving.text(path), 0)
        assert there == ("SUCCESS" if function == "path_create_directory" else "NOENT")


TWO_PATHS = [
    ("path_rename", "file", "moved", "SUCCESS"),
    ("path_rename", "file", "etc/passwd", "SUCCESS"),
    ("path_rename", "etc", "moved/", "SUCCESS"),
    ("path_rename", "etc/", "moved", "SUCCESS"),
    ("path_rename", "etc", "empty", "SUCCESS"),
    ("path_rename", "dangling", "moved", "SUCCESS"),
    ("path_rename", "file", "file", "SUCCESS"),
    ("path_rename", "file", "moved/", "NOTDIR"),
    ("path_rename", "file/", "moved", "NOTDIR"),
    ("path_rename", "file", "empty", "ISDIR"),
    ("path_rename", "empty", "file", "NOTDIR"),
    ("path_rename", "empty", "etc", "NOTEMPTY"),
    ("path_rename", "usr", "usr/lib/usr", "INVAL"),
    ("path_rename", "nowhere", "moved", "NOENT"),
    ("path_rename", "file", "nowhere/moved", "NOENT"),
    ("path_rename", "file", "../moved", "PERM"),
    ("path_rename", "../secret", "moved", "PERM"),
    ("path_rename", ".", "moved", "BUSY"),
    ("path_rename", "etc", ".", "BUSY"),
    ("path_rename", "/file", "moved", "PERM"),
    ("path_rename", "", "moved", "NOENT"),
    ("path_link", "file", "linked", "SUCCESS"),
    ("path_link", "dangling", "linked", "SUCCESS"),
    ("path_link", "file", "file", "EXIST"),
    ("path_link", "file", "dangling", "EXIST"),
    ("path_link", "file", "empty", "EXIST"),
    ("path_link", "file", "linked/", "NOENT"),
    ("path_link", "file", "etc/passwd/", "NOTDIR"),
    ("path_link", "file/", "linked", "NOTDIR"),
    ("path_link", "etc", "linked", "PERM"),
    ("path_link", "nowhere", "linked", "NOENT"),
    ("path_link", "../secret", "linked", "PERM"),
    ("path_link", "leak", "linked", "SUCCESS"),
    ("path_symlink", "anything", "linked", "SUCCESS"),
    ("path_symlink", "../../anything", "linked", "SUCCESS"),
    ("path_symlink", "/etc", "linked", "PERM"),
    ("path_symlink", "", "linked", "NOENT"),
    ("path_symlink", "a\0b", "linked", "INVAL"),
    ("path_symlink", "anything", "linked/", "NOENT"),
    ("path_symlink", "anything", "file", "EXIST"),
    ("path_symlink", "anything", "file/", "NOTDIR"),
    ("path_symlink", "anything", "etc/", "EXIST"),
    ("path_symlink", "anything", "..", "PERM"),
]


@pytest.mark.parametrize(("function", "old", "new", "expected"), TWO_PATHS)
def test_moving_and_linking(
    resolving: Guest, populated: Path, function: str, old: str, new: str, expected: str
) -> None:
    """What moves is there afterwards and isn't where it was; a link to a link is a link to the link itself."""
    old_at, new_at = resolving.text(old), resolving.text(new, slot=1)
    arguments = {
        "path_rename": (ROOT, *old_at, ROOT, *new_at),
        "path_link": (ROOT, 0, *old_at, ROOT, *new_at),
        "path_symlink": (*old_at, ROOT, *new_at),
    }
    secret = populated.parent / "secret"
    assert resolving.name(function, *arguments[function]) == expected
    assert (secret.read_text(), secret.stat().st_nlink) == ("outside", 1)  # the file beside the root
    if expected == "SUCCESS" and old != new:
        assert os.path.lexists(populated / new.rstrip("/"))
        assert os.path.lexists(populated / old.rstrip("/")) == (function == "path_link")


def test_hard_links_do_not_follow(resolving: Guest, populated: Path) -> None:
    """The flag to follow is INVAL, as in wasmtime."""
    assert resolving.name("path_link", ROOT, 1, *resolving.text("file"), ROOT, *resolving.text("x", 1)) == "INVAL"
    assert not (populated / "x").exists()


def test_times_of_a_link_and_of_what_it_leads_to(resolving: Guest, populated: Path) -> None:
    """Only one of both is changed."""
    assert resolving.name("path_filestat_set_times", ROOT, 0, *resolving.text("relative"), 0, 111, 4) == "SUCCESS"
    assert resolving.name("path_filestat_set_times", ROOT, 1, *resolving.text("relative"), 0, 222, 4) == "SUCCESS"
    link, file = (populated / "relative").lstat(), (populated / "etc/passwd").stat()
    assert (link.st_mtime_ns, file.st_mtime_ns) == (111, 222)


def test_a_fifo_does_not_block_the_opener(resolving: Guest, root: Path) -> None:
    """Without a writer, reading it is the end; without a reader, opening it to write is NXIO."""
    os.mkfifo(root / "fifo")
    assert outcome(resolving, "fifo") == ""
    assert resolving.try_open("fifo", 0, WRITE) == "NXIO"
    fd = resolving.open("fifo", 0, READ | WRITE | EVERYTHING)
    resolving.write(fd, b"through")
    assert resolving.read(fd) == b"through"
    assert resolving.name("fd_seek", fd, 0, 0, 0) == "SPIPE"


def test_sockets_in_the_file_system_cannot_be_opened(resolving: Guest, root: Path) -> None:
    """As on Linux; they can be looked at."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(root / "s"))
    assert resolving.try_open("s", 0, READ) == "NXIO"
    assert resolving.name("path_filestat_get", ROOT, 0, *resolving.text("s"), 0) == "SUCCESS"
    assert resolving.get(16, 1) == b"\0"


@pytest.mark.parametrize(
    ("kind", "device", "expected"),
    [
        (0o020000, (1, 3), "SUCCESS"),
        (0o020000, (1, 5), "SUCCESS"),
        (0o020000, (1, 1), "ACCES"),
        (0o020000, (5, 0), "ACCES"),
        (0o060000, (7, 0), "ACCES"),
    ],
)
def test_devices_that_reach_the_host_are_refused(
    resolving: Guest, root: Path, kind: int, device: tuple[int, int], expected: str
) -> None:
    """The devices null and zero hold nothing of the host's, its memory, terminals and disks do."""
    try:
        os.mknod(root / "device", kind | 0o666, os.makedev(*device))
        os.close(os.open(root / "device", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
    except PermissionError:
        pytest.skip("making and opening device files takes privileges")
    except OSError:
        expected = resolving.try_open("device", 0, READ)  # there is no such device here
        assert expected != "SUCCESS"
    assert resolving.try_open("device", 0, READ) == expected


def test_positions_do_not_grow_without_end(resolving: Guest, populated: Path) -> None:
    """Going round and round keeps nothing of the way."""
    (populated / "here").symlink_to(".")
    directory = ROOT
    for _ in range(600):
        following = resolving.directory("here/usr/..", directory=directory)
        if directory != ROOT:
            resolving.call("fd_close", directory)
        directory = resolving.directory("here", directory=following)
        resolving.call("fd_close", following)
    assert outcome(resolving, "usr/lib/up", directory=directory) == "users"
    entry = resolving.wasi._table.get(directory, 0)
    assert len(entry.place.position) <= 257  # type: ignore[attr-defined]


def test_directories_can_only_be_so_deep(resolving: Guest, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is deeper than anybody goes can't be opened, so what is kept of each directory is bounded."""
    monkeypatch.setattr(path_walk, "MAX_DEPTH", 20)
    monkeypatch.setattr(resolver, "MAX_DEPTH", 20)
    monkeypatch.setattr(resolver, "_PLAIN_DEPTH", 10)
    (root / "/".join("d" * 22)).mkdir(parents=True)
    deep = resolving.directory("/".join("d" * 20))
    assert resolving.try_open("d", Oflags.DIRECTORY, READ, directory=deep) == "NAMETOOLONG"
    assert resolving.try_open("/".join("d" * 21), Oflags.DIRECTORY, READ) == "NAMETOOLONG"
    assert resolving.name("path_filestat_get", ROOT, 0, *resolving.text("/".join("d" * 21)), 0) == "SUCCESS"


def listing(guest: Guest, fd: int = ROOT, size: int = 4096, cookie: int = 0) -> list[tuple[int, int, int, bytes]]:
    """Read directory entries: next cookie, inode, type and name of each that is whole."""
    assert guest.name("fd_readdir", fd, 4096, size, cookie, 0) == "SUCCESS"
    data = guest.get(4096, guest.number(0))
    entries = []
    while len(data) >= 24:
        following, inode, length, filetype = struct.unpack_from("<QQIB", data)
        if len(data) >= 24 + length:
            entries.append((following, inode, filetype, data[24 : 24 + length]))
        data = data[24 + length :]
    return entries


def test_listing_a_directory(guest: Guest, root: Path) -> None:
    """Itself and its parent come first, with its own inode; then the rest with their types."""
    (root / "file").write_text("")
    (root / "directory").mkdir()
    (root / "link").symlink_to("file")
    os.mkfifo(root / "fifo")
    entries = listing(guest)
    own = root.stat().st_ino
    assert len({entry[0] for entry in entries} - {0}) == 6
    assert [entry[1:] for entry in entries[:2]] == [(own, 3, b"."), (own, 3, b"..")]
    expected = {(os.lstat(root / name).st_ino, kind, name.encode()) for name, kind in
                (("file", 4), ("directory", 3), ("link", 7), ("fifo", 0))}  # fmt: skip
    assert {entry[1:] for entry in entries[2:]} == expected


def test_a_listing_goes_on_where_it_was_cut(guest: Guest, root: Path) -> None:
    """With any size of buffer every entry comes exactly once, and what happens meanwhile doesn't disturb it."""
    names = {f"name-{'x' * (i % 60)}-{i}".encode() for i in range(300)}
    for name in names:
        (root / os.fsdecode(name)).write_text("")
    for size in (24 + 80, 333, 4000):
        seen: list[bytes] = []
        cookie = 0
        while entries := listing(guest, size=size, cookie=cookie):
            seen += [entry[3] for entry in entries]
            cookie = entries[-1][0]
            (root / "meanwhile").touch()
            (root / "meanwhile").unlink()
        assert sorted(seen) == sorted([b".", b"..", *names])


@pytest.mark.parametrize(("size", "cookie", "used"), [(0, 0, 0), (10, 0, 10), (25, 0, 25), (30, 2, 0), (30, -1, 0)])
def test_odd_buffers_and_cookies(guest: Guest, size: int, cookie: int, used: int) -> None:
    """A buffer that is too small is filled, and no cookie is out of range."""
    assert guest.name("fd_readdir", ROOT, 64, size, cookie, 0) == "SUCCESS"
    assert guest.number(0) == used


def test_a_listing_shows_changes_when_it_begins_again(guest: Guest, root: Path) -> None:
    """Cookie 0 reads the directory anew."""
    assert len(listing(guest)) == 2
    (root / "new").write_text("")
    assert len(listing(guest)) == 3


def test_a_cookie_stays_valid_while_entries_are_removed(guest: Guest, root: Path) -> None:
    """A guest that removes what it lists, as every recursive removal does, misses nothing; and what it kept of the past works."""
    names = {f"name-{'x' * (i % 60)}-{i}".encode() for i in range(3000)}
    for name in names:
        (root / os.fsdecode(name)).write_text("")
    seen: list[bytes] = []
    cookie, first = 0, 0
    while entries := listing(guest, size=1000, cookie=cookie):
        for following, _, _, name in entries:
            cookie = following
            first = first or following
            if name in names:
                seen.append(name)
                (root / os.fsdecode(name)).unlink()
    assert sorted(seen) == sorted(names)
    assert [entry[3] for entry in listing(guest, cookie=first)] == [b".."]
    assert listing(guest, cookie=cookie) == []


def test_many_listings_go_on_side_by_side(guest: Guest, root: Path) -> None:
    """As many as a guest can have open, though few of them are at hand at any time."""
    names = {f"name-{i}".encode() for i in range(200)}
    (root / "many").mkdir()
    for name in names:
        (root / "many" / os.fsdecode(name)).write_text("")
    cookies = {guest.directory("many"): 0 for _ in range(40)}
    seen: dict[int, list[bytes]] = {fd: [] for fd in cookies}
    while cookies:
        for fd, cookie in list(cookies.items()):
            entries = listing(guest, fd, 1000, cookie)
            seen[fd] += [entry[3] for entry in entries]
            if entries:
                cookies[fd] = entries[-1][0]
            else:
                del cookies[fd]
    assert {frozenset(found) for found in seen.values()} == {frozenset({b".", b"..", *names})}
    assert {len(found) for found in seen.values()} == {202}


def test_a_name_that_is_not_utf_8_spoils_the_listing(guest: Guest, root: Path) -> None:
    """There is no way to tell it, and none to open it; wasmtime says the same."""
    (root / os.fsdecode(b"\xff")).write_text("")
    last = listing(guest, size=24 + 1 + 24 + 2)[-1][0]
    for cookie in (0, last, last):
        assert guest.name("fd_readdir", ROOT, 64, 100, cookie, 0) == "ILSEQ"


def test_a_descriptor_holds_on_to_a_directory_that_is_moved(resolving: Guest, populated: Path) -> None:
    """Beneath it nothing changes."""
    directory = resolving.directory("usr/lib")
    (populated / "usr").rename(populated / "opt")
    assert outcome(resolving, "libc", directory=directory) == "libc"


def test_two_preopens_do_not_share_a_tree(root: Path, tmp_path: Path, use_openat2: bool) -> None:  # noqa: FBT001
    """Each is a world of its own, with its own root for absolute links."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("other")
    (other / "link").symlink_to("/file")
    (root / "file").write_text("root")
    (root / "link").symlink_to("/file")
    with Guest(preopens=[Preopen(root, "/"), Preopen(other, "/other")], use_openat2=use_openat2) as guest:
        assert [outcome(guest, "link", directory=fd) for fd in (3, 4)] == ["root", "other"]

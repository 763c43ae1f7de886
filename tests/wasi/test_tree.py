"""The guest's files are one tree: a root with mounts on it, the same from wherever the guest looks."""

from __future__ import annotations

import os
import resource
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.wasi.harness import EVERYTHING, READ, ROOT, WRITE, Guest
from tests.wasi.test_paths import listing, outcome
from wasmoci.errors import InvalidInput, InvalidMount
from wasmoci.wasi import FileTree, Mount, Oflags, Preopen
from wasmoci.wasi.open_tree import OpenTree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def hosts(tmp_path: Path, root: Path) -> Path:
    """Directories of the host's to be mounted, and a root to mount them on."""
    for name in ("data", "cache", "inner"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "data/up").symlink_to("../etc/passwd")
    (tmp_path / "data/root").symlink_to("/etc/passwd")
    (tmp_path / "single").write_text("single")
    for name in ("etc", "srv/data", "work/sub", "var"):
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text("users")
    (root / "srv/data/hidden").write_text("covered")
    (root / "srv/link").symlink_to("data")
    (root / "to-data").symlink_to("/srv/data")
    (root / "to-file").symlink_to("srv/data/file")
    (root / "work/local").write_text("local")
    (root / "work/up").symlink_to("../srv/data/file")
    (root / "var/run").symlink_to("/etc")
    return tmp_path


@pytest.fixture
def start(hosts: Path, root: Path, use_openat2: bool) -> Iterator[Callable[..., Guest]]:  # noqa: FBT001
    """Starts guests on the root with some mounts, by their sources' names."""
    guests = []

    def start(*mounts: tuple[str, str] | tuple[str, str, bool], cwd: str = "/", read_only: bool = False) -> Guest:
        placed = [Mount(hosts / source, *rest) for source, *rest in mounts]
        tree = FileTree(root, read_only, placed)
        guests.append(Guest(preopens=tree.preopens(cwd), use_openat2=use_openat2))
        return guests[-1]

    yield start
    for guest in guests:
        guest.wasi.close()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("srv/data/file", "data"),
        ("srv/./data//file", "data"),
        ("srv/../srv/data/file", "data"),
        ("srv/data/../data/file", "data"),
        ("srv/data/../../etc/passwd", "users"),
        ("srv/link/file", "data"),
        ("srv/data/hidden", "NOENT"),
        ("srv/data/up", "NOENT"),
        ("srv/data/root", "users"),
        ("to-data/file", "data"),
        ("to-file", "data"),
        ("to-data/root", "users"),
        ("work/up", "data"),
        ("srv/data/cache/file", "cache"),
        ("to-data/cache/file", "cache"),
        ("srv/data/cache/../file", "data"),
        ("etc/single", "single"),
        ("etc/../etc/single", "single"),
        ("var/run/single", "single"),
        ("etc/single/", "NOTDIR"),
        ("etc/single/x", "NOTDIR"),
        ("made/up/inner/file", "inner"),
        ("made/up/../up/inner/file", "inner"),
        ("made/up/nothing", "NOENT"),
        ("srv/data/../../..", "PERM"),
    ],
)
def test_mounts_are_met_on_every_way(start: Callable[..., Guest], path: str, expected: str) -> None:
    """Through the root, links, dots and other mounts."""
    guest = start(
        ("data", "/srv/data"), ("cache", "/srv/data/cache"), ("single", "/etc/single"), ("inner", "/made/up/inner")
    )
    assert outcome(guest, path) == expected


def test_mounts_are_met_from_descriptors_of_directories_above(start: Callable[..., Guest]) -> None:
    """A directory that was opened knows where it is."""
    guest = start(("data", "/srv/data"))
    for path in ("srv", "etc/../srv", "srv/data/.."):
        assert outcome(guest, "data/file", directory=guest.directory(path)) == "data"
    assert outcome(guest, "file", directory=guest.directory("to-data")) == "data"


def test_a_link_leads_out_of_a_mount_into_the_tree(start: Callable[..., Guest]) -> None:
    """Its parent is where it is mounted, not where it is on the host."""
    guest = start(("data", "/srv"))
    assert outcome(guest, "srv/up") == "users"
    assert outcome(guest, "up", directory=4) == "users"
    assert outcome(guest, "../etc/passwd", directory=4) == "PERM"


def test_preopens_of_a_container(start: Callable[..., Guest]) -> None:
    """The root, the mounted directories, and the current directory last."""
    guest = start(("data", "/srv/data"), ("single", "/etc/single"), cwd="/work")
    names = []
    for fd in range(3, 7):
        if guest.name("fd_prestat_get", fd, 0) == "SUCCESS":
            assert guest.name("fd_prestat_dir_name", fd, 8, guest.number(4)) == "SUCCESS"
            names.append(guest.get(8, guest.number(4)))
    assert names == [b"/", b"/srv/data", b"."]


@pytest.mark.parametrize("cwd", ["/", "//", "/.", "/work/.."])
def test_the_root_as_current_directory_needs_no_preopen(root: Path, cwd: str) -> None:
    """It is there already."""
    assert [preopen.guest_path for preopen in FileTree(root).preopens(cwd)] == ["/"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("local", "local"),
        ("etc/passwd", "users"),
        ("srv/data/file", "data"),
        ("up", "data"),
        ("work/local", "local"),
        ("nowhere", "NOENT"),
        ("sub/nowhere", "NOENT"),
        ("../etc/passwd", "PERM"),
        ("local/x", "NOTDIR"),
    ],
)
def test_what_is_not_found_from_the_current_directory_is_looked_up_from_the_root(
    start: Callable[..., Guest], path: str, expected: str
) -> None:
    """The C library sends absolute paths to the preopen ``.`` without their slash."""
    guest = start(("data", "/srv/data"), cwd="/work")
    assert outcome(guest, path, directory=5) == expected
    errno = guest.name("path_filestat_get", 5, 1, *guest.text(path), 0)
    assert errno == (expected if expected.isupper() else "SUCCESS")


def test_every_function_falls_back(start: Callable[..., Guest], root: Path) -> None:
    """What is to be there is looked for, and what is to be made goes where its parent is."""
    guest = start(cwd="/work")
    cwd = 4
    text = guest.text

    def both(old: str, new: str) -> tuple[tuple[int, int], tuple[int, int]]:
        return text(old), text(new, slot=1)

    assert guest.name("path_create_directory", cwd, *text("etc/new")) == "SUCCESS"
    assert (root / "etc/new").is_dir()
    assert guest.name("path_create_directory", cwd, *text("new")) == "SUCCESS"
    assert (root / "work/new").is_dir()
    assert guest.name("path_remove_directory", cwd, *text("etc/new")) == "SUCCESS"
    assert guest.try_open("etc/file", Oflags.CREAT, WRITE, directory=cwd) == "SUCCESS"
    assert (root / "etc/file").exists()
    assert guest.try_open("file", Oflags.CREAT, WRITE, directory=cwd) == "SUCCESS"
    assert (root / "work/file").exists()
    old, new = both("etc/file", "moved")
    assert guest.name("path_rename", cwd, *old, cwd, *new) == "SUCCESS"
    assert (root / "work/moved").exists()
    old, new = both("moved", "etc/linked")
    assert guest.name("path_link", cwd, 0, *old, cwd, *new) == "SUCCESS"
    assert (root / "etc/linked").exists()
    assert guest.name("path_unlink_file", cwd, *text("etc/linked")) == "SUCCESS"
    old, new = both("anything", "etc/link")
    assert guest.name("path_symlink", *old, cwd, *new) == "SUCCESS"
    assert guest.name("path_readlink", cwd, *text("etc/link"), 0, 100, 128) == "SUCCESS"
    assert guest.name("path_filestat_set_times", cwd, 0, *text("etc/passwd"), 1, 2, 5) == "SUCCESS"
    assert (root / "etc/passwd").stat().st_mtime_ns == 2
    assert guest.name("path_unlink_file", cwd, *text("nowhere")) == "NOENT"


def test_only_the_current_directory_falls_back(start: Callable[..., Guest]) -> None:
    """Another descriptor of the same directory doesn't."""
    guest = start(cwd="/work")
    assert outcome(guest, "etc/passwd", directory=guest.directory(".", directory=4)) == "NOENT"


def test_mounts_are_listed(start: Callable[..., Guest], hosts: Path) -> None:
    """In the directory that they are in, instead of what they cover, with the inode of what is mounted."""
    guest = start(("data", "/srv/data"), ("single", "/srv/single"), ("cache", "/made/cache"))
    seen = {name: (kind, inode) for _, inode, kind, name in listing(guest, guest.directory("srv"))}
    assert set(seen) == {b".", b"..", b"data", b"link", b"single"}
    assert seen[b"data"] == (3, (hosts / "data").stat().st_ino)
    assert seen[b"single"] == (4, (hosts / "single").stat().st_ino)
    assert b"made" in {entry[3] for entry in listing(guest)}
    assert [entry[3] for entry in listing(guest, guest.directory("made"))] == [b".", b"..", b"cache"]


def test_invented_directories_hold_nothing_else(start: Callable[..., Guest], root: Path) -> None:
    """They are in the guest's eyes only, and can't be written."""
    guest = start(("data", "/made/up/data"))
    assert guest.try_open("made/up/new", Oflags.CREAT, WRITE) == "PERM"
    assert guest.name("path_create_directory", ROOT, *guest.text("made/new")) == "PERM"
    assert guest.try_open("made/up/data/new", Oflags.CREAT, WRITE) == "SUCCESS"
    assert not (root / "made").exists()


# Every call that changes something beneath a directory, and what wasmtime says where nothing may be changed.
CHANGES: list[tuple[str, Callable[[Guest, str], str]]] = [
    ("create", lambda g, d: g.try_open(f"{d}/new", Oflags.CREAT, READ)),
    ("create existing", lambda g, d: g.try_open(f"{d}/file", Oflags.CREAT, READ)),
    ("truncate", lambda g, d: g.try_open(f"{d}/file", Oflags.TRUNC, READ)),
    ("write", lambda g, d: g.try_open(f"{d}/file", 0, WRITE)),
    ("read and write", lambda g, d: g.try_open(f"{d}/file", 0, READ | WRITE)),
    ("mkdir", lambda g, d: g.name("path_create_directory", ROOT, *g.text(f"{d}/new"))),
    ("rmdir", lambda g, d: g.name("path_remove_directory", ROOT, *g.text(f"{d}/file"))),
    ("unlink", lambda g, d: g.name("path_unlink_file", ROOT, *g.text(f"{d}/file"))),
    ("times", lambda g, d: g.name("path_filestat_set_times", ROOT, 0, *g.text(f"{d}/file"), 1, 1, 5)),
    ("symlink", lambda g, d: g.name("path_symlink", *g.text("x"), ROOT, *g.text(f"{d}/new", 1))),
    ("link", lambda g, d: g.name("path_link", ROOT, 0, *g.text(f"{d}/file"), ROOT, *g.text(f"{d}/new", 1))),
    ("rename", lambda g, d: g.name("path_rename", ROOT, *g.text(f"{d}/file"), ROOT, *g.text(f"{d}/new", 1))),
    ("size by descriptor", lambda g, d: g.name("fd_filestat_set_size", g.open(f"{d}/file", 0, EVERYTHING & ~WRITE), 1)),
    (
        "times by descriptor",
        lambda g, d: g.name("fd_filestat_set_times", g.open(f"{d}/file", 0, EVERYTHING & ~WRITE), 1, 1, 5),
    ),
    ("times of a directory", lambda g, d: g.name("fd_filestat_set_times", g.directory(d), 1, 1, 5)),
]


def snapshot(directory: Path) -> dict[str, tuple[int, bytes]]:
    """What is in a directory, with times of modification and contents."""
    return {
        entry.name: (entry.lstat().st_mtime_ns, entry.read_bytes() if entry.name == "file" else b"")
        for entry in (*directory.iterdir(), directory)
    }


@pytest.mark.parametrize("change", [change for _, change in CHANGES], ids=[name for name, _ in CHANGES])
@pytest.mark.parametrize("where", ["a read-only mount", "a read-only root"])
def test_nothing_changes_where_it_is_read_only(
    start: Callable[..., Guest], hosts: Path, root: Path, change: Callable[[Guest, str], str], where: str
) -> None:
    """A read-only mount on a writable root, and the other way round, each keep to their own."""
    (root / "work/file").write_text("work")
    if where == "a read-only mount":
        guest, protected, directory = start(("data", "/srv/data", True)), "srv/data", hosts / "data"
    else:
        guest, protected, directory = start(("data", "/srv/data"), read_only=True), "work", root / "work"
    before = snapshot(directory)
    assert change(guest, protected) == "PERM"
    assert snapshot(directory) == before


@pytest.mark.parametrize("change", [change for _, change in CHANGES], ids=[name for name, _ in CHANGES])
def test_everything_changes_where_it_may(start: Callable[..., Guest], change: Callable[[Guest, str], str]) -> None:
    """The same calls succeed in a writable mount on a read-only root; only its files aren't directories."""
    guest = start(("data", "/srv/data"), read_only=True)
    assert change(guest, "srv/data") in {"SUCCESS", "NOTDIR", "INVAL"}


def test_a_read_only_file_in_a_writable_directory(start: Callable[..., Guest], hosts: Path) -> None:
    """A single file can be mounted read-only, or writable on a read-only root."""
    guest = start(("single", "/etc/passwd", True))
    assert outcome(guest, "etc/passwd") == "single"
    assert guest.try_open("etc/passwd", 0, WRITE) == "PERM"
    assert guest.try_open("var/run/passwd", Oflags.TRUNC, READ) == "PERM"
    writable = start(("single", "/etc/passwd"), read_only=True)
    writable.write(writable.open("etc/passwd", Oflags.TRUNC, WRITE), b"new")
    assert (hosts / "single").read_text() == "new"
    assert writable.try_open("etc/other", Oflags.CREAT, WRITE) == "PERM"


@pytest.mark.parametrize("path", ["srv/data", "srv", "etc/single", "srv/data/"])
def test_mounts_and_what_leads_to_them_stay(start: Callable[..., Guest], path: str) -> None:
    """They can be neither removed nor renamed nor replaced, as on Linux."""
    guest = start(("data", "/srv/data"), ("single", "/etc/single"))
    text = guest.text
    assert guest.name("path_rename", ROOT, *text(path), ROOT, *text("moved", 1)) == "BUSY"
    assert guest.name("path_rename", ROOT, *text("work"), ROOT, *text(path, 1)) in {"BUSY", "XDEV"}
    assert guest.name("path_remove_directory", ROOT, *text(path)) in {"BUSY", "INVAL"}
    assert guest.name("path_unlink_file", ROOT, *text(path)) in {"BUSY", "ISDIR"}
    assert [outcome(guest, p) for p in ("srv/data/file", "etc/single")] == ["data", "single"]


@pytest.mark.parametrize("function", ["path_rename", "path_link"])
def test_nothing_crosses_from_one_mount_to_another(start: Callable[..., Guest], function: str) -> None:
    """XDEV even on one file system: a hard link would take a file out of a read-only mount."""
    guest = start(("data", "/srv/data"))
    old, new = guest.text("srv/data/file"), guest.text("work/file", 1)
    flags = (0,) if function == "path_link" else ()
    assert guest.name(function, ROOT, *flags, *old, ROOT, *new) == "XDEV"


def test_a_later_mount_covers_an_earlier_one(start: Callable[..., Guest]) -> None:
    """At the same place and beneath it."""
    guest = start(("data", "/srv/data"), ("inner", "/srv/data/inner"), ("cache", "/srv/data"))
    assert [outcome(guest, f"srv/data/{name}") for name in ("file", "inner/file")] == ["cache", "NOENT"]


def test_a_mount_goes_where_a_link_in_the_image_leads(start: Callable[..., Guest]) -> None:
    """As a container runtime resolves it."""
    guest = start(("data", "/var/run/data"))
    assert [outcome(guest, path) for path in ("var/run/data/file", "etc/data/file")] == ["data", "data"]


def test_a_mounts_source_may_be_reached_through_links_of_the_host(start: Callable[..., Guest], hosts: Path) -> None:
    """The host's own words are trusted."""
    (hosts / "alias").symlink_to("data")
    (hosts / "alias-file").symlink_to("single")
    guest = start(("alias", "/srv/data"), ("alias-file", "/etc/single"))
    assert [outcome(guest, path) for path in ("srv/data/file", "etc/single")] == ["data", "single"]


@pytest.mark.parametrize(
    ("source", "destination", "message"),
    [
        ("nowhere", "/srv/data", "No such file"),
        ("data", "srv/data", "expected an absolute path"),
        ("data", "/srv/../data", "without .."),
        ("data", "/", "not /"),
        ("data", "/etc/passwd/data", "through a file"),
        ("fifo", "/srv/data", "neither a directory nor a regular file"),
    ],
)
def test_impossible_mounts_are_named(
    start: Callable[..., Guest], hosts: Path, source: str, destination: str, message: str
) -> None:
    """With the source, the destination and the reason."""
    os.mkfifo(hosts / "fifo")
    with pytest.raises(InvalidMount, match=message) as error:
        start((source, destination))
    assert source in str(error.value)


@pytest.mark.parametrize("cwd", ["/nowhere", "/etc/passwd", "relative"])
def test_a_current_directory_that_is_none_is_named(start: Callable[..., Guest], cwd: str) -> None:
    """An error says which it was."""
    with pytest.raises(InvalidInput, match=cwd.strip("/")):
        start(cwd=cwd)


def test_a_root_that_is_none_is_named(tmp_path: Path) -> None:
    """The host's path stands in the error."""
    with pytest.raises(InvalidInput, match="nowhere"):
        Guest(tmp_path / "nowhere")


def test_the_same_directory_may_be_mounted_twice(start: Callable[..., Guest]) -> None:
    """Once to be read, once to be written, each place by its own rule."""
    guest = start(("data", "/srv/data", True), ("data", "/work/data"))
    guest.write(guest.open("work/data/file", Oflags.TRUNC, WRITE), b"new")
    assert outcome(guest, "srv/data/file") == "new"
    assert guest.try_open("srv/data/file", 0, WRITE) == "PERM"


def test_a_mount_disappears_on_the_host(start: Callable[..., Guest], hosts: Path) -> None:
    """The guest sees it empty, and nothing breaks."""
    guest = start(("data", "/srv/data"))
    shutil.rmtree(hosts / "data")
    assert outcome(guest, "srv/data/file") == "NOENT"
    assert guest.try_open("srv/data/new", Oflags.CREAT, WRITE) == "NOENT"


@pytest.mark.parametrize("path", ["etc/single", "etc/single/"])
def test_a_mounted_file_that_disappears_on_the_host_stays_away(
    start: Callable[..., Guest], hosts: Path, path: str
) -> None:
    """Nothing can be made in its place, which is in a directory of the host's that the guest was never given."""
    guest = start(("single", "/etc/single"))
    (hosts / "single").unlink()
    before = sorted(hosts.iterdir())
    text = guest.text
    assert guest.try_open(path, Oflags.CREAT, WRITE) in {"NOENT", "ISDIR"}
    assert guest.name("path_create_directory", ROOT, *text(path)) == "EXIST"
    assert guest.name("path_symlink", *text("x"), ROOT, *text(path, 1)) == "EXIST"
    assert guest.name("path_link", ROOT, 0, *text("work/local"), ROOT, *text(path, 1)) in {"XDEV", "EXIST"}
    assert guest.name("path_rename", ROOT, *text("work/local"), ROOT, *text(path, 1)) == "BUSY"
    assert sorted(hosts.iterdir()) == before


def test_plain_preopens_can_be_read_only(root: Path) -> None:
    """Without a tree, too."""
    (root / "file").write_text("data")
    with Guest(preopens=[Preopen(root, "/", read_only=True)]) as guest:
        assert outcome(guest, "file") == "data"
        assert guest.try_open("file", 0, WRITE) == "PERM"
        assert guest.name("path_create_directory", ROOT, *guest.text("new")) == "PERM"


def test_root_that_can_not_be_opened(tmp_path: Path) -> None:
    """What keeps a directory from being opened is said, and not that it is none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(InvalidInput, match="Too many open files"):
            OpenTree(FileTree(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

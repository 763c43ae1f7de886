"""Trees that a guest has made are removed, whatever they look like and whoever changes them meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.image.children import in_child
from tests.support.leak_check import no_descriptor_left
from tests.support.requirements import require
from wasmoci.host.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.heavy

MEMORY = Path("/dev/shm")
SCALE = int(os.environ.get("WASMOCI_REMOVAL_SCALE", "1"))
"""Twenty of them are 10^6 files in a directory; 100,000 levels are made in any case."""

USER = 12345


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory in memory, where a million files take seconds; it is gone at the end, with the help of others."""
    path = Path(tempfile.mkdtemp(prefix="wasmoci-test-", dir=MEMORY if MEMORY.is_dir() else None))
    yield path
    subprocess.run(["rm", "-rf", path], check=True)


def chain(place: Path, levels: int, name: str = "d") -> None:
    """Make directories, each in the one before."""
    fd = os.open(place, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)


@contextlib.contextmanager
def few_descriptors(count: int) -> Iterator[None]:
    """Let this process open no more than a few descriptors beside those that it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("levels", [1, 3000, 100_000])
def test_deep(place: Path, levels: int) -> None:
    """A tree of any depth, with six descriptors."""
    (place / "tree").mkdir()
    chain(place / "tree", levels)
    with no_descriptor_left(), few_descriptors(6):
        remove_tree(place / "tree")
    assert list(place.iterdir()) == []


def test_deep_by_long_names(place: Path) -> None:
    """The path of nothing in it is one that the kernel would take."""
    chain(place, 2000, "n" * 255)
    remove_tree(place / ("n" * 255))
    assert list(place.iterdir()) == []


def test_many_files(place: Path) -> None:
    """A directory of many files takes no memory for them."""
    count = SCALE * 50_000
    (place / "tree").mkdir()
    fd = os.open(place / "tree", os.O_RDONLY)
    for number in range(count):
        os.close(os.open(f"file{number}", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)

    def work() -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        remove_tree(place / "tree")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096, "KiB"

    assert in_child(work) == 0
    assert list(place.iterdir()) == []


def test_many_directories(place: Path) -> None:
    """More directories in one than are remembered at once, each with something in it."""
    for number in range(5000):
        (place / "tree" / str(number) / "in").mkdir(parents=True)
    remove_tree(place / "tree")
    assert list(place.iterdir()) == []


def test_wide_and_deep(place: Path) -> None:
    """Several directories at each of many levels: no name is forgotten on the way back."""
    fd = os.open(place, os.O_RDONLY)
    for _ in range(500):
        for name in ("a", "b", "c"):
            os.mkdir(name, dir_fd=fd)
            os.mkdir(f"{name}/in", dir_fd=fd)
        inner = os.open("b", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    for name in ("a", "b", "c"):
        remove_tree(place / name)
    assert list(place.iterdir()) == []


def test_every_kind(tmp_path: Path) -> None:
    """Files of every kind go, and names that aren't UTF-8; what links lead to stays."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    tree = tmp_path / "tree"
    (tree / "inner").mkdir(parents=True)
    (tree / "inner" / "link").symlink_to(outside)
    (tree / "dangling").symlink_to("nowhere")
    (tree / "up").symlink_to("..")
    os.link(outside / "kept", tree / "hard")
    os.mkfifo(tree / "fifo")
    foreign = tree / os.fsdecode(b"\xff\xfe")
    foreign.mkdir()
    (foreign / os.fsdecode(b"\x80")).touch()
    (tree / "new\nline").mkdir()
    remove_tree(tree)
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert (outside / "kept").stat().st_nlink == 1


@pytest.mark.parametrize("kind", ["file", "link", "fifo", "empty"])
def test_what_is_no_tree(tmp_path: Path, kind: str) -> None:
    """A file, a link to a directory and an empty directory are removed as they are."""
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "in").touch()
    it = tmp_path / "it"
    {
        "file": it.touch,
        "link": lambda: it.symlink_to("target"),
        "fifo": lambda: os.mkfifo(it),
        "empty": it.mkdir,
    }[kind]()
    remove_tree(it)
    assert [path.name for path in tmp_path.rglob("*")] == ["target", "in"]
    with pytest.raises(FileNotFoundError):
        remove_tree(it)


def test_beneath_a_descriptor(tmp_path: Path) -> None:
    """A name alone is looked up in the directory that is given."""
    (tmp_path / "tree" / "in").mkdir(parents=True)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        remove_tree("tree", dir_fd=fd)
    finally:
        os.close(fd)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o000, 0o100, 0o200, 0o400, 0o500, 0o600])
def test_without_permissions(place: Path, mode: int) -> None:
    """Its owner, who isn't root, may not read, write or enter a directory, and removes it."""

    def work() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(USER, USER, USER)
            os.setresuid(USER, USER, USER)
        (place / "tree" / "a" / "b" / "c").mkdir(parents=True)
        (place / "tree" / "a" / "b" / "file").touch()
        for name in ("tree/a/b/c", "tree/a/b", "tree/a", "tree"):
            (place / name).chmod(mode)
        remove_tree(place / "tree")

    if os.geteuid() == 0:
        os.chown(place, USER, USER)
    assert in_child(work) == 0
    assert list(place.iterdir()) == []


def as_root() -> None:
    """Go on as root alone."""
    require(os.geteuid() == 0, "only root can mount, give files away, and be several users")


@contextlib.contextmanager
def mounted(source: Path | str, target: Path, *options: str) -> Iterator[None]:
    """Something mounted in the mount namespace of the tests."""
    as_root()
    done = subprocess.run(["mount", *options, source, target], check=False, capture_output=True, text=True)
    require(done.returncode == 0, f"this root may not mount: {done.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", target], check=True)


@pytest.mark.parametrize("kind", ["the same file system", "another", "a file", "itself"])
def test_mounts(tmp_path: Path, kind: str) -> None:
    """What is mounted in it, as a directory of the host's, isn't entered: it is an error, and all else is removed."""
    host = tmp_path / "host"
    host.mkdir()
    (host / "kept").write_text("x")
    tree = tmp_path / "tree"
    (tree / "a" / "mount").mkdir(parents=True)
    (tree / "z" / "in").mkdir(parents=True)
    point = tree / "a" / "mount"
    if kind == "a file":
        point.rmdir()
        point.touch()
    if kind == "itself":
        point = host = tree
        (tree / "kept").write_text("x")
    source: Path | str = {"a file": host / "kept", "another": "none"}.get(kind, host)
    options = ("-t", "tmpfs") if kind == "another" else ("--bind",)
    with mounted(source, point, *options):
        if kind == "another":
            host = point
            (point / "kept").write_text("x")
        with pytest.raises(OSError, match=str(point)) as caught:
            remove_tree(tree)
        assert caught.value.errno == errno.EBUSY
        assert (host / "kept").read_text() == "x"
        if kind != "itself":
            assert [path.name for path in tree.iterdir()] == ["a"]
    remove_tree(tree)
    assert not tree.exists()


def test_immutable(tmp_path: Path) -> None:
    """What the kernel lets nobody remove stays; everything else goes, and the error names it."""
    as_root()
    tree = tmp_path / "tree"
    for name in ("a/fixed/deep/file", "a/b/file", "c/file"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    done = subprocess.run(["chattr", "+i", tree / "a/fixed/deep"], check=False, capture_output=True, text=True)
    require(done.returncode == 0, f"no immutable files here: {done.stderr}")
    try:
        with no_descriptor_left(), pytest.raises(OSError, match="a/fixed/deep/file") as caught:
            remove_tree(tree)
        assert caught.value.errno == errno.EPERM
        assert sorted(path.name for path in tree.rglob("*")) == ["a", "deep", "file", "fixed"]
    finally:
        subprocess.run(["chattr", "-i", tree / "a/fixed/deep"], check=True)
    remove_tree(tree)


def test_what_belongs_to_another(place: Path) -> None:
    """A user who may not remove something leaves it, and is told so once, also among many that stay."""
    as_root()
    place.chmod(0o777)
    tree = place / "tree"
    tree.mkdir()
    for number in range(3000):
        (tree / f"{number}").mkdir()
        (tree / f"{number}" / "file").touch()
    (tree / "own").mkdir()
    (tree / "own" / "file").touch()
    for path in (tree, tree / "own", tree / "own" / "file"):
        os.chown(path, USER, USER)

    def work() -> None:
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
        with pytest.raises(PermissionError, match=f"{tree}/"):
            remove_tree(tree)

    assert in_child(work) == 0
    remove_tree(tree)


_RACE = """
import os, sys
root, outside = sys.argv[1:]
# What is in the tree is moved out and in again, moved up and down, and links take the places of directories.
print("ready", flush=True)
number = 0
while True:
    number += 1
    for old, new in (
        (f"{root}/a/b/c", f"{root}/moved"), (f"{root}/moved", f"{root}/a/b/c"),
        (f"{root}/a/b", f"{outside}/b"), (f"{outside}/b", f"{root}/a/b"),
        (f"{root}/a", f"{root}/z"), (f"{root}/z", f"{root}/a"),
    ):
        try:
            os.rename(old, new)
        except OSError:
            pass
    try:
        os.symlink(outside, f"{root}/a/b/c/link{number % 50}")
        os.mkdir(f"{root}/a/b/c/{number % 50}")
    except OSError:
        pass
    for name in ("a", "a/b", "a/b/c"):
        try:
            os.mkdir(f"{root}/{name}")
        except OSError:
            pass
"""


def test_renamed_meanwhile(place: Path) -> None:
    """Somebody renames things in it, and out of it: nothing outside is touched, and it ends."""
    outside = place / "outside"
    for name in ("kept/a", "kept/d/d/d", "d/d"):
        (outside / name).mkdir(parents=True)
        (outside / name / "file").write_text("x")
    expected = sorted(path.relative_to(outside) for path in outside.rglob("*"))
    root = place / "root"
    (root / "a" / "b" / "c").mkdir(parents=True)
    chain(root / "a" / "b" / "c", 200)
    with subprocess.Popen([sys.executable, "-c", _RACE, root, outside], stdout=subprocess.PIPE) as racer:
        assert racer.stdout is not None
        racer.stdout.readline()
        try:
            for _ in range(300):
                with contextlib.suppress(OSError), no_descriptor_left():
                    remove_tree(root)
                with contextlib.suppress(OSError):
                    (root / "a" / "b" / "c").mkdir(parents=True, exist_ok=True)
                    chain(root / "a" / "b" / "c", 30)
        finally:
            racer.send_signal(signal.SIGKILL)
    found = [path.relative_to(outside) for path in outside.rglob("*")]
    assert sorted(path for path in found if path.parts[0] != "b") == expected
    remove_tree(root)


_ADDING = """
import os, sys
print("ready", flush=True)
number = 0
while True:
    number += 1
    try:
        os.makedirs(f"{sys.argv[1]}/d/e/{number}")
    except OSError:
        pass
"""


def test_somebody_keeps_adding(place: Path) -> None:
    """It ends all the same, and once nobody adds any more the tree can be removed."""
    (place / "tree" / "d").mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", _ADDING, place / "tree"], stdout=subprocess.PIPE) as adder:
        assert adder.stdout is not None
        adder.stdout.readline()
        try:
            with contextlib.suppress(OSError):
                remove_tree(place / "tree")
        finally:
            adder.send_signal(signal.SIGKILL)
    with contextlib.suppress(FileNotFoundError):
        remove_tree(place / "tree")
    assert list(place.iterdir()) == []


def test_keeps_what_it_may_not_touch(tmp_path: Path) -> None:
    """The modes of what isn't in the tree stay, also where a link in it leads there."""
    (tmp_path / "outside").mkdir(mode=0o500)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "outside")
    remove_tree(tmp_path / "tree")
    assert stat.S_IMODE((tmp_path / "outside").stat().st_mode) == 0o500

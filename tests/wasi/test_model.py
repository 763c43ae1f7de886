"""Any sequence of calls leaves the files, and gives the results, that a model of a file system foresees."""

from __future__ import annotations

import shutil
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.wasi.harness import EVERYTHING, ROOT, Guest
from tests.wasi.model import Directory, Failure, File, FileSystem, Link
from tests.wasi.test_paths import listing
from wasmoci.wasi import Oflags

if TYPE_CHECKING:
    from collections.abc import Callable

PATHS = st.lists(st.sampled_from(["a", "b", "c", "a", "b", ".."]), min_size=1, max_size=4).map("/".join)
DATA = st.binary(min_size=1, max_size=20)
FLAGS = st.fixed_dictionaries({"create": st.booleans(), "exclusive": st.booleans(), "truncate": st.booleans()})
TYPES = {File: 4, Directory: 3, Link: 7}


class Files(RuleBasedStateMachine):
    """Drives a guest and the model side by side."""

    use_openat2 = True

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.guest = Guest(self.directory, use_openat2=self.use_openat2)
        self.model = FileSystem()
        self.open: dict[int, list[Any]] = {}  # descriptor -> the model's file and the position in it

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.guest.wasi.close()
        shutil.rmtree(self.directory)

    def same(self, name: str, arguments: tuple[int, ...], foreseen: Callable[[], object]) -> bool:
        """Make a call, and see that it ends as the model says; tell whether it succeeded."""
        errno = self.guest.name(name, *arguments)
        expected = "SUCCESS"
        try:
            foreseen()
        except Failure as failure:
            expected = str(failure)
        assert errno == expected
        return expected == "SUCCESS"

    @rule(path=PATHS)
    def create_directory(self, path: str) -> None:
        """``path_create_directory``."""
        self.same(
            "path_create_directory",
            (ROOT, *self.guest.text(path)),
            lambda: self.model.make(path, Directory(None)),
        )

    @rule(path=PATHS)
    def remove_directory(self, path: str) -> None:
        """``path_remove_directory``."""
        self.same("path_remove_directory", (ROOT, *self.guest.text(path)), lambda: self.model.remove_directory(path))

    @rule(path=PATHS)
    def unlink(self, path: str) -> None:
        """``path_unlink_file``."""
        self.same("path_unlink_file", (ROOT, *self.guest.text(path)), lambda: self.model.unlink(path))

    @rule(held=PATHS, path=PATHS)
    def symlink(self, held: str, path: str) -> None:
        """``path_symlink``."""
        arguments = (*self.guest.text(held), ROOT, *self.guest.text(path, 1))
        self.same("path_symlink", arguments, lambda: self.model.make(path, Link(held)))

    @rule(old=PATHS, new=PATHS)
    def link(self, old: str, new: str) -> None:
        """``path_link``."""
        arguments = (ROOT, 0, *self.guest.text(old), ROOT, *self.guest.text(new, 1))
        self.same("path_link", arguments, lambda: self.model.link(old, new))

    @rule(old=PATHS, new=PATHS)
    def rename(self, old: str, new: str) -> None:
        """``path_rename``."""
        arguments = (ROOT, *self.guest.text(old), ROOT, *self.guest.text(new, 1))
        self.same("path_rename", arguments, lambda: self.model.rename(old, new))

    @rule(path=PATHS, flags=FLAGS)
    def open_file(self, path: str, flags: dict[str, bool]) -> None:
        """``path_open``, for reading and writing."""
        oflags = sum(
            value
            for name, value in (("create", Oflags.CREAT), ("exclusive", Oflags.EXCL), ("truncate", Oflags.TRUNC))
            if flags[name]
        )
        files: list[File] = []
        arguments = (ROOT, 1, *self.guest.text(path), oflags, EVERYTHING, EVERYTHING, 0, 0)
        if self.same("path_open", arguments, lambda: files.append(self.model.open(path, **flags))):
            self.open[self.guest.number(0)] = [files[0], 0]

    @rule(which=st.integers(0, 9), data=DATA)
    def write(self, which: int, data: bytes) -> None:
        """``fd_write`` at the position."""
        if self.open:
            fd = list(self.open)[which % len(self.open)]
            file, position = self.open[fd]
            assert self.guest.write(fd, data) == len(data)
            file.data.extend(bytes(max(0, position - len(file.data))))
            file.data[position : position + len(data)] = data
            self.open[fd][1] += len(data)

    @rule(which=st.integers(0, 9), size=st.integers(0, 30))
    def read(self, which: int, size: int) -> None:
        """``fd_read`` at the position."""
        if self.open:
            fd = list(self.open)[which % len(self.open)]
            file, position = self.open[fd]
            data = self.guest.read(fd, size)
            assert data == bytes(file.data[position : position + size])
            self.open[fd][1] += len(data)

    @rule(which=st.integers(0, 9), offset=st.integers(-10, 40), whence=st.integers(0, 2))
    def seek(self, which: int, offset: int, whence: int) -> None:
        """``fd_seek`` to anywhere."""
        if self.open:
            fd = list(self.open)[which % len(self.open)]
            file, position = self.open[fd]
            target = offset + (0, position, len(file.data))[whence]
            errno = self.guest.name("fd_seek", fd, offset, whence, 0)
            assert errno == ("SUCCESS" if target >= 0 else "INVAL")
            if target >= 0:
                assert self.guest.number(0, 8) == target
                self.open[fd][1] = target

    @rule(which=st.integers(0, 9), size=st.integers(0, 40))
    def set_size(self, which: int, size: int) -> None:
        """``fd_filestat_set_size``."""
        if self.open:
            fd = list(self.open)[which % len(self.open)]
            data = self.open[fd][0].data
            assert self.guest.name("fd_filestat_set_size", fd, size) == "SUCCESS"
            del data[size:]
            data.extend(bytes(size - len(data)))

    @rule(which=st.integers(0, 9))
    def close(self, which: int) -> None:
        """``fd_close``."""
        if self.open:
            fd = list(self.open)[which % len(self.open)]
            assert self.guest.name("fd_close", fd) == "SUCCESS"
            del self.open[fd]

    @rule(one=st.integers(0, 9), other=st.integers(0, 9))
    def renumber(self, one: int, other: int) -> None:
        """``fd_renumber``."""
        if self.open:
            old, new = (list(self.open)[which % len(self.open)] for which in (one, other))
            assert self.guest.name("fd_renumber", old, new) == "SUCCESS"
            self.open[new] = self.open.pop(old)

    @rule(path=PATHS, follow=st.booleans())
    def look(self, path: str, follow: bool) -> None:  # noqa: FBT001
        """``path_filestat_get``."""
        nodes: list[Any] = []
        arguments = (ROOT, int(follow), *self.guest.text(path), 0)
        foreseen = lambda: nodes.append(self.model.node(path, follow=follow))  # noqa: E731
        if self.same("path_filestat_get", arguments, foreseen):
            filetype, size = struct.unpack("<16xB15xQ24x", self.guest.get(0, 64))
            assert filetype == TYPES[type(nodes[0])]
            if isinstance(nodes[0], File):
                assert size == len(nodes[0].data)

    @rule(path=PATHS)
    def read_link(self, path: str) -> None:
        """``path_readlink``."""
        targets: list[str] = []

        def foreseen() -> None:
            node = self.model.node(path, follow=False)
            if not isinstance(node, Link):
                raise Failure("INVAL")
            targets.append(node.target)

        if self.same("path_readlink", (ROOT, *self.guest.text(path), 64, 100, 0), foreseen):
            assert self.guest.get(64, self.guest.number(0)).decode() == targets[0]

    @invariant()
    def the_trees_are_alike(self) -> None:
        """On the host's disk, and as the guest lists it."""
        assert host_tree(self.directory) == model_tree(self.model.root)
        names = sorted(name.decode() for *_, name in listing(self.guest))
        assert names == sorted([".", "..", *self.model.root.entries])


class FilesByWalking(Files):
    """The same by single components."""

    use_openat2 = False


def host_tree(directory: Path) -> dict[str, Any]:
    """What is on the disk."""
    return {
        path.name: str(path.readlink())
        if path.is_symlink()
        else host_tree(path)
        if path.is_dir()
        else path.read_bytes()
        for path in directory.iterdir()
    }


def model_tree(directory: Directory) -> dict[str, Any]:
    """What is in the model."""
    return {
        name: node.target
        if isinstance(node, Link)
        else model_tree(node)
        if isinstance(node, Directory)
        else bytes(node.data)
        for name, node in directory.entries.items()
    }


@pytest.mark.parametrize("machine", [Files, FilesByWalking])
def test_files_are_as_the_model_says(machine: type[Files]) -> None:
    """Whatever the sequence of calls."""
    run_state_machine_as_test(machine, settings=settings(max_examples=40, stateful_step_count=30, deadline=None))

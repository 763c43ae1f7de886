"""Every function with any arguments: an errno, never an exception, nothing outside touched, no waiting."""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wasi.harness import EVERYTHING, NAMES, WRITE, FixedClocks, Guest
from wasmoci.wasi import FUNCTIONS, FileTree, Mount, ProcExit

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = 4096

#: How memory starts: strings, buffers and subscriptions for arguments to hit upon.
STRINGS = [
    b"file",
    b"directory",
    b"directory/file",
    b"link",
    b"absolute",
    b"..",
    b".",
    b"../secret",
    b"/",
    b"new",
    b"m/x",
    b"",
]
POINTERS = [0, 16, 64, 128, 512, 1024, 2048, MEMORY - 64, MEMORY - 8, MEMORY - 1, MEMORY, MEMORY + 1]
ODD = [0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, -1, -(2**31)]
SMALL = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 16, 31, 32, 48, 64]

I32 = st.one_of(st.sampled_from(SMALL + POINTERS + ODD), st.integers(-(2**31), 2**32 - 1))
# Either small or impossible, so as not to fill the disk.
I64 = st.one_of(st.sampled_from([0, 1, 2, 7, 100, -1, -(2**63), 2**63 - 1, 2**63, 2**64 - 1]), st.integers(0, 2**16))
CALLS = st.sampled_from(sorted(FUNCTIONS)).flatmap(
    lambda name: st.tuples(
        st.just(name), st.tuples(*(I32 if kind == "i32" else I64 for kind in FUNCTIONS[name].params))
    )
)


def layout() -> bytes:
    """Memory with something at every place that is likely to be pointed at."""
    memory = bytearray(MEMORY)
    for index, text in enumerate(STRINGS):
        memory[16 * index : 16 * index + len(text)] = text
    for index, (address, length) in enumerate(itertools.product((0, 64, 2048, MEMORY - 4, MEMORY), (0, 1, 8, 2**31))):
        struct.pack_into("<II", memory, 512 + 8 * index, address, length)
    for index in range(8):
        struct.pack_into("<QB7xI28x", memory, 1024 + 48 * index, index, index % 3, index)
    return bytes(memory)


class SmallMemory:
    """A memory of less than a page, so that bounds are often met."""

    def __init__(self) -> None:
        self.data = bytearray(layout())

    def view(self) -> memoryview:
        """Give it."""
        return memoryview(self.data)


@contextlib.contextmanager
def world() -> Iterator[tuple[Guest, Path]]:
    """A guest with some of everything, and the directory around its files."""
    ours, theirs = socket.socketpair()
    ours.close()  # so that nothing waits for it
    with tempfile.TemporaryDirectory() as directory, theirs:
        around = Path(directory)
        root, mounted = around / "root", around / "mounted"
        (root / "directory").mkdir(parents=True)
        mounted.mkdir()
        (around / "secret").write_text("outside")
        (root / "file").write_text("file")
        (root / "directory/file").write_text("file")
        (root / "link").symlink_to("directory/file")
        (root / "absolute").symlink_to("/directory")
        tree = FileTree(root, mounts=[Mount(mounted, "/m", read_only=True)])
        guest = Guest(
            preopens=tree.preopens("/directory"),
            sockets=[theirs],
            clocks=FixedClocks(),
            args=["a", "b"],
            env=[("A", "b")],
            max_descriptors=32,
        )
        with guest:
            guest.open("file", directory=4)
            guest.directory("directory", directory=4)
            guest.memory = SmallMemory()
            guest.wasi.bind(guest.memory)
            yield guest, around


def check(guest: Guest, around: Path, name: str, arguments: tuple[int, ...]) -> None:
    """Make a call; see that it gives an errno and leaves what is outside alone."""
    if name == "proc_exit":
        with pytest.raises(ProcExit):
            guest.call(name, *arguments)
    else:
        assert guest.call(name, *arguments) in NAMES
    assert {entry.name for entry in around.iterdir()} == {"mounted", "root", "secret"}
    assert (around / "secret").read_text() == "outside"
    assert list((around / "mounted").iterdir()) == []


@settings(max_examples=100, deadline=None)
@given(calls=st.lists(CALLS, min_size=1, max_size=40))
def test_any_calls(calls: list[tuple[str, tuple[int, ...]]]) -> None:
    """Sequences, on what the ones before have left."""
    with world() as (guest, around):
        for name, arguments in calls:
            check(guest, around, name, arguments)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "proc_exit"])
def test_many_calls_of_each_function(name: str) -> None:
    """From the values that are likely to hit something, in any combination."""
    choose = random.Random(name).choice  # noqa: S311 - the same calls each time
    wide = [0, 1, 5, 100, -1, 2**63 - 1, -(2**63), EVERYTHING, EVERYTHING & ~WRITE]
    if name == "fd_allocate":
        wide = [0, 1, 100, -1, 2**63 - 1, -(2**63)]  # without a gigabyte
    choices = [SMALL + POINTERS + ODD if kind == "i32" else wide for kind in FUNCTIONS[name].params]
    if choices:
        choices[0] = SMALL[:12]  # for a function of a descriptor, mostly one that is open
    with world() as (guest, around):
        for _ in range(300):
            guest.put(0, layout())
            check(guest, around, name, tuple(choose(values) for values in choices))

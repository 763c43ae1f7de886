"""A guest without an engine: plain memory, and the host functions called as an engine would call them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from wasmoci.wasi import Errno, Oflags, Preopen, ProcExit, Rights, Wasi

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

MASK = b"?"
SIZE = 65536  # one page
SCRATCH = 32768  # where arguments go, above what tests look at

READ = Rights.FD_READ
WRITE = Rights.FD_WRITE
EVERYTHING = (1 << 30) - 1
ROOT = 3  # the first preopen

NAMES = {value: name for name, value in vars(Errno).items() if name.isupper()}


class ByteMemory:
    """A guest's memory, filled with a mask to show what is written."""

    def __init__(self, size: int = SIZE) -> None:
        self.data = bytearray(MASK * size)

    def view(self) -> memoryview:
        """Give it as an engine does."""
        return memoryview(self.data)


class Guest:
    """Calls the host functions with arguments laid out in memory.

    Args:
        root: Host path of the directory that is ``/``; with ``preopens`` among the options, not used.
        memory: The guest's memory.
        options: As for :class:`Wasi`.
    """

    def __init__(self, root: Path | None = None, *, memory: Any = None, **options: Any) -> None:
        if root is not None:
            options.setdefault("preopens", [Preopen(root, "/")])
        options.setdefault("stdin", ScriptedStream())
        options.setdefault("stdout", ScriptedStream())
        options.setdefault("stderr", ScriptedStream())
        self.memory = memory or ByteMemory()
        self.wasi = Wasi(**options)
        self.wasi.bind(self.memory)
        self._free = itertools.count(SCRATCH, 4096)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wasi.close()

    def call(self, name: str, *arguments: int) -> int:
        """Call a function and give what it returns."""
        result = self.wasi.functions()[name].call(*arguments)
        assert result is not None, "only proc_exit returns nothing, and it raises"
        return result

    def name(self, function: str, *arguments: int) -> str:
        """Call a function and give the name of the errno."""
        try:
            return NAMES[self.call(function, *arguments)]
        except ProcExit as exit_:
            return f"exit {exit_.code}"

    def put(self, address: int, data: bytes) -> int:
        """Write to memory; give the address."""
        self.memory.view()[address : address + len(data)] = data
        return address

    def get(self, address: int, size: int) -> bytes:
        """Read from memory."""
        return bytes(self.memory.view()[address : address + size])

    def number(self, address: int, size: int = 4) -> int:
        """Read an unsigned number from memory."""
        return int.from_bytes(self.get(address, size), "little")

    def text(self, text: str | bytes, slot: int = 0) -> tuple[int, int]:
        """Write a string for a call; give its address and length."""
        data = text if isinstance(text, bytes) else text.encode()
        return self.put(SCRATCH + slot * 8192, data), len(data)

    def iovs(self, *regions: tuple[int, int], at: int = SCRATCH + 24576) -> tuple[int, int]:
        """Write an array of buffers; give its address and count."""
        data = b"".join(a.to_bytes(4, "little") + n.to_bytes(4, "little") for a, n in regions)
        return self.put(at, data), len(regions)

    def open(self, path: str | bytes, oflags: int = 0, rights: int = EVERYTHING, **options: Any) -> int:
        """Open a path; give the descriptor, and where that fails raise. The options are those of :meth:`try_open`."""
        errno = self.try_open(path, oflags, rights, **options)
        assert errno == "SUCCESS", f"{path!r}: {errno}"
        return self.number(SCRATCH - 4)

    def try_open(
        self,
        path: str | bytes,
        oflags: int = 0,
        rights: int = EVERYTHING,
        *,
        inheriting: int = EVERYTHING,
        fdflags: int = 0,
        directory: int = ROOT,
        follow: bool = True,
    ) -> str:
        """Open a path; give the name of the errno."""
        where = self.text(path)
        return self.name("path_open", directory, int(follow), *where, oflags, rights, inheriting, fdflags, SCRATCH - 4)

    def directory(self, path: str | bytes, rights: int = EVERYTHING & ~WRITE, **options: Any) -> int:
        """Open a directory; give the descriptor."""
        return self.open(path, Oflags.DIRECTORY, rights, **options)

    def read(self, fd: int, size: int = 4096) -> bytes:
        """Read from a descriptor."""
        address = SCRATCH + 8192
        errno = self.name("fd_read", fd, *self.iovs((address, size)), SCRATCH - 4)
        assert errno == "SUCCESS", errno
        return self.get(address, self.number(SCRATCH - 4))

    def write(self, fd: int, data: bytes) -> int:
        """Write to a descriptor; give how much was taken."""
        address, size = self.text(data)
        errno = self.name("fd_write", fd, *self.iovs((address, size)), SCRATCH - 4)
        assert errno == "SUCCESS", errno
        return self.number(SCRATCH - 4)

    def read_file(self, path: str, **options: Any) -> bytes:
        """Read a file as a guest does."""
        fd = self.open(path, 0, READ, **options)
        try:
            return self.read(fd)
        finally:
            self.call("fd_close", fd)

    def changes(self) -> dict[int, bytes]:
        """Give what isn't the mask below the scratch area: address -> bytes."""
        result: dict[int, bytes] = {}
        data = bytes(self.memory.view()[: SCRATCH - 4])
        address = 0
        for is_mask, run in itertools.groupby(data, lambda byte: byte == MASK[0]):
            size = len(list(run))
            if not is_mask:
                result[address] = data[address : address + size]
            address += size
        return result


class ScriptedStream:
    """A stream that gives what it was told to, and keeps what it gets."""

    def __init__(self, *reads: bytes | None, take: int | None = None) -> None:
        self.reads = list(reads)
        self.written: list[bytes] = []
        self.take = take

    def read(self, size: int, /) -> bytes | None:
        """Give the next of the scripted pieces."""
        piece = self.reads.pop(0) if self.reads else b""
        return None if piece is None else piece[:size]

    def write(self, data: bytes, /) -> int | None:
        """Keep the bytes, of each call as many as the script says."""
        taken = data if self.take is None else data[: self.take]
        self.written.append(taken)
        return None if self.take is None else len(taken)


class FixedClocks:
    """Clocks that stand still until a guest sleeps."""

    def __init__(self) -> None:
        self.now = 1000
        self.slept: list[int] = []

    def realtime(self) -> int:
        """Give a time in 2020."""
        return 1_600_000_000_000_000_000 + self.now

    def monotonic(self) -> int:
        """Give what has passed."""
        return self.now

    def sleep(self, duration: int) -> None:
        """Let it pass at once."""
        self.slept.append(duration)
        self.now += duration

"""Connects a guest's standard input to any descriptor, although wasmtime accepts only fd 0 or a path."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import stat
import threading
from pathlib import Path

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.handlers._wasmtime.library import Owned, library
from wasmoci.handlers._wasmtime.prototypes import wasm_byte_vec_t
from wasmoci.handlers._wasmtime.waiting import is_null

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.stdio import Streams

_CHUNK = 1 << 16
_SHORT = 1 << 20  # bytes
DESCRIPTORS = Path("/proc/self/fd")


def attach(config: Owned, streams: Streams) -> Callable[[], None] | None:
    """Connect the guest's standard input.

    The process's own is inherited as long as each run finds it as the last one left it: wasmtime has one reader for fd 0, which
    keeps what it has read and the end that it has seen. Of any other file that isn't long the rest is read beforehand; what can
    be opened again, and then has the same position, is. For anything else, and for another file in the place of fd 0, a thread
    moves the bytes through a pipe: then up to a pipe's capacity more is read from the descriptor than the guest reads.

    Args:
        config: The configuration of the guest's WASI.
        streams: The run's; their descriptors stay open.

    Returns:
        What is to be called when the guest has ended, if anything.
    """
    if streams.content is not None and len(streams.content) < _SHORT:
        _set_bytes(config, streams.content)
        return None
    descriptor = streams.stdin
    if descriptor == 0:
        if _own.begin():
            library.wasi_config_inherit_stdin(config.pointer)
            return _own.end
        if stat.S_ISREG(os.fstat(0).st_mode):  # whose position is to move, for whoever reads it next
            return _pump(config, descriptor)
    if (content := _short_content(descriptor)) is not None:
        _set_bytes(config, content)
        return None
    if _can_be_reopened(descriptor) and _set_file(config, DESCRIPTORS / str(descriptor)):
        return None
    return _pump(config, descriptor)


class _Own:
    """The process's own standard input, as read by wasmtime's single reader."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._left: tuple[int, ...] | None = None  # what fd 0 was like when it was last looked at
        self._lost = False  # whether it has been another one since

    def begin(self) -> bool:
        """Begin to use it; return False when fd 0 has been replaced since the reader used it."""
        with self._lock:
            state = _state()
            if self._left is not None:
                compared = _IDENTITY if self._users else len(state)  # the users move it
                self._lost |= self._left[:compared] != state[:compared]
            if not self._lost:
                self._left = state
                self._users += 1
            return not self._lost

    def end(self) -> None:
        """End using it."""
        with self._lock:
            self._users -= 1
            self._left = _state()


_own = _Own()
_IDENTITY = 2  # items of a state


def _state() -> tuple[int, ...]:
    """Return the identity of fd 0; for a regular file also its position and size."""
    status = os.fstat(0)
    identity = status.st_dev, status.st_ino
    if not stat.S_ISREG(status.st_mode):
        return identity
    return (*identity, os.lseek(0, 0, os.SEEK_CUR), status.st_size)


def _short_content(descriptor: int) -> bytes | None:
    """Return the rest of a short regular file; None for anything else."""
    status = os.fstat(descriptor)
    if is_null(status):
        return b""
    if not stat.S_ISREG(status.st_mode):
        return None
    position = os.lseek(descriptor, 0, os.SEEK_CUR)
    if status.st_size - position >= _SHORT:
        return None
    content = os.pread(descriptor, _SHORT, position)
    # A file of the kernel's has no size and content all the same, and gives it in pieces.
    return None if content and status.st_size == 0 else content


def _set_bytes(config: Owned, content: bytes) -> None:
    vector = wasm_byte_vec_t()
    library.wasm_byte_vec_new(ctypes.byref(vector), len(content), content)
    library.wasi_config_set_stdin_bytes(config.pointer, ctypes.byref(vector))  # which takes the vector's content


def _can_be_reopened(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.lseek(descriptor, 0, os.SEEK_CUR) == 0
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _set_file(config: Owned, path: Path) -> bool:
    opened: bool = library.wasi_config_set_stdin_file(config.pointer, os.fsencode(path))
    return opened


def _pump(config: Owned, source: int) -> Callable[[], None]:
    """Use a pipe as the standard input, and fill it from a descriptor; return a function that ends that."""
    with contextlib.ExitStack() as stack:
        target = _connect(config)
        stack.callback(os.close, target)
        ended, end = os.pipe()
        stack.callback(os.close, ended)
        thread = threading.Thread(target=_move, args=(source, target, ended), name="wasmoci-stdin", daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(os.close, end)
        return stack.pop_all().close


def _connect(config: Owned) -> int:
    """Use a pipe as the standard input, and return its non-blocking write end."""
    from wasmoci.host.temporary_directory import temporary_directory  # noqa: PLC0415  6 ms (tempfile): few guests need it

    with temporary_directory("wasmoci-stdin-") as directory:
        path = directory / "stdin"
        os.mkfifo(path, 0o600)
        # Open both ways, so that opening it one way doesn't wait for the other end.
        both = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if not _set_file(config, path):
                raise OSError(f"{path}: can't be opened")
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        finally:
            os.close(both)


def _move(source: int, target: int, ended: int) -> None:
    """Copy bytes until the end, until the reader is gone, or until the other end of ``ended`` is closed."""
    with contextlib.suppress(BrokenPipeError):
        while _ready(source, select.POLLIN, ended) and (data := os.read(source, _CHUNK)):
            rest = memoryview(data)
            while rest and _ready(target, select.POLLOUT, ended):
                rest = rest[os.write(target, rest) :]
    # The guest finds the end of its input when nobody can write any more; the number stays ours until the run ends.
    os.dup2(ended, target, inheritable=False)


def _ready(descriptor: int, event: int, ended: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, event)
    poll.register(ended, select.POLLIN)
    return all(ready != ended for ready, _ in poll.poll())

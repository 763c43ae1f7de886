"""A guest's standard input from any descriptor: wasmtime takes fd 0 of the process, or a path that it opens by itself."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from wasmtime import _ffi as ffi

if TYPE_CHECKING:
    from collections.abc import Iterator

    import wasmtime

_CHUNK = 1 << 16
_SHORT = 1 << 20  # bytes
_NULL = (1, 3)  # the number of /dev/null
DESCRIPTORS = Path("/proc/self/fd")

_first: dict[int, tuple[int, int]] = {}  # of fd 0; setdefault is atomic


@contextlib.contextmanager
def attach(config: wasmtime.WasiConfig, descriptor: int) -> Iterator[None]:
    """Make a descriptor the standard input, for as long as the run lasts.

    The process's own is inherited, unless it is another one by now: wasmtime has one reader for fd 0, which has seen the end of
    what was there before. Of a file that isn't long the rest is read beforehand; what can be opened again, and
    then has the same position, is. For anything else a thread moves the bytes through a pipe: then up to a pipe's
    capacity more is read from the descriptor than the guest reads.

    Args:
        config: The configuration of the guest's WASI.
        descriptor: Open for reading; stays open.
    """
    if descriptor == 0 and _is_the_first(os.fstat(0)):
        config.inherit_stdin()
    elif (content := _short_content(descriptor)) is not None:
        _set_bytes(config, content)
    elif not (_can_be_reopened(descriptor) and _set_file(config, DESCRIPTORS / str(descriptor))):
        with _pump(config, descriptor):
            yield
        return
    yield


def _is_the_first(status: os.stat_result) -> bool:
    """Whether fd 0 is still what it was when wasmtime first read it."""
    identity = (status.st_dev, status.st_ino)
    return _first.setdefault(0, identity) == identity


def is_null(status: os.stat_result) -> bool:
    """Whether this is the device ``/dev/null``."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(*_NULL)


def _short_content(descriptor: int) -> bytes | None:
    """The rest of a regular file that isn't long; None for anything else."""
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


def _set_bytes(config: wasmtime.WasiConfig, content: bytes) -> None:
    vector = ffi.wasm_byte_vec_t()
    data = (ctypes.c_ubyte * len(content)).from_buffer_copy(content)
    ffi.wasm_byte_vec_new(ctypes.byref(vector), len(content), data)
    ffi.wasi_config_set_stdin_bytes(config.ptr(), ctypes.byref(vector))  # which takes the vector's content


def _can_be_reopened(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.lseek(descriptor, 0, os.SEEK_CUR) == 0
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _set_file(config: wasmtime.WasiConfig, path: Path) -> bool:
    opened: bool = ffi.wasi_config_set_stdin_file(config.ptr(), os.fsencode(path))
    return opened


@contextlib.contextmanager
def _pump(config: wasmtime.WasiConfig, source: int) -> Iterator[None]:
    """Make a pipe the standard input, and fill it from a descriptor."""
    with contextlib.ExitStack() as stack:
        target = _connect(config)
        stack.callback(os.close, target)
        ended, end = os.pipe()
        stack.callback(os.close, ended)
        thread = threading.Thread(target=_move, args=(source, target, ended), name="wasmoci-stdin", daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(os.close, end)
        yield


def _connect(config: wasmtime.WasiConfig) -> int:
    """Make a pipe the standard input, and give the descriptor to write to it, which doesn't block."""
    import tempfile  # noqa: PLC0415  most guests read from elsewhere

    with tempfile.TemporaryDirectory(prefix="wasmoci-stdin-") as directory:
        path = Path(directory, "stdin")
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
    """Move bytes until there are no more, nobody reads them, or the other end of ``ended`` is closed."""
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

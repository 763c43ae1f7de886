"""Reads, checks and writes the entries of the compile cache.

An entry consists of a file of code, which never changes, and a record next to it: the code's checksum, what the entry
is for, and a stamp, by which the unchanged file is recognised without reading it. The stamp contains the file's ctime,
which the kernel sets and no user can set back. A file that doesn't match its stamp (because it was copied, for example)
is read and compared with its checksum. So is a file that was stamped right after it changed, when a second change could
have got the same time.

All names are resolved relative to a descriptor of the directory that was checked.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import threading
import time
import zlib
from pathlib import Path

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.compiled import directories
from wasmoci.compiled.file_names import CODE, LOCK, PART, RECORD
from wasmoci.compiled.lock import lock
from wasmoci.errors import UnsafePlace
from wasmoci.host.private_paths import open_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from typing import Any, TypeVar

    _T = TypeVar("_T")


_READABLE = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
_FORMAT = 1
_MOST_RECORD = 1 << 16  # bytes
_TICK = 100_000_000  # nanoseconds; more than the timestamp resolution of any file system
_DESCRIPTORS = "/proc/self/fd"
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class Entries:
    """The open directory of the entries; a context manager.

    Args:
        path: Its host path, without links.
        descriptor: Its descriptor, which is closed at the end.
        warn: Called with a description of any problem with the cache.
    """

    def __init__(self, path: Path, descriptor: int, warn: Callable[[str], None]) -> None:
        self._directory = path
        self.descriptor = descriptor
        self._warn = warn

    @classmethod
    def open(cls, base: Path, warn: Callable[[str], None]) -> Entries:
        """Open the directory of the entries in the directory of all caches; it is created if necessary.

        Raises:
            Unusable: It can't be used.
        """
        descriptor, path = directories.opened(base / directories.MODULES)
        return cls(Path(path), descriptor, warn)

    def __enter__(self) -> Entries:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def path(self, name: str) -> Path:
        """Return the host path of an entry's code."""
        return self._directory / (name + CODE)

    def has(self, name: str) -> bool:
        """Return whether there is an entry, sound or not."""
        try:
            os.stat(name + RECORD, dir_fd=self.descriptor, follow_symlinks=False)
            os.stat(name + CODE, dir_fd=self.descriptor, follow_symlinks=False)
        except OSError:
            return False
        return True

    def load(self, name: str, load: Callable[[str], _T | None]) -> _T | None:
        """Return the result of a function that loads an entry's code; None where there is no sound entry."""
        try:
            with self._open(name + CODE) as code:
                good = self._is_good(name, code)
                return load(self._reachable(name, code)) if good else None
        except FileNotFoundError:
            return None
        except directories.Unusable as problem:
            self._warn(str(problem))
            return None
        except OSError as error:
            self._warn(f"{self.path(name)}: {error.strerror}")
            return None

    def store(
        self, name: str, code: bytes, about: Mapping[str, str], make_room: Callable[[Entries, int], object]
    ) -> None:
        """Store an entry, and remove others for which there is no more room. The entry's lock has to be held.

        Args:
            name: The entry's name.
            code: Its code.
            about: What it is for, to be displayed.
            make_room: Removes other entries until the rest fits into a number of bytes.
        """
        try:
            room = directories.limit()
            if len(code) > room:
                return
            self._write(name + CODE, code)
            with self._open(name + CODE) as written:
                stamp = _stamp(written)
            self._record(name, {**about, "checksum": zlib.crc32(code)}, stamp)
            make_room(self, room)
        except directories.Unusable as problem:
            self._warn(str(problem))
        except OSError as error:
            self._warn(f"{self._directory}: an entry can't be written: {error.strerror}")

    def remove(self, name: str) -> None:
        """Remove an entry; processes that have it open keep it."""
        for suffix in (RECORD, CODE):
            with contextlib.suppress(OSError):
                os.unlink(name + suffix, dir_fd=self.descriptor)

    def lock(self, name: str, patience: float) -> AbstractContextManager[bool]:
        """Hold a name's lock; see :func:`wasmoci.compiled.lock.lock`."""
        return lock(self.descriptor, name + LOCK, patience=patience)

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[bool]:
        """Hold the lock for writing an entry; yields False when it isn't available, and nothing may be stored."""
        with contextlib.ExitStack() as stack:
            try:
                got = stack.enter_context(lock(self.descriptor, name + LOCK))
            except OSError as error:
                self._warn(f"{self._directory}: {error.strerror}")
                got = False
            yield got

    def record(self, name: str) -> dict[str, Any] | None:
        """Return the record of an entry; None when it is missing or malformed."""
        try:
            with self._open(name + RECORD) as descriptor:
                record = json.loads(os.read(descriptor, _MOST_RECORD))
        except (OSError, ValueError, RecursionError, directories.Unusable):
            return None
        return record if isinstance(record, dict) and record.get("format") == _FORMAT else None

    def is_sound(self, name: str) -> bool:
        """Return whether an entry's code matches its checksum, by reading all of it."""
        try:
            with self._open(name + CODE) as code:
                record = self.record(name)
                return record is not None and record.get("checksum") == _checksum(code)
        except (OSError, directories.Unusable):
            return False

    def _is_good(self, name: str, code: int) -> bool:
        record = self.record(name)
        if record is None:
            return False
        stamp = _stamp(code)
        if _is_known(record.get("stamp"), stamp):
            with contextlib.suppress(OSError):  # mark it as used, for the eviction
                os.utime(name + RECORD, dir_fd=self.descriptor, follow_symlinks=False)
            return True
        if record.get("checksum") != _checksum(code):
            return False
        with contextlib.suppress(OSError):
            self._record(name, record, stamp)
        return True

    def _record(self, name: str, record: Mapping[str, object], stamp: list[int]) -> None:
        self._write(name + RECORD, json.dumps({**record, "format": _FORMAT, "stamp": stamp}).encode())

    def _write(self, name: str, data: bytes) -> None:
        """Write a file atomically."""
        # A record may be written without the lock, by several processes that have all read the same code; they write
        # the same.
        part = f"{name}.{os.getpid()}-{threading.get_ident()}{PART}" if name.endswith(RECORD) else name + PART
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part, dir_fd=self.descriptor)
        try:
            descriptor = os.open(part, _WRITE, 0o600, dir_fd=self.descriptor)
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                # Other users can't enter the directory. In a container, which gets only the file, another user has to
                # read it.
                os.fchmod(descriptor, _READABLE)
            finally:
                os.close(descriptor)
            os.rename(part, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part, dir_fd=self.descriptor)
            raise

    @contextlib.contextmanager
    def _open(self, name: str) -> Iterator[int]:
        """Open a file of the cache. It has to be a regular file of the user's that nobody else may write to."""
        shown = str(self._directory / name)
        try:
            descriptor = open_file(name, self.descriptor, shown=shown)
        except FileNotFoundError:
            raise
        except UnsafePlace as error:
            raise directories.Unusable(directories.reason(error)) from None
        except OSError as error:
            raise directories.Unusable(f"{shown}: {error.strerror}") from None
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _reachable(self, name: str, code: int) -> str:
        path = f"{_DESCRIPTORS}/{code}"
        return path if os.path.exists(path) else str(self.path(name))  # noqa: PTH110


def _stamp(descriptor: int) -> list[int]:
    """Return the file's stamp with the current time, taken before its content is read."""
    now = time.time_ns()
    status = os.fstat(descriptor)
    return [status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns, now]


def _is_known(recorded: object, stamp: list[int]) -> bool:
    """Return whether a file is unchanged since its recorded stamp, which was taken well after its last change."""
    if not isinstance(recorded, list) or recorded[:-1] != stamp[:-1] or not isinstance(recorded[-1], int):
        return False
    changed, looked = recorded[-2:]
    return bool(looked - changed > _TICK)


def _checksum(descriptor: int) -> int:
    value = position = 0
    while data := os.pread(descriptor, 1 << 20, position):
        value = zlib.crc32(data, value)
        position += len(data)
    return value

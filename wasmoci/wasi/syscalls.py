"""Provides the Linux system calls that Python lacks: ``openat2``, ``fallocate``, ``fstatfs`` and ``getdents64``."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

_SYS_OPENAT2 = 437  # on every architecture
_HOW = struct.Struct("=QQQ")  # struct open_how
_AT_FDCWD = -100
_WORD = ctypes.c_uint if os.uname().machine.startswith("s390") else ctypes.c_long  # the type of f_type
_Statfs = _WORD * (256 // ctypes.sizeof(_WORD))  # more than struct statfs on any architecture; f_type is first
_RETRIES = 32  # the kernel answers EAGAIN when a directory was renamed during the resolution

_LINUX = sys.platform == "linux"
_libc = ctypes.CDLL(None, use_errno=True)

if _LINUX:
    _syscall = _libc.syscall
    _syscall.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
    _syscall.restype = ctypes.c_long
    # The name with 64-bit offsets on every architecture; musl's fallocate always has them.
    _fallocate = getattr(_libc, "fallocate64", None) or _libc.fallocate
    _fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    _fstatfs = _libc.fstatfs
    _fstatfs.argtypes = [ctypes.c_int, ctypes.c_void_p]
    # glibc has it by this name since 2.30; musl's getdents is the same.
    _getdents = getattr(_libc, "getdents64", None) or _libc.getdents
    _getdents.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
    _getdents.restype = ctypes.c_ssize_t


def openat2(directory: int, path: bytes, flags: int, resolve: int, mode: int = 0) -> int:
    """Open a path and return its descriptor, close-on-exec.

    Args:
        directory: The descriptor of the directory that the path starts from.
        path: The path, without NUL bytes.
        flags: As for ``open(2)``.
        resolve: The ``RESOLVE_*`` bits.
        mode: The permissions of a file that is created.

    Raises:
        OSError: As ``openat2(2)`` says; without ``filename``, which would be the guest's text.
    """
    how = _HOW.pack(flags | os.O_CLOEXEC, mode if flags & os.O_CREAT else 0, resolve)
    for _ in range(_RETRIES):
        descriptor: int = _syscall(_SYS_OPENAT2, directory, path, how, _HOW.size)
        if descriptor >= 0:
            return descriptor
        code = ctypes.get_errno()
        if code not in (errno.EINTR, errno.EAGAIN):
            break
    raise OSError(code, os.strerror(code))


_allowed = False  # by the last check


def openat2_available(*, anew: bool = False) -> bool:
    """Return whether the kernel, and a seccomp filter that this process may run under, allow ``openat2``.

    Args:
        anew: Check again even if it was allowed before: a process can give that up.
    """
    global _allowed  # noqa: PLW0603  one answer for the process
    if anew or not _allowed:
        _allowed = _LINUX and _try_openat2()
    return _allowed


def _try_openat2() -> bool:
    try:
        os.close(openat2(_AT_FDCWD, b"/", os.O_PATH | os.O_DIRECTORY, RESOLVE_NO_MAGICLINKS))
    except OSError:
        return False
    return True


def fallocate(fd: int, offset: int, length: int) -> None:
    """Reserve space for a part of a file, and extend the file to contain it.

    Not ``posix_fallocate``: on a file system without support, it writes every block, however long that takes.

    Raises:
        OSError: As ``fallocate(2)`` says; ``EOPNOTSUPP`` where there is no such call.
    """
    if not _LINUX:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    while _fallocate(fd, 0, offset, length):
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))


def filesystem(fd: int) -> int:
    """Return the magic number of the file system of an open file, which may be opened with ``O_PATH``.

    Raises:
        OSError: As ``fstatfs(2)`` says.
    """
    if not _LINUX:
        return 0
    buffer = _Statfs()
    while _fstatfs(fd, buffer):
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))
    return buffer[0] & 0xFFFF_FFFF


def getdents(fd: int, size: int) -> bytes:
    """Read entries of an open directory as ``struct linux_dirent64``, as many as fit; none at the end.

    Raises:
        OSError: As ``getdents64(2)`` says; ``EOPNOTSUPP`` where there is no such call.
    """
    if not _LINUX:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    buffer = ctypes.create_string_buffer(size)
    while (read := _getdents(fd, buffer, size)) < 0:
        code = ctypes.get_errno()
        if code == errno.ENOENT:  # the directory was removed
            return b""
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))
    return ctypes.string_at(buffer, read)

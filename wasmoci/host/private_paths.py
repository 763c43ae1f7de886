"""Opens the user's own directories and files, after checking that no other user can have created or replaced them.

This is the one check for everything that is stored on the host and trusted when it is read again: images, the state of
containers, compiled code, temporary directories. It runs before anything is created or read:

* Every directory on the path belongs to root or the user, and nobody else may write to it, unless it is sticky, as
  ``/tmp`` is.
* So does every symbolic link on the path, which is resolved here and not by the kernel.
* The directory itself belongs to the user, nobody else may write to it, and it is not a symbolic link.
* A file in it is a regular file of the user's with a single link, and nobody else may write to it.

The path is walked by descriptors, one component at a time, so that what was checked is what is used. In a user
namespace, an owner that isn't mapped may be root, and is treated as root for the directories above.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from wasmoci.errors import UnsafePlace
from wasmoci.host import user_namespace

_PASS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_MOST_LINKS = 40
_ALONE = 0o700
_UNMAPPED = "/proc/sys/kernel/overflowuid"


def open_directory(path: str | os.PathLike[str], *, make: bool = True, mode: int = _ALONE) -> tuple[int, str]:
    """Open a directory of the user's own.

    Args:
        path: Its host path.
        make: Whether to create it and its parents where they are missing.
        mode: The permissions of a directory that is created. Its parents are accessible to the user alone.

    Returns:
        Its descriptor, which the caller has to close, and its path without symbolic links.

    Raises:
        UnsafePlace: Another user could have written to it, or could do so. Nothing was created there.
        FileNotFoundError: It doesn't exist, and ``make`` is false.
        OSError: It can't be opened or created.
    """
    walk = _Walk(os.path.abspath(path), make=make, mode=mode)  # noqa: PTH100
    try:
        walk.go()
        return os.open(".", _LIST, dir_fd=walk.fd), walk.path
    except OSError as error:
        raise OSError(error.errno, error.strerror, walk.path) from None
    finally:
        os.close(walk.fd)


def directory(path: str | os.PathLike[str], *, make: bool = True, mode: int = _ALONE) -> str:
    """Return the path without symbolic links of a directory of the user's own; see :func:`open_directory`."""
    fd, real = open_directory(path, make=make, mode=mode)
    os.close(fd)
    return real


def open_inner(name: str, directory_fd: int, *, shown: str) -> int:
    """Open a subdirectory of a directory that was opened and checked; it is created where it is missing.

    Args:
        name: Its name.
        directory_fd: The descriptor of the parent directory.
        shown: The path to show in an error.

    Returns:
        Its descriptor, which the caller has to close.

    Raises:
        UnsafePlace: Another user could have written to it, or could do so.
        OSError: It can't be opened or created.
    """
    try:
        fd = os.open(name, _LIST, dir_fd=directory_fd)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):  # another process of the user's was faster
            os.mkdir(name, _ALONE, dir_fd=directory_fd)
        fd = os.open(name, _LIST, dir_fd=directory_fd)
    except NotADirectoryError:
        raise UnsafePlace(f"{shown}: is not a directory", hint=_REMOVE.format(shown)) from None
    try:
        _check_own(shown, os.fstat(fd))
    except BaseException:
        os.close(fd)
        raise
    return fd


def check_above(path: str | os.PathLike[str], *, group: bool = False) -> None:
    """Check a directory in which the user creates others, such as the temporary directory, and all those above it.

    Args:
        path: Its host path.
        group: Whether the members of a directory's group may write to it, as with directories that editors and people
            create.

    Raises:
        UnsafePlace: Another user could replace what is created there.
        OSError: It can't be accessed.
    """
    walk = _Walk(os.path.abspath(path), make=False, mode=_ALONE, group=group)  # noqa: PTH100
    try:
        walk.go(own=False)
    except OSError as error:
        raise OSError(error.errno, error.strerror, walk.path) from None
    finally:
        os.close(walk.fd)


def check_named(text: str) -> None:
    """Refuse a file of another user's that hides a name which may be meant for something else.

    In ``/tmp`` anybody can create a directory with the name of an image. A path that can't be anything but a path is
    accepted, and so is what the owner of the working directory has put there, if nobody else can write to it.

    Args:
        text: The name, which is also an existing path relative to the working directory.

    Raises:
        UnsafePlace: The file, or a directory on the path, belongs to another user.
    """
    if text.startswith(_PATHS):
        return
    here = os.stat(".")  # noqa: PTH116  as the rest of it
    owner = -1 if here.st_mode & stat.S_IWOTH else here.st_uid
    parts = text.split("/")
    for count in range(1, len(parts) + 1):
        path = "/".join(parts[:count])
        try:
            status = os.lstat(path)
        except OSError:  # opening it reports the error
            return
        if status.st_uid != owner and not is_trusted(status):
            raise UnsafePlace(
                f"{path}: belongs to the user {status.st_uid}, and hides an image of that name where there is one",
                hint=f"if the path is meant, write ./{text}",
            )


_PATHS = ("/", "./", "../")


def open_file(name: str, directory_fd: int, flags: int = os.O_RDONLY, *, shown: str = "") -> int:
    """Open a file in a directory that was checked. This never blocks, whatever kind of file it is.

    Args:
        name: The file's name.
        directory_fd: The descriptor of the directory.
        flags: As for ``open(2)``; a file that is created is accessible to the user alone.
        shown: The path to show in an error.

    Returns:
        Its descriptor, which the caller has to close.

    Raises:
        UnsafePlace: It isn't a regular file of the user's own, or others may write to it.
        FileNotFoundError: It doesn't exist.
        OSError: It can't be opened.
    """
    called = shown or name
    try:
        fd = os.open(name, flags | _FILE, 0o600, dir_fd=directory_fd)
    except FileNotFoundError:
        raise
    except OSError as error:
        if not _is_regular(name, directory_fd):
            raise UnsafePlace(f"{called}: is not a regular file", hint=_REMOVE.format(called)) from None
        raise OSError(error.errno, error.strerror, called) from None
    try:
        check_file(os.fstat(fd), called)
    except BaseException:
        os.close(fd)
        raise
    return fd


def check_file(status: os.stat_result, shown: str) -> None:
    """Refuse an open file that isn't a regular file of the user's own.

    Args:
        status: The result of ``fstat``.
        shown: The path to show in an error.

    Raises:
        UnsafePlace: It isn't a regular file of the user's own.
    """
    if not stat.S_ISREG(status.st_mode):
        raise UnsafePlace(f"{shown}: is not a regular file", hint=_REMOVE.format(shown))
    if status.st_nlink > 1:
        raise UnsafePlace(f"{shown}: has another name besides (a hard link)", hint=_REMOVE.format(shown))
    _check_own(shown, status)


_REMOVE = "look who made it, and remove it: {}"


class _Walk:
    """Walks the path to a directory.

    Args:
        path: Its absolute path.
        make: Whether to create missing directories.
        mode: The permissions of the directory itself, if it is created.
        group: Whether the members of a directory's group may write to it.
    """

    def __init__(self, path: str, *, make: bool, mode: int, group: bool = False) -> None:
        self._others = stat.S_IWOTH if group else _WRITABLE_BY_OTHERS
        self._make = make
        self._mode = mode
        self._links = 0
        self._whole = path
        self._pending = [name for name in reversed(path.split("/")) if name]
        self._names: list[str] = []
        self.fd = os.open("/", _PASS)

    @property
    def path(self) -> str:
        """The path walked so far, without symbolic links."""
        return "/" + "/".join(self._names)

    def go(self, *, own: bool = True) -> None:
        """Walk to the directory, and keep it open.

        Args:
            own: Whether it has to be the user's own; else the rules for the directories above apply.
        """
        self._check_above()
        while self._pending:
            name = self._pending.pop()
            if name == "..":
                self._pending += [*reversed(self._names[:-1])]
                self._back_to_root()
            elif name not in ("", "."):
                self._step(name, is_last=not any(later not in ("", ".") for later in self._pending), own=own)
        if own and not self._names:
            raise UnsafePlace(f"{self._whole}: is the root of all directories")

    def _step(self, name: str, *, is_last: bool, own: bool) -> None:
        try:
            inner = self._open(name)
        except NotADirectoryError:
            self._follow(name, may_be_link=not (is_last and own))
            return
        os.close(self.fd)
        self.fd = inner
        self._names.append(name)
        if is_last and own:
            _check_own(self.path, os.fstat(inner))
        else:
            self._check_above()

    def _open(self, name: str) -> int:
        try:
            return os.open(name, _PASS, dir_fd=self.fd)
        except FileNotFoundError:
            if not self._make:
                self._names.append(name)
                raise
        mode = _ALONE if self._pending else self._mode
        try:
            os.mkdir(name, mode, dir_fd=self.fd)
        except FileExistsError:
            return os.open(name, _PASS, dir_fd=self.fd)
        if mode != _ALONE:  # the umask may have removed permissions
            made = os.open(name, _LIST, dir_fd=self.fd)
            try:
                if os.fstat(made).st_uid == os.geteuid():
                    os.fchmod(made, mode)
            finally:
                os.close(made)
        return os.open(name, _PASS, dir_fd=self.fd)

    def _follow(self, name: str, *, may_be_link: bool) -> None:
        status = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        shown = f"{self.path.rstrip('/')}/{name}"
        if not stat.S_ISLNK(status.st_mode):
            raise UnsafePlace(f"{shown}: is not a directory")
        if not may_be_link:
            raise UnsafePlace(
                f"{shown}: is a link; a directory was expected", hint="name the directory that it leads to"
            )
        if not is_trusted(status):
            raise UnsafePlace(f"{shown}: is a link that belongs to the user {status.st_uid}")
        self._links += 1
        if self._links > _MOST_LINKS:
            raise UnsafePlace(f"{self._whole}: leads through too many links")
        target = os.readlink(name, dir_fd=self.fd)
        self._pending += reversed(target.split("/"))
        if target.startswith("/"):
            self._back_to_root()

    def _back_to_root(self) -> None:
        os.close(self.fd)
        self.fd = -1
        self._names.clear()
        self.fd = os.open("/", _PASS)

    def _check_above(self) -> None:
        status = os.fstat(self.fd)
        if not is_trusted(status):
            raise UnsafePlace(
                f"{self.path}: belongs to the user {status.st_uid}, who could replace what is in it",
                hint=f"choose a place beneath directories of root's or of the user {os.geteuid()}",
            )
        if not status.st_mode & stat.S_ISVTX:
            _check_mode(self.path, status, self._others)


def _belongs(shown: str, status: os.stat_result) -> str:
    return f"{shown}: belongs to the user {status.st_uid}, not to {os.geteuid()}"


def _check_own(shown: str, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise UnsafePlace(_belongs(shown, status), hint=_REMOVE.format(shown))
    _check_mode(shown, status)


def _check_mode(shown: str, status: os.stat_result, others: int = _WRITABLE_BY_OTHERS) -> None:
    if status.st_mode & others:
        raise UnsafePlace(f"{shown}: others may write to it", hint=f"run: chmod go-w {shown}")


def is_trusted(status: os.stat_result) -> bool:
    """Return whether root or the user owns a file; an owner that isn't mapped in a user namespace may be root."""
    if status.st_uid in (0, os.geteuid()):
        return True
    return user_namespace.inside() and status.st_uid == _unmapped()


def _unmapped() -> int:
    try:
        return int(Path(_UNMAPPED).read_bytes())
    except (OSError, ValueError):
        return -1


def _is_regular(name: str, directory_fd: int) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=directory_fd, follow_symlinks=False).st_mode)
    except OSError:
        return False

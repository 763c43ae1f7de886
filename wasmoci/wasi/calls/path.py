"""``path_*``: what is done to a path beneath an open directory, but for opening it."""

# ruff: noqa: PLR0917 - the parameters are those of the witx file

from __future__ import annotations

import os

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi import filestat, memory
from wasmoci.wasi.abi import FILESTAT, SIZE, SYMLINK_FOLLOW, Errno, Rights
from wasmoci.wasi.errno import FAILURES, Refusal, errno_of
from wasmoci.wasi.files import Directory
from wasmoci.wasi.memory import region

if TYPE_CHECKING:
    from wasmoci.wasi.directory import Location
    from wasmoci.wasi.host import Host


class Path:
    """Looking at, making, moving and removing what paths lead to."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._get = host.table.get

    def path_filestat_get(self, fd: int, flags: int, path: int, path_len: int, stat: int) -> int:
        """Write the metadata of what a path leads to."""
        try:
            view = self._host.view()
            where = region(view, stat, FILESTAT.size)
            directory = self._directory(fd, Rights.PATH_FILESTAT_GET)
            start, name = _start(directory, view, path, path_len)
            location = start.locate(name, follow=_follow(flags))
            try:
                where[:] = filestat.pack(location.status())
            finally:
                location.close()
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def path_filestat_set_times(
        self, fd: int, flags: int, path: int, path_len: int, atim: int, mtim: int, fst_flags: int
    ) -> int:
        """Set the times of access and of modification of what a path leads to."""
        try:
            filestat.check_flags(fst_flags)
            directory = self._changing(fd, Rights.PATH_FILESTAT_SET_TIMES)
            start, name = _start(directory, self._host.view(), path, path_len)
            location = start.locate(name, follow=_follow(flags))
            try:
                _refuse_read_only(location)
                filestat.set_times(location.name, fst_flags, atim, mtim, dir_fd=location.fd)
            finally:
                location.close()
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def path_create_directory(self, fd: int, path: int, path_len: int) -> int:
        """Make a directory."""
        try:
            directory = self._changing(fd, Rights.PATH_CREATE_DIRECTORY)
            start, name = _start(directory, self._host.view(), path, path_len)
            location = start.locate_new(name)
            try:
                _refuse_read_only(location)
                if location.layer.name is not None:
                    return Errno.EXIST
                os.mkdir(location.spelled, dir_fd=location.fd)
            finally:
                location.close()
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def path_remove_directory(self, fd: int, path: int, path_len: int) -> int:
        """Remove an empty directory."""
        try:
            directory = self._changing(fd, Rights.PATH_REMOVE_DIRECTORY)
            start, name = _start(directory, self._host.view(), path, path_len)
            location = start.locate_old(name)
            try:
                _refuse_read_only(location)
                _refuse_kept(directory, location)
                os.rmdir(location.spelled, dir_fd=location.fd)
            finally:
                location.close()
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def path_unlink_file(self, fd: int, path: int, path_len: int) -> int:
        """Remove what isn't a directory."""
        try:
            directory = self._changing(fd, Rights.PATH_UNLINK_FILE)
            start, name = _start(directory, self._host.view(), path, path_len)
            location = start.locate_old(name)
            try:
                _refuse_read_only(location)
                _refuse_kept(directory, location)
                os.unlink(location.spelled, dir_fd=location.fd)
            finally:
                location.close()
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def path_readlink(self, fd: int, path: int, path_len: int, buf: int, buf_len: int, size: int) -> int:
        """Write what a link holds, cut where the buffer ends, and how many bytes were written."""
        try:
            view = self._host.view()
            result = region(view, size, SIZE.size)
            where = region(view, buf, buf_len)
            start, name = _start(self._directory(fd, Rights.PATH_READLINK), view, path, path_len)
            location = start.locate(name)
            try:
                target = os.readlink(location.name, dir_fd=location.fd)
            finally:
                location.close()
            memory.check_utf8(target)
            piece = target[: len(where)]
            where[: len(piece)] = piece
            SIZE.pack_into(result, 0, len(piece))
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def path_symlink(self, old_path: int, old_path_len: int, fd: int, new_path: int, new_path_len: int) -> int:
        """Make a symbolic link; ``PERM`` for an absolute target, as it would mean another file to the host."""
        try:
            view = self._host.view()
            directory = self._changing(fd, Rights.PATH_SYMLINK)
            target = memory.path(view, old_path, old_path_len)
            if target.startswith(b"/"):
                return Errno.PERM
            start, name = _start(directory, view, new_path, new_path_len)
            location = start.locate_new(name)
            try:
                _refuse_read_only(location)
                location.refuse_new()
                os.symlink(target, location.spelled, dir_fd=location.fd)
            finally:
                location.close()
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def path_link(
        self,
        old_fd: int,
        old_flags: int,
        old_path: int,
        old_path_len: int,
        new_fd: int,
        new_path: int,
        new_path_len: int,
    ) -> int:
        """Make a hard link, to a symbolic link itself when the path leads to one."""
        try:
            view = self._host.view()
            source = self._changing(old_fd, Rights.PATH_LINK_SOURCE)
            target = self._changing(new_fd, Rights.PATH_LINK_TARGET)
            if old_flags:
                return Errno.INVAL
            start, name = _start(source, view, old_path, old_path_len)
            old = start.locate(name)
            try:
                start, name = _start(target, view, new_path, new_path_len)
                new = start.beside(old).locate_new(name)
                try:
                    _refuse_read_only(old, new)
                    _refuse_crossing(old, new)
                    new.refuse_new()
                    os.link(old.name, new.spelled, src_dir_fd=old.fd, dst_dir_fd=new.fd, follow_symlinks=False)
                finally:
                    new.close()
            finally:
                old.close()
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def path_rename(
        self, fd: int, old_path: int, old_path_len: int, new_fd: int, new_path: int, new_path_len: int
    ) -> int:
        """Move a file or directory, replacing what is there."""
        try:
            view = self._host.view()
            source = self._changing(fd, Rights.PATH_RENAME_SOURCE)
            target = self._changing(new_fd, Rights.PATH_RENAME_TARGET)
            start, name = _start(source, view, old_path, old_path_len)
            old = start.locate_old(name)
            try:
                start, name = _start(target, view, new_path, new_path_len)
                new = start.beside(old).locate_new(name)
                try:
                    _refuse_read_only(old, new)
                    _refuse_kept(source, old)
                    _refuse_kept(target, new)
                    _refuse_crossing(old, new)
                    os.rename(old.spelled, new.spelled, src_dir_fd=old.fd, dst_dir_fd=new.fd)
                finally:
                    new.close()
            finally:
                old.close()
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def _directory(self, fd: int, right: int) -> Directory:
        entry = self._get(fd, right)
        if not isinstance(entry, Directory):  # no other kind ever has a right of a path
            raise Refusal(Errno.NOTDIR)
        return entry

    def _changing(self, fd: int, right: int) -> Directory:
        """Find a directory for a call that writes, and refuse it at once where nothing can be written."""
        directory = self._directory(fd, right)
        if directory.resolver.namespace.immutable:
            raise Refusal(Errno.PERM)
        return directory


def _start(directory: Directory, view: memoryview, pointer: int, length: int) -> tuple[Directory, bytes]:
    """Read a path, and give the directory that it starts from and the path."""
    path = memory.path(view, pointer, length)
    return directory.meant(view, pointer, path), path


def _follow(flags: int) -> bool:
    if flags & ~SYMLINK_FOLLOW:
        raise Refusal(Errno.INVAL)
    return bool(flags)


def _refuse_read_only(*locations: Location) -> None:
    if any(location.layer.read_only for location in locations):
        raise Refusal(Errno.PERM)


def _refuse_kept(directory: Directory, location: Location) -> None:
    """Refuse to take away a mount or what leads to one."""
    if directory.resolver.namespace.is_kept(location.position):
        raise Refusal(Errno.BUSY)


def _refuse_crossing(old: Location, new: Location) -> None:
    """Keep each mount to itself, as Linux does: a hard link would take a file out of a read-only one."""
    if old.layer is not new.layer:
        raise Refusal(Errno.XDEV)

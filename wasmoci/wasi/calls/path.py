"""Implements ``path_*`` except ``path_open``: operations on paths beneath an open directory."""

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
    from collections.abc import Callable

    from wasmoci.wasi.directory import Location
    from wasmoci.wasi.host import Host


class Path:
    """The functions on paths except ``path_open``."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._get = host.table.get

    def path_filestat_get(self, fd: int, flags: int, path: int, path_len: int, stat: int) -> int:
        """Write the metadata of the file at a path."""
        try:
            view = self._host.view()
            where = region(view, stat, FILESTAT.size)
            directory = self._directory(fd, Rights.PATH_FILESTAT_GET)
            with directory.locate(memory.path(view, path, path_len), follow=_follow(flags)) as location:
                where[:] = filestat.pack(location.status())
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def path_filestat_set_times(
        self, fd: int, flags: int, path: int, path_len: int, atim: int, mtim: int, fst_flags: int
    ) -> int:
        """Set the times of access and of modification of the file at a path."""
        try:
            filestat.check_flags(fst_flags)
            directory = self._changing(fd, Rights.PATH_FILESTAT_SET_TIMES)
            with directory.locate(memory.path(self._host.view(), path, path_len), follow=_follow(flags)) as location:
                _refuse_read_only(location)
                filestat.set_times(location.name, fst_flags, atim, mtim, dir_fd=location.fd)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def path_create_directory(self, fd: int, path: int, path_len: int) -> int:
        """Make a directory."""
        try:
            directory = self._changing(fd, Rights.PATH_CREATE_DIRECTORY)
            with directory.locate_new(memory.path(self._host.view(), path, path_len)) as location:
                _refuse_read_only(location)
                if location.layer.name is not None:
                    return Errno.EXIST
                os.mkdir(location.spelled, dir_fd=location.fd)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def path_remove_directory(self, fd: int, path: int, path_len: int) -> int:
        """Remove an empty directory."""
        return self._remove(fd, Rights.PATH_REMOVE_DIRECTORY, path, path_len, os.rmdir)

    def path_unlink_file(self, fd: int, path: int, path_len: int) -> int:
        """Remove a file that isn't a directory."""
        return self._remove(fd, Rights.PATH_UNLINK_FILE, path, path_len, os.unlink)

    def path_readlink(self, fd: int, path: int, path_len: int, buf: int, buf_len: int, size: int) -> int:
        """Write the target of a symbolic link, truncated to the buffer, and the number of bytes."""
        try:
            view = self._host.view()
            result = region(view, size, SIZE.size)
            where = region(view, buf, buf_len)
            with self._directory(fd, Rights.PATH_READLINK).locate(memory.path(view, path, path_len)) as location:
                target = os.readlink(location.name, dir_fd=location.fd)
            memory.check_utf8(target)
            piece = target[: len(where)]
            where[: len(piece)] = piece
            SIZE.pack_into(result, 0, len(piece))
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def path_symlink(self, old_path: int, old_path_len: int, fd: int, new_path: int, new_path_len: int) -> int:
        """Make a symbolic link; ``PERM`` for an absolute target, which would mean another file on the host."""
        try:
            view = self._host.view()
            directory = self._changing(fd, Rights.PATH_SYMLINK)
            target = memory.path(view, old_path, old_path_len)
            if target.startswith(b"/"):
                return Errno.PERM
            with directory.locate_new(memory.path(view, new_path, new_path_len)) as location:
                _refuse_read_only(location)
                location.refuse_new()
                os.symlink(target, location.spelled, dir_fd=location.fd)
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
        """Make a hard link; if the path leads to a symbolic link, to that link itself."""
        try:
            view = self._host.view()
            source = self._changing(old_fd, Rights.PATH_LINK_SOURCE)
            target = self._changing(new_fd, Rights.PATH_LINK_TARGET)
            if old_flags:
                return Errno.INVAL
            with (
                source.locate(memory.path(view, old_path, old_path_len)) as old,
                target.locate_new(memory.path(view, new_path, new_path_len)) as new,
            ):
                _refuse_read_only(old, new)
                _refuse_crossing(old, new)
                new.refuse_new()
                os.link(old.name, new.spelled, src_dir_fd=old.fd, dst_dir_fd=new.fd, follow_symlinks=False)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def path_rename(
        self, fd: int, old_path: int, old_path_len: int, new_fd: int, new_path: int, new_path_len: int
    ) -> int:
        """Move a file or directory, replacing an existing one."""
        try:
            view = self._host.view()
            source = self._changing(fd, Rights.PATH_RENAME_SOURCE)
            target = self._changing(new_fd, Rights.PATH_RENAME_TARGET)
            with (
                source.locate_old(memory.path(view, old_path, old_path_len)) as old,
                target.locate_new(memory.path(view, new_path, new_path_len)) as new,
            ):
                _refuse_read_only(old, new)
                _refuse_kept(source, old)
                _refuse_kept(target, new)
                _refuse_crossing(old, new)
                os.rename(old.spelled, new.spelled, src_dir_fd=old.fd, dst_dir_fd=new.fd)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def _remove(self, fd: int, right: int, path: int, path_len: int, remove: Callable[..., None]) -> int:
        try:
            directory = self._changing(fd, right)
            with directory.locate_old(memory.path(self._host.view(), path, path_len)) as location:
                _refuse_read_only(location)
                _refuse_kept(directory, location)
                remove(location.spelled, dir_fd=location.fd)
        except FAILURES as failure:
            return errno_of(failure)
        return Errno.SUCCESS

    def _directory(self, fd: int, right: int) -> Directory:
        entry = self._get(fd, right)
        if not isinstance(entry, Directory):  # no other kind ever has a right for paths
            raise Refusal(Errno.NOTDIR)
        return entry

    def _changing(self, fd: int, right: int) -> Directory:
        """Return a directory for a call that writes; refuse it at once if the directory is read-only."""
        directory = self._directory(fd, right)
        if directory.resolver.tree.immutable:
            raise Refusal(Errno.PERM)
        return directory


def _follow(flags: int) -> bool:
    if flags & ~SYMLINK_FOLLOW:
        raise Refusal(Errno.INVAL)
    return bool(flags)


def _refuse_read_only(*locations: Location) -> None:
    if any(location.layer.read_only for location in locations):
        raise Refusal(Errno.PERM)


def _refuse_kept(directory: Directory, location: Location) -> None:
    """Refuse to remove a mount or a directory that leads to one."""
    if directory.resolver.tree.is_kept(location.position):
        raise Refusal(Errno.BUSY)


def _refuse_crossing(old: Location, new: Location) -> None:
    """Refuse to cross mounts, as Linux does: a hard link would take a file out of a read-only mount."""
    if old.layer is not new.layer:
        raise Refusal(Errno.XDEV)

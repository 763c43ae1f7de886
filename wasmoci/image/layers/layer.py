"""Applies layers to a root file system: the change sets of the OCI image spec (layer.md).

Rules for entries:

* a name is relative to the root file system, with or without a leading ``/`` or ``./``; one with a ``..`` is refused;
* missing parents are created with mode 0755 and owner root; a parent that is a link is resolved inside;
* a hard link's target is an entry's name, so the same rules apply, and it has to exist already;
* devices and FIFOs are skipped and reported: no guest can use them, and opening a FIFO blocks forever;
* ``.wh.NAME`` removes a file of *lower* layers, and an opaque whiteout the whole content of a directory in them;
* of the extended attributes, ``user.*`` are kept, and as root ``security.capability``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import ImageError, InvalidImage, UnsafeLayer
from wasmoci.host.removal import remove_tree
from wasmoci.image.layers.layer_entry import owner_of, set_owner, time_of, write_file
from wasmoci.image.layers.rootfs import Parts, Rootfs, Unresolvable
from wasmoci.image.streams.tar import Entry, Kind, TarReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.image.streams.unpack_limits import Budget

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_AUFS = ".wh..wh."
_MAX_NAME = 4096


@attrs.define
class Changes:
    """The result of applying layers.

    Args:
        entries: The number of entries that were applied.
        skipped: The names of devices and FIFOs that were skipped.
    """

    entries: int = 0
    skipped: list[str] = attrs.field(factory=list)


class LayerApplier:
    """Applies layers in order, and sets the modes and times of directories at the end.

    Args:
        fd: The root file system's directory, to which nobody else writes meanwhile.
        owner: Set the uid and gid of files; needs root.
        budget: The budget that entries and bytes are charged to.
    """

    def __init__(self, fd: int, *, owner: bool, budget: Budget) -> None:
        self._root = Rootfs(fd)
        self._fd = fd
        self._owner = owner
        self._budget = budget
        self._directories: dict[Parts, tuple[int, int]] = {(): (0o755, 0)}
        self._upper: set[Parts] = set()
        self.changes = Changes()

    def apply(self, reader: TarReader, *, source: str) -> None:
        """Apply a layer.

        Raises:
            UnsafeLayer: An entry would leave the root file system.
            InvalidImage: An entry is impossible, such as a file beneath a file.
            ImageLimitExceeded: It exceeds the limits.
            ImageError: The operating system refuses something.
        """
        self._upper = set()
        try:
            for entry in reader:
                with self._errors(entry.name, source):
                    self._budget.spend_entry(entry.size, source=source, name=entry.name)
                    self._entry(entry, reader)
        finally:
            self._root.forget()

    def add_file(self, parts: Parts, data: Iterator[memoryview], *, source: str) -> None:
        """Add a single file, as a layer with only this file would."""
        self._upper = set()
        try:
            with self._errors("/".join(parts), source):
                entry = Entry("/".join(parts), Kind.FILE, 0o755, 0, 0, 0, 0, "", {}, None, 0)
                fd, path = self._parent(parts[:-1])
                self._file(fd, parts[-1], (*path, parts[-1]), entry, data)
        finally:
            self._root.forget()

    def finish(self) -> Changes:
        """Set the modes and times of directories, the deepest first, and return the result."""
        self._root.forget()
        self._note_created()
        for parts in sorted(self._directories, key=len, reverse=True):
            mode, mtime = self._directories[parts]
            try:
                path_fd = self._root.reopen(parts)
            except (FileNotFoundError, NotADirectoryError):
                continue  # a later entry removed or replaced it
            try:
                fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=path_fd)
            finally:
                os.close(path_fd)
            try:
                os.fchmod(fd, mode)
                os.utime(fd, ns=(mtime, mtime))
            finally:
                os.close(fd)
        return self.changes

    def _entry(self, entry: Entry, reader: TarReader) -> None:
        parts = _split(entry.name)
        if not parts:
            if entry.kind is not Kind.DIRECTORY:
                raise UnsafeLayer(f"a {entry.kind.value} in place of the root directory")
            self._metadata((), entry)
            return
        name = parts[-1]
        if name.startswith(_WHITEOUT):
            self._whiteout(parts[:-1], name)
            return
        if entry.kind in (Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE, Kind.FIFO):
            self._pass_over(parts, entry)
            return
        source_link = self._link_source(entry) if entry.kind is Kind.HARD_LINK else None
        try:
            fd, above = self._parent(parts[:-1])
            path = (*above, name)
            if source_link is not None:
                self._hard_link(source_link, fd, path)
            elif entry.kind is Kind.DIRECTORY:
                self._directory(fd, path, entry)
            elif entry.kind is Kind.SYMLINK:
                self._symlink(fd, path, entry)
            else:
                self._file(fd, name, path, entry, reader.data())
        finally:
            if source_link is not None:
                os.close(source_link[0])
        self._mark(path)
        self.changes.entries += 1

    def _pass_over(self, parts: Parts, entry: Entry) -> None:
        self.changes.skipped.append(entry.name)
        with contextlib.suppress(FileNotFoundError):  # the file of a lower layer by this name is replaced in any case
            remove_tree(parts[-1], dir_fd=self._root.parent(parts[:-1])[0])
        self._root.forget()

    def _parent(self, parts: Parts) -> tuple[int, Parts]:
        found = self._root.parent(parts, create=True)
        self._note_created()
        return found

    def _note_created(self) -> None:
        for path in self._root.created:
            self._budget.spend_entry(0, source="the image", name="/".join(path))
            self._directories[path] = (0o755, 0)
            self._mark(path)
        self._root.created.clear()

    def _mark(self, path: Parts) -> None:
        while path and path not in self._upper:
            self._upper.add(path)
            path = path[:-1]

    # One method for each kind of entry. An existing file of the name is removed first, except for a directory under a
    # directory.

    def _file(self, fd: int, name: str, path: Parts, entry: Entry, data: Iterator[memoryview]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            out = os.open(name, flags, 0o600, dir_fd=fd)
        except FileExistsError:
            fd = self._free(fd, path)
            out = os.open(name, flags, 0o600, dir_fd=fd)
        try:
            write_file(out, entry, data, owner=self._owner)
        finally:
            os.close(out)

    def _directory(self, fd: int, path: Parts, entry: Entry) -> None:
        try:
            os.mkdir(path[-1], 0o700, dir_fd=fd)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(path[-1], dir_fd=fd, follow_symlinks=False).st_mode):
                fd = self._free(fd, path)
                os.mkdir(path[-1], 0o700, dir_fd=fd)
        self._metadata(path, entry)

    def _metadata(self, path: Parts, entry: Entry) -> None:
        with self._opened(path) as fd:
            set_owner(fd, entry, owner=self._owner)
        mode = entry.mode if self._owner else entry.mode | 0o500
        self._directories[path] = (mode, time_of(entry))

    def _symlink(self, fd: int, path: Parts, entry: Entry) -> None:
        if not entry.link or "\0" in entry.link:
            raise InvalidImage("a symbolic link without a target")
        try:
            os.symlink(entry.link, path[-1], dir_fd=fd)
        except FileExistsError:
            fd = self._free(fd, path)
            os.symlink(entry.link, path[-1], dir_fd=fd)
        if self._owner:
            os.chown(path[-1], *owner_of(entry), dir_fd=fd, follow_symlinks=False)
        os.utime(path[-1], ns=(time_of(entry), time_of(entry)), dir_fd=fd, follow_symlinks=False)

    def _link_source(self, entry: Entry) -> tuple[int, Parts]:
        """Return the target of a hard link: its directory, which has to be closed, and its path."""
        parts = _split(entry.link)
        if not parts:
            raise UnsafeLayer(f"a hard link to {entry.link!r}")
        try:
            fd, above = self._root.parent(parts[:-1])
            found = os.stat(parts[-1], dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            raise InvalidImage(f"a hard link to {entry.link!r}, which isn't there") from None
        if stat.S_ISDIR(found.st_mode):
            raise InvalidImage(f"a hard link to {entry.link!r}, which is a directory")
        return os.dup(fd), (*above, parts[-1])

    def _hard_link(self, source: tuple[int, Parts], fd: int, path: Parts) -> None:
        source_fd, source_path = source
        if source_path == path:
            return
        try:
            os.link(source_path[-1], path[-1], src_dir_fd=source_fd, dst_dir_fd=fd, follow_symlinks=False)
        except FileExistsError:
            if source_path[: len(path)] == path:
                raise InvalidImage("a hard link in place of the directory that holds its target") from None
            fd = self._free(fd, path)
            os.link(source_path[-1], path[-1], src_dir_fd=source_fd, dst_dir_fd=fd, follow_symlinks=False)

    # Removal.

    def _free(self, fd: int, path: Parts) -> int:
        """Remove what is in an entry's place; return its directory, reopened."""
        remove_tree(path[-1], dir_fd=fd)
        self._root.forget()
        return self._root.parent(path[:-1])[0]

    def _whiteout(self, above: Parts, name: str) -> None:
        target = name.removeprefix(_WHITEOUT)
        if name != _OPAQUE:
            if name.startswith(_AUFS):
                return  # a file that AUFS reserves for itself
            if target in ("", ".", ".."):
                raise UnsafeLayer(f"a whiteout of {target!r}")
        try:
            fd, path = self._root.parent(above)
            if name == _OPAQUE:
                self._remove_lower_children(path)
            else:
                self._remove_lower(fd, (*path, target))
        except FileNotFoundError:
            return  # there is nothing of lower layers
        except Unresolvable:
            return
        finally:
            self._root.forget()

    def _remove_lower(self, fd: int, path: Parts) -> None:
        if path not in self._upper:
            remove_tree(path[-1], dir_fd=fd)
        elif stat.S_ISDIR(os.stat(path[-1], dir_fd=fd, follow_symlinks=False).st_mode):
            self._remove_lower_children(path)

    def _remove_lower_children(self, path: Parts) -> None:
        with self._opened(path) as fd:
            for name in os.listdir(fd):  # noqa: PTH208  a descriptor
                self._remove_lower(fd, (*path, name))

    @contextlib.contextmanager
    def _opened(self, path: Parts) -> Iterator[int]:
        """A directory's descriptor, for more than to open what is in it."""
        path_fd = self._root.reopen(path)
        try:
            fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=path_fd)
        finally:
            os.close(path_fd)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _errors(self, name: str, source: str) -> Iterator[None]:
        try:
            yield
        except Unresolvable as error:
            raise InvalidImage(f"its path {error}", source=source, path=repr(name)) from None
        except InvalidImage as error:
            if error.source is not None:
                raise
            raise type(error)(error.message, source=source, path=repr(name), hint=error.hint) from None
        except OSError as error:
            hint = _NO_OWNER if error.errno in (errno.EPERM, errno.EINVAL) and self._owner else None
            raise ImageError(f"{source}: {name!r}: can't be unpacked: {error.strerror}", hint=hint) from error


_NO_OWNER = "If this is a user namespace that lacks the file's owner: unpack without owners (--no-owner)."


def _split(name: str) -> Parts:
    if "\0" in name or len(name) > _MAX_NAME:
        raise UnsafeLayer("a name with a NUL" if "\0" in name else f"a name of {len(name)} characters")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise UnsafeLayer(f"the name {name!r} has a '..'")
    return parts

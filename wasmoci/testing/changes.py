"""Detects what a guest changes in its files."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import InvalidBundle
from wasmoci.oci.filesystem import plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from wasmoci.oci.bundle import Bundle

_SHOWN = 60  # characters shown of a path that is too long


@attrs.frozen(kw_only=True)
class Changes:
    """The changes that a run made; all paths are absolute guest paths, sorted.

    Args:
        files: Files that were created or written to, with their content afterwards.
        directories: Directories that were created.
        links: Symbolic links that were created or changed, and their targets.
        removed: What was removed.
    """

    files: Mapping[str, bytes] = attrs.field(factory=dict)
    directories: tuple[str, ...] = ()
    links: Mapping[str, str] = attrs.field(factory=dict)
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.files or self.directories or self.links or self.removed)


class Watch:
    """Watches for changes in a bundle's root file system, and in the sources of its writable bind mounts.

    Args:
        bundle: The bundle; its present files are compared with the later ones.
    """

    def __init__(self, bundle: Bundle) -> None:
        files = plan(bundle.spec, bundle.rootfs)
        self._places = [] if files.read_only else [("/", files.rootfs)]
        self._places += [
            (mount.destination, mount.source)
            for mount in files.mounts
            if mount.source is not None and not mount.read_only
        ]
        self._before = self._look()

    def changes(self) -> Changes:
        """Return the changes so far."""
        after = self._look()
        new = {path: entry for path, entry in sorted(after.items()) if self._before.get(path) != entry}
        return Changes(
            files={path: entry.path.read_bytes() for path, entry in new.items() if stat.S_ISREG(entry.mode)},
            directories=tuple(
                path
                for path, entry in new.items()
                if stat.S_ISDIR(entry.mode) and not _is_directory(self._before.get(path))
            ),
            links={path: str(entry.path.readlink()) for path, entry in new.items() if stat.S_ISLNK(entry.mode)},
            removed=tuple(sorted(set(self._before) - set(after))),
        )

    def _look(self) -> dict[str, _Entry]:
        return {guest: entry for start, place in self._places for guest, entry in _walk(start, place)}


@attrs.frozen
class _Entry:
    """The state of a file; any change alters one of these values."""

    path: Path = attrs.field(eq=False)
    mode: int
    size: int
    inode: int
    modified: int
    changed: int


def _is_directory(entry: _Entry | None) -> bool:
    return entry is not None and stat.S_ISDIR(entry.mode)


def _walk(guest: str, place: Path) -> Iterator[tuple[str, _Entry]]:
    """Yield a file and everything beneath it.

    Raises:
        InvalidBundle: A path is too long.
    """
    pending = [(guest, place)]
    while pending:
        guest, place = pending.pop()
        try:
            status = place.lstat()
            if stat.S_ISDIR(status.st_mode):
                pending += [(f"{guest.rstrip('/')}/{child.name}", child) for child in place.iterdir()]
        except FileNotFoundError:  # removed meanwhile, as a mount's source may be
            continue
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise InvalidBundle(
                f"{guest[:_SHOWN]}...: is too deep to have a path; what a guest changes there can't be told",
                hint="use a tmpfs mount for it, where changes aren't recorded",
            ) from None
        yield (
            guest,
            _Entry(place, status.st_mode, status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns),
        )

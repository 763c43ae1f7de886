"""Which directories a guest has open from the start, and where its paths lead among them.

Mounts and links are resolved as :mod:`wasmoci.wasi` does it, in one tree; the answer is a preopen and a path beneath it
that has no links, which is all that wasmtime's own WASI takes.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import InvalidSpec
from wasmoci.handlers._wasmtime.inner import Intent
from wasmoci.wasi.failure import FAILURES
from wasmoci.wasi.namespace import Namespace
from wasmoci.wasi.resolver import Resolver
from wasmoci.wasi.walk import components

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.filesystem import GuestFiles
    from wasmoci.wasi.place import Location, Place, Position

FIRST_PREOPEN = 3
_DESCRIPTORS = Path("/proc/self/fd")


@attrs.frozen
class Preopen:
    """A directory that the guest has open from the start.

    Args:
        guest: What the guest is told it is called.
        host: The host path.
        read_only: Whether the guest may only read it.
    """

    guest: str
    host: bytes
    read_only: bool


@attrs.frozen
class Start:
    """A directory that paths start from.

    Args:
        position: Where it is in the tree, without links.
        fallback: Whether what isn't found from here is looked up from the root, as for the preopen ``.``: see
            :meth:`wasmoci.wasi.Preopen.within`.
    """

    position: Position
    fallback: bool = False


class Tree:
    """The guest's tree with its directories open.

    Args:
        files: What the guest sees; every tmpfs has its directory.

    Raises:
        InvalidInput: The root file system isn't there.
        InvalidMount: A mount isn't possible.
        InvalidSpec: The working directory isn't there.
    """

    def __init__(self, files: GuestFiles) -> None:
        self._namespace = Namespace(files.tree)
        # Not by openat2, which doesn't tell where a path led.
        self._resolver = Resolver(self._namespace, use_openat2=False)
        self._cwd: Place | None = None
        try:
            mounts = [self._directory(mount.destination) for mount in files.mounts if not mount.is_file]
            if files.cwd != "/":
                self._cwd = self._working_directory(files)
        except BaseException:
            self.close()
            raise
        self._holders = [self._namespace.root, *mounts]
        self.starts = [Start(place.position) for place in self._holders]
        """The preopens, in their order."""
        if self._cwd is not None:
            self.starts.append(Start(self._cwd.position, fallback=True))

    def close(self) -> None:
        """Close all that was opened."""
        if self._cwd is not None:
            self._cwd.close()
        self._namespace.close()

    def cwd(self) -> tuple[bytes, bool]:
        """The working directory as a host path, valid as long as the tree is open, and whether it is read-only."""
        place = self._cwd or self._namespace.root
        return os.fsencode(_DESCRIPTORS / str(place.fd)), place.layer.read_only

    def meets_mounts(self, start: Start) -> bool:
        """Whether something is mounted beneath a directory, of which wasmtime's WASI knows nothing."""
        depth = len(start.position)
        return any(len(position) > depth and position[:depth] == start.position for position in self._namespace.layers)

    @contextlib.contextmanager
    def locate(self, start: Start, path: bytes, intent: Intent, *, follow: bool) -> Iterator[Location]:
        """Find where a path leads.

        Args:
            start: The directory that it starts from.
            path: The path.
            intent: What it is for.
            follow: Whether a link at its end is followed.

        Raises:
            Refusal: It leaves the directory, or goes through too many links.
            OSError: What the kernel says.
        """
        root = self._namespace.root

        def find(place: Place) -> Location:
            if intent is Intent.FIND or follow:
                return self._resolver.locate(place, path, follow=follow)
            return self._resolver.locate_new(place, path)

        with contextlib.ExitStack() as stack:
            place = self._resolver.directory(root, list(start.position)) if start.position else root
            if place is not root:
                stack.callback(place.close)
            try:
                location = find(place)
                stack.callback(location.close)
                found = intent is Intent.MAKE or not start.fallback or location.exists()
            except FileNotFoundError:
                if not start.fallback:
                    raise
                found = False
            if not found:
                location = find(root)
                stack.callback(location.close)
            yield location

    def address(self, location: Location) -> tuple[int, bytes] | None:
        """A location as a preopen's descriptor and a path without links beneath it; None when no preopen holds it."""
        for number, place in enumerate(self._holders, FIRST_PREOPEN):
            if place.layer is location.layer:
                path = b"/".join(location.position[len(place.position) :]) or b"."
                return number, path + b"/" if location.spelled.endswith(b"/") else path
        return None

    def _directory(self, path: str) -> Place:
        return self._resolver.directory(self._namespace.root, components(os.fsencode(path))[0])

    def _working_directory(self, files: GuestFiles) -> Place:
        try:
            place = self._directory(files.cwd)
        except FAILURES as error:
            raise InvalidSpec(
                f"{files.cwd!r} isn't a directory of the guest's; it has to exist", path="$.process.cwd"
            ) from error
        return place

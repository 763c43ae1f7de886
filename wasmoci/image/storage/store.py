"""The local store of images: an OCI layout with all images, and their unpacked root file systems.

::

    STORE/                    $WASMOCI_STORE, else $XDG_DATA_HOME/wasmoci, else ~/.local/share/wasmoci
      images/                 an OCI image layout, readable by any tool; its index has the names
      partial/                blobs during a transfer; interrupted transfers are resumed
      rootfs/DIGEST/          unpacked root file systems, shared by all containers of an image, never written to
      run/                    private files of running containers

Several processes may use it at once. A blob or a root file system appears atomically, by a rename. Adding to the store
locks ``images`` shared, garbage collection locks it exclusively; a root file system in use is locked by its users.
The kernel releases all locks when their process ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import ImageError, ImageNotFound, InvalidImage, InvalidReference, StoreError, UnsafePlace
from wasmoci.host import private_paths
from wasmoci.image.content.image import Image, load_image
from wasmoci.image.content.layout import Layout
from wasmoci.image.content.model import REF_NAME, Descriptor, Platform
from wasmoci.image.content.reference import Name, local_name, parse_name
from wasmoci.image.layers.rootfs_unpacking import unpack_layers
from wasmoci.image.storage.container_rootfs import release
from wasmoci.image.storage.garbage import Pruned, collect
from wasmoci.image.storage.layout_writer import LayoutWriter
from wasmoci.image.storage.overlay import sync_file_system
from wasmoci.image.storage.repair import Repaired, repair
from wasmoci.image.storage.staging import hold, locked, staged, sweep
from wasmoci.image.storage.store_path import default_store
from wasmoci.image.streams.unpack_limits import DEFAULT_LIMITS, UnpackLimits
from wasmoci.text import log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REQUESTED = "dev.wasmoci.requested-digest"
"""The annotation of an entry that was pulled from an index by its digest: that digest."""

_UNPACKED = "rootfs"
_PARTS = ("rootfs", "run", "partial", "images", "images/blobs", "images/blobs/sha256")
_FILES = ("index.json", "oci-layout")  # trusted without a digest
_FULL = (errno.ENOSPC, errno.EDQUOT)


@attrs.frozen
class Stored:
    """An image in the store.

    Args:
        name: Its name; empty if another image has taken it.
        descriptor: The descriptor of its manifest.
    """

    name: str
    descriptor: Descriptor


class Store:
    """A store of images; created if it is missing, accessible to its user alone (mode 0700).

    It is used only if no other user could have written to it; see :mod:`wasmoci.host.private_paths`.

    Args:
        path: Its directory, on the host; None for the user's.
        damaged: Whether its index may be damaged, so that all that can be done is :meth:`repair`.

    Raises:
        InvalidImage: Its index is damaged.
        StoreError: It can't be created or written to, or another user could have written to it.
    """

    def __init__(self, path: Path | None = None, *, damaged: bool = False) -> None:
        wanted = (default_store() if path is None else path).absolute()
        try:
            descriptor, real = private_paths.open_directory(wanted)
            self.path = Path(real)
            self._rootfs, self._run = self.path / "rootfs", self.path / "run"
            self._check_parts(descriptor)
            self.writer = LayoutWriter(self.path / "images", partial=self.path / "partial", damaged=damaged)
        except UnsafePlace as error:
            raise StoreError(
                f"the store at {wanted} can't be used: {error.message}",
                hint=f"{error.hint or 'Remove it'}. Or choose another place with WASMOCI_STORE.",
            ) from None
        except InvalidImage as error:
            error.restate(error.message, hint="'wasmoci prune --repair' makes the store's index anew.")
            raise
        except OSError as error:
            raise StoreError(
                f"{wanted}: the store can't be made: {error.strerror}",
                hint="Choose another place with WASMOCI_STORE.",
            ) from error

    def _check_parts(self, store: int) -> None:
        """Create the parts of the store, and refuse those that another user may have put there before.

        Args:
            store: The descriptor of its directory, which is closed.
        """
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, store)
            opened = {"": store}
            for part in _PARTS:
                above, _, name = part.rpartition("/")
                opened[part] = private_paths.open_inner(name, opened[above], shown=f"{self.path}/{part}")
                stack.callback(os.close, opened[part])
            for name in _FILES:
                with contextlib.suppress(FileNotFoundError):
                    os.close(private_paths.open_file(name, opened["images"], shown=f"{self.path}/images/{name}"))

    # Names.

    def images(self) -> tuple[Stored, ...]:
        """Return the images in the store, by name."""
        entries = self.writer.blobs.index().manifests
        found = (Stored(entry.annotations.get(REF_NAME, ""), entry) for entry in entries)
        return tuple(sorted(found, key=lambda image: (image.name, image.descriptor.digest)))

    def find(self, text: str) -> Stored:
        """Look up an image.

        Args:
            text: A name; one without a registry is ``localhost/NAME``. Or a digest, or at least its first 12 digits.

        Raises:
            ImageNotFound: The store doesn't have it.
        """
        images = self.images()
        with contextlib.suppress(InvalidReference):  # a digest, or a part of one
            name = local_name(text)
            for image in images:
                if _is(image, name):
                    return image
        digits = text.removeprefix("sha256:")
        if len(digits) >= _SHORT and all(digit in "0123456789abcdef" for digit in digits):
            found = [image for image in images if image.descriptor.digest.partition(":")[2].startswith(digits)]
            if len({image.descriptor.digest for image in found}) == 1:
                return found[0]
        raise ImageNotFound(
            f"no image {text!r} in the store at {self.path}",
            hint="'wasmoci images' lists what is there; 'wasmoci pull' gets one from a registry or an archive.",
        )

    def open(self, text: str, *, platform: Platform | None = None) -> Image:
        """Open an image by its name or digest.

        Raises:
            ImageNotFound: The store doesn't have it.
            InvalidImage: What the store has is damaged.
        """
        return load_image(Layout(self.writer.path), (self.find(text).descriptor,), platform=platform)

    # Adding.

    @contextlib.contextmanager
    def adding(self) -> Iterator[LayoutWriter]:
        """Prevent garbage collection while blobs arrive that no name refers to yet."""
        with hold(self.writer.path / "blobs"):
            yield self.writer

    # Root file systems.

    @contextlib.contextmanager
    def rootfs(self, image: Image, *, limits: UnpackLimits = DEFAULT_LIMITS) -> Iterator[Path]:
        """Yield the path of an image's root file system, unpacked if necessary, and keep it from being pruned.

        Args:
            image: The image, from any source.
            limits: Limits of the unpacking.

        Yields:
            Its host path. Nobody may write to it, because others use it, too.

        Raises:
            InvalidImage: The image is damaged, or an entry leaves the root file system.
            ImageLimitExceeded: It exceeds the limits.
        """
        key = image.digest.replace(":", "-") + ("" if os.geteuid() == 0 else ".user")
        place = self._rootfs / key
        with contextlib.ExitStack() as stack:
            while True:
                try:
                    if stack.enter_context(hold(place)):
                        break
                except FileNotFoundError:
                    self._unpack(image, place, limits)
            yield place / _UNPACKED

    def _unpack(self, image: Image, place: Path, limits: UnpackLimits) -> None:
        try:
            with locked(self._rootfs / f".{place.name}.lock", remove=True):
                if place.exists():  # another process was faster
                    return
                sweep(self._rootfs, place.name)
                with staged(self._rootfs, place.name) as directory:
                    (directory / _UNPACKED).mkdir()
                    unpack_layers(image, directory / _UNPACKED, limits=limits)
                    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
                    try:
                        sync_file_system(fd)  # otherwise a power failure could leave a root file system of empty files
                    finally:
                        os.close(fd)
                    directory.rename(place)
        except OSError as error:
            raise ImageError(f"{place}: can't be made: {error.strerror}") from error

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Create a private directory for a container, removed at the end; also remove those of killed processes."""
        sweep(self._run, before=release)
        with staged(self._run, "container") as directory:
            yield directory

    # Removal.

    def remove(self, text: str) -> Stored:
        """Remove a name and, with its last name, the image.

        Raises:
            ImageNotFound: The store doesn't have it.
            StoreError: It can't be removed.
        """
        found = self.find(text)
        with _told(self.path):
            try:
                self._forget(
                    lambda entries: tuple(entry for entry in entries if entry != found.descriptor),
                    wait=False,
                    only=found.descriptor.digest,
                )
            except StoreError as error:
                if found.descriptor in self.writer.blobs.index().manifests:
                    raise
                log.warn(__name__, f"{found.name or found.descriptor.digest} has no name any more, but {error.message}")
        return found

    def prune(self, *, everything: bool = False) -> Pruned:
        """Remove images without a name, blobs and root file systems without an image, and interrupted transfers.

        Args:
            everything: Also remove all images with a name. Root file systems in use stay in any case.

        Raises:
            StoreError: Something can't be read, so it is unknown what an image needs; or it can't be removed.
        """

        def kept(entries: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
            return () if everything else tuple(entry for entry in entries if REF_NAME in entry.annotations)

        before = self.images()
        with _told(self.path):
            pruned = self._forget(kept, wait=True)
        return attrs.evolve(pruned, images=len(before) - len(self.images()))

    def repair(self) -> Repaired:
        """Remove damaged blobs, and write an index anew that is damaged; for a store that was opened as ``damaged``, or any.

        Raises:
            ImageError: Something can't be read or written.
        """
        return repair(self.writer)

    def _forget(
        self,
        change: Callable[[tuple[Descriptor, ...]], tuple[Descriptor, ...]],
        *,
        wait: bool,
        only: str | None = None,
    ) -> Pruned:
        """Take entries from the index, and then what they alone need: on a full disk the other way round."""
        try:
            self.writer.update(change)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            pruned = collect(self.path, self.writer, change(self.writer.blobs.index().manifests), wait=True, only=only)
            self.writer.update(change)
            return pruned
        return collect(self.path, self.writer, self.writer.blobs.index().manifests, wait=wait, only=only)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Raise an error of the system as one of the store."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{error.filename or path}: can't be removed: {error.strerror}") from error


_SHORT = 12


def _is(image: Stored, name: Name) -> bool:
    if not image.name:
        return False
    try:
        own = parse_name(image.name)
    except ImageError:
        return False
    if (own.registry, own.repository) != (name.registry, name.repository):
        return False
    if name.digest:
        return name.digest in (image.descriptor.digest, image.descriptor.annotations.get(REQUESTED), own.digest)
    return own.tag == name.tag

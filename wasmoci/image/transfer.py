"""Moves images: into the store from registries, layouts and archives, and out of it again."""

from __future__ import annotations

import io
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import ImageNotFound, InvalidImage, InvalidReference, RegistryError
from wasmoci.image import media
from wasmoci.image.archive_writer import write_archive
from wasmoci.image.blobs import read_blob
from wasmoci.image.digest import CHUNK, VerifiedReader
from wasmoci.image.image import Image, load_image
from wasmoci.image.layout_writer import LayoutWriter, from_blobs
from wasmoci.image.mirror import Endpoint, endpoints
from wasmoci.image.model import Descriptor, Document, media_type_of
from wasmoci.image.reference import Name, Reference, parse_name
from wasmoci.image.registry import Repository
from wasmoci.image.registry_options import RegistryOptions
from wasmoci.image.store import REQUESTED, Store, Stored
from wasmoci.image.transfer_limits import Documents, TransferLimits, check_image, check_room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wasmoci.image.digest import ByteReader
    from wasmoci.image.model import Platform

    OpenAt = Callable[[int], ByteReader]
    Progress = Callable[[Descriptor, int], None]
    """Told of each blob how many of its bytes there are by now; from several threads."""


def pull(
    name: Name,
    store: Store,
    *,
    platform: Platform | None = None,
    options: RegistryOptions | None = None,
    progress: Progress | None = None,
) -> Stored:
    """Get an image from its registry, or from a mirror, into the store.

    Blobs that are there aren't fetched again, one that was cut off is taken up where it ended, and a name with a digest
    that the store has isn't asked for at all.

    Args:
        name: The image.
        store: Where it goes.
        platform: The platform to take from an index.
        options: How registries are talked to.
        progress: Told what arrives.

    Raises:
        RegistryError: Neither a mirror nor the registry gives it.
        ImageNotFound: It has nothing for the platform.
        InvalidImage: What arrived is not what was asked for.
        ImageLimitExceeded: It is, or announces, more than the options allow.
    """
    options = options or RegistryOptions()
    if name.digest and platform is None and (found := _whole(store, name)) is not None:
        return found
    *mirrors, registry = endpoints(name, options)
    failures: list[RegistryError] = []
    for mirror in mirrors:
        try:
            return _pull(mirror, name, store, platform=platform, progress=progress)
        except RegistryError as error:
            failures.append(error)
    try:
        return _pull(registry, name, store, platform=platform, progress=progress)
    except RegistryError as error:
        for failure in failures:
            error.hint = "\n".join(filter(None, (f"The mirror failed too: {failure.message}", error.hint)))
        raise


def import_image(
    image: Image,
    store: Store,
    name: str | None,
    *,
    progress: Progress | None = None,
    limits: TransferLimits | None = None,
) -> Stored:
    """Copy an image of a layout or an archive into the store.

    Args:
        image: The image.
        store: Where it goes.
        name: What it is called there; None for no name.
        progress: Told what arrives.
        limits: Bounds on its blobs; None for the usual ones.

    Raises:
        InvalidImage: It is damaged; the store stays as it was, but for blobs that are whole.
        ImageLimitExceeded: It is too much.
    """
    check_image(image, limits or TransferLimits())
    with store.adding() as writer:
        _copy(image, writer, lambda blob: from_blobs(image.blobs, blob), progress, parallel=1)
        descriptor = _entry(image)
        writer.tag(descriptor, name)
    return Stored(name or "", descriptor)


def push(
    image: Image,
    target: Reference,
    *,
    options: RegistryOptions | None = None,
    progress: Progress | None = None,
) -> None:
    """Copy an image to a registry, a layout or an archive, as it is.

    Args:
        image: The image.
        target: ``docker://NAME``, ``oci:DIR[:TAG]`` or ``oci-archive:FILE[:TAG]``.
        options: How registries are talked to.
        progress: Told what was sent.

    Raises:
        InvalidReference: The target is of another kind.
        RegistryError: The registry refuses it.
        InvalidImage: The image is damaged.
        ImageError: The target can't be written.
    """
    if target.transport == "oci":
        writer = LayoutWriter(target.path)
        _copy(image, writer, lambda blob: from_blobs(image.blobs, blob), progress, parallel=1)
        writer.tag(attrs.evolve(image.descriptor, annotations={}), target.selector or None)
    elif target.transport == "oci-archive":
        write_archive(image, target.path, tag=target.selector)
    elif target.transport in ("docker", "store"):
        _push(image, parse_name(target.location), options or RegistryOptions(), progress)
    else:
        raise InvalidReference(
            f"{target}: images can't be written to {target.transport!r}",
            hint="Push to docker://NAME, oci:DIR[:TAG] or oci-archive:FILE[:TAG]; 'skopeo copy' and 'podman load' read these.",
        )


def _whole(store: Store, name: Name) -> Stored | None:
    try:
        found = store.find(str(name))
        with store.open(str(name)) as image:
            return found if all(store.writer.has(blob) for blob in _blobs(image)) else None
    except (ImageNotFound, InvalidImage):
        return None


def _pull(
    endpoint: Endpoint, name: Name, store: Store, *, platform: Platform | None, progress: Progress | None
) -> Stored:
    options = endpoint.options
    repository = Repository(endpoint.registry, endpoint.repository, options)
    try:
        data, root = repository.manifest(name.selector)
        kind = media_type_of(Document.parse(data, f"{name}"), root.media_type)
        root = attrs.evolve(root, media_type=kind)
        remote = _Remote(repository, root, data, Documents(repository.name, options.limits))
        image = load_image(remote, (root,), platform=platform)
        check_image(image, options.limits)

        def receive(blob: Descriptor) -> OpenAt:
            if blob.digest == image.digest:
                return from_blobs(image.blobs, blob)
            return lambda offset: repository.blob(blob, offset)

        with store.adding() as writer:
            _copy(
                image,
                writer,
                receive,
                progress,
                parallel=options.parallel,
                again=repository.again,
                check_time=repository.check_time,
            )
            descriptor = _entry(image)
            if name.digest and name.digest != image.digest:
                descriptor = attrs.evolve(descriptor, annotations={REQUESTED: name.digest})
            stored = str(attrs.evolve(name, digest="") if name.tag else name)
            writer.tag(descriptor, stored)
        return Stored(stored, descriptor)
    finally:
        repository.close()


def _push(image: Image, name: Name, options: RegistryOptions, progress: Progress | None) -> None:
    repository = Repository(name.registry, name.repository, options)
    try:

        def send(blob: Descriptor, cancelled: threading.Event) -> None:
            if repository.has_blob(blob):
                _tell(progress, blob, blob.size)
                return
            repository.upload(blob, lambda: _Counted(image.blobs.open(blob), blob, 0, progress, cancelled))

        blobs = _blobs(image)
        blobs.remove(image.descriptor)
        _in_parallel(send, blobs, options.parallel)
        repository.put_manifest(read_blob(image.blobs, image.descriptor), image.manifest.media_type, name.selector)
    finally:
        repository.close()


def _copy(
    image: Image,
    writer: LayoutWriter,
    receive: Callable[[Descriptor], OpenAt],
    progress: Progress | None,
    *,
    parallel: int,
    again: Callable[[Callable[[], None]], object] = lambda attempt: attempt(),
    check_time: Callable[[], None] = lambda: None,
) -> None:
    list(image.layers())  # an image that can't be run isn't worth the way
    blobs = _blobs(image)
    check_room(writer.path, sum(writer.missing(blob) for blob in blobs))

    def fetch(blob: Descriptor, cancelled: threading.Event) -> None:
        open_at = receive(blob)

        def waiting() -> None:
            check_time()
            if cancelled.is_set():
                raise _Cancelled

        def counted_at(offset: int) -> ByteReader:
            return _Counted(open_at(offset), blob, offset, progress, cancelled)

        again(lambda: writer.put(blob, counted_at, waiting=waiting))
        _tell(progress, blob, blob.size)

    _in_parallel(fetch, blobs, parallel)


def _blobs(image: Image) -> list[Descriptor]:
    blobs = (image.descriptor, image.manifest.config, *image.manifest.layers)
    return list({blob.digest: blob for blob in blobs}.values())


def _entry(image: Image) -> Descriptor:
    platform = image.platform
    return Descriptor(
        image.manifest.media_type,
        image.digest,
        image.descriptor.size,
        platform=platform if platform.os and platform.architecture else None,
    )


def _in_parallel(
    work: Callable[[Descriptor, threading.Event], None], blobs: Iterable[Descriptor], parallel: int
) -> None:
    cancelled = threading.Event()
    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="wasmoci-transfer") as pool:
        futures = [pool.submit(work, blob, cancelled) for blob in blobs]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            # Also when the user interrupts: the threads notice at their next piece.
            cancelled.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _tell(progress: Progress | None, blob: Descriptor, count: int) -> None:
    if progress is not None:
        progress(blob, count)


class _Cancelled(Exception):
    """Another transfer of the same image failed."""


class _Counted:
    """Reads a blob, tells how far it is, and stops when the whole is given up."""

    def __init__(
        self, raw: ByteReader, blob: Descriptor, done: int, progress: Progress | None, cancelled: threading.Event
    ) -> None:
        self._raw = raw
        self._blob = blob
        self._done = done
        self._progress = progress
        self._cancelled = cancelled

    def read(self, size: int = CHUNK, /) -> bytes:
        if self._cancelled.is_set():
            raise _Cancelled
        data = self._raw.read(size)
        self._done += len(data)
        _tell(self._progress, self._blob, self._done)
        return data

    def close(self) -> None:
        self._raw.close()


class _Remote:
    """The blobs of a repository, as far as they are documents: what is chosen from before anything large is fetched."""

    def __init__(self, repository: Repository, root: Descriptor, data: bytes, documents: Documents) -> None:
        self.name = repository.name
        self._repository = repository
        self._documents = documents
        self._known = {root.digest: data}

    def open(self, descriptor: Descriptor) -> VerifiedReader:
        data = self._known.get(descriptor.digest)
        if data is None:
            self._documents.spend(descriptor)
        if data is None and descriptor.media_type in media.MANIFESTS | media.INDEXES:
            data, _ = self._repository.manifest(descriptor.digest)
        if data is None:
            data = self._repository.small_blob(descriptor)
        self._known[descriptor.digest] = data
        return VerifiedReader(
            io.BytesIO(data), descriptor.digest, descriptor.size, source=f"{self.name}: {descriptor.digest}"
        )

    def close(self) -> None:
        """Do nothing: the repository is closed by who opened it."""

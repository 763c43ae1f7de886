"""Copies images from registries, layouts and archives into the store, and from the store to them."""

from __future__ import annotations

import io
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import ImageNotFound, InvalidImage, InvalidReference, RegistryError
from wasmoci.image.content import media
from wasmoci.image.content.blobs import read_blob
from wasmoci.image.content.image import Image, load_image
from wasmoci.image.content.model import Descriptor, Document, media_type_of
from wasmoci.image.content.reference import Name, Reference, parse_name
from wasmoci.image.registries.client import Repository
from wasmoci.image.registries.mirror import Endpoint, endpoints
from wasmoci.image.registries.options import RegistryOptions
from wasmoci.image.registries.transfer_limits import Documents, TransferLimits, check_image, check_room
from wasmoci.image.storage.archive_writer import write_archive
from wasmoci.image.storage.layout_writer import LayoutWriter, from_blobs
from wasmoci.image.storage.store import REQUESTED, Store, Stored
from wasmoci.image.streams.digest import CHUNK, VerifiedReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wasmoci.image.content.model import Platform
    from wasmoci.image.streams.digest import ByteReader

    OpenAt = Callable[[int], ByteReader]
    Progress = Callable[[Descriptor, int], None]
    """Called with each blob and its number of transferred bytes; from several threads."""


def pull(
    name: Name,
    store: Store,
    *,
    platform: Platform | None = None,
    options: RegistryOptions | None = None,
    progress: Progress | None = None,
) -> Stored:
    """Copy an image from its registry, or from a mirror, into the store.

    Existing blobs aren't fetched again, an interrupted transfer is resumed, and a name with a digest
    that is in the store isn't requested at all.

    Args:
        name: The image.
        store: The store.
        platform: The platform to take from an index.
        options: Options for registries.
        progress: Called with the progress.

    Raises:
        RegistryError: Neither a mirror nor the registry delivers it.
        ImageNotFound: There is none for the platform.
        InvalidImage: A blob doesn't match its digest.
        ImageLimitExceeded: It exceeds, or announces more than, the limits in the options.
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
    """Copy an image from a layout or an archive into the store.

    Args:
        image: The image.
        store: The store.
        name: Its name there; None for no name.
        progress: Called with the progress.
        limits: Limits of its blobs; None for the defaults.

    Raises:
        InvalidImage: It is damaged; the store is unchanged, except for intact blobs.
        ImageLimitExceeded: It exceeds the limits.
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
    """Copy an image to a registry, a layout or an archive, unchanged.

    Args:
        image: The image.
        target: ``docker://NAME``, ``oci:DIR[:TAG]`` or ``oci-archive:FILE[:TAG]``.
        options: Options for registries.
        progress: Called with the progress.

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
    list(image.layers())  # check that the image can be run, before the transfer
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
            # Also when the user interrupts: the threads notice before their next chunk.
            cancelled.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _tell(progress: Progress | None, blob: Descriptor, count: int) -> None:
    if progress is not None:
        progress(blob, count)


class _Cancelled(Exception):
    """Another transfer of the same image failed."""


class _Counted:
    """Reads a blob, reports the progress, and stops when the whole transfer is cancelled."""

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
    """The documents of a repository: manifests, indexes and configs, needed before anything large is fetched."""

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
        """Do nothing: its owner closes the repository."""

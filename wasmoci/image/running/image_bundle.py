"""Opens, pulls and unpacks an image by its reference, and makes a bundle that can be run from it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import ImageError, ImageNotFound, InvalidReference
from wasmoci.host.temporary_directory import temporary_directory
from wasmoci.image.content.image import open_file_reference
from wasmoci.image.content.label_allow_list import annotations_of
from wasmoci.image.content.model import Platform
from wasmoci.image.content.reference import Reference, local_name, parse_name, parse_reference
from wasmoci.image.running.bundle_unpacking import spec_of
from wasmoci.image.running.runtime_spec import Volume, Wishes
from wasmoci.image.storage.container_rootfs import private_copy
from wasmoci.image.storage.store import Store, Stored
from wasmoci.image.streams.unpack_limits import DEFAULT_LIMITS, UnpackLimits
from wasmoci.oci.bundle import Bundle, Origin
from wasmoci.oci.spec import CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from wasmoci.image.content.image import Image
    from wasmoci.image.registries.options import RegistryOptions
    from wasmoci.image.transfer import Progress

_SKOPEO_SECONDS = 600


def platform_of(text: str | Platform | None) -> Platform | None:
    """Return a platform, which may be given as text."""
    return Platform.parse(text) if isinstance(text, str) else text


@contextlib.contextmanager
def open_image(
    reference: str | Reference,
    *,
    platform: str | Platform | None = None,
    store: Store | None = None,
    limits: UnpackLimits = DEFAULT_LIMITS,
    registry: RegistryOptions | None = None,
    progress: Progress | None = None,
) -> Iterator[Image]:
    """Open an image from any source; one in a registry is pulled into the store.

    Args:
        reference: In the notation of containers/image, a path, or a name in the store.
        platform: The platform to take from an index, as ``os/architecture[/variant]``.
        store: The local store; None for the user's.
        limits: Limits of unpacking an archive that is compressed as a whole.
        registry: Options for registries.
        progress: Called with the progress of the transfer.

    Raises:
        InvalidReference: The reference is malformed.
        ImageNotFound: There is no such image.
        InvalidImage: It is damaged.
        RegistryError: The registry doesn't deliver it.
    """
    parsed = parse_reference(reference) if isinstance(reference, str) else reference
    wanted = platform_of(platform)
    with contextlib.ExitStack() as stack:
        if parsed.transport in ("store", "docker"):
            where = store or Store()
            name = parsed.location
            if parsed.transport == "docker":
                from wasmoci.image import transfer  # noqa: PLC0415  what is local needs no network

                parsed_name = parse_name(name)
                found = transfer.pull(parsed_name, where, platform=wanted, options=registry, progress=progress)
                name, wanted = found.descriptor.digest, None
            image = where.open(name, platform=wanted)
        elif parsed.transport == "containers-storage":
            layout = stack.enter_context(_exported(parsed.location))
            image = open_file_reference(layout, platform=wanted, limits=limits)
        else:
            image = open_file_reference(parsed, platform=wanted, limits=limits)
        with image:
            yield image


def pull(
    reference: str,
    *,
    name: str | None = None,
    platform: str | Platform | None = None,
    store: Store | None = None,
    limits: UnpackLimits = DEFAULT_LIMITS,
    registry: RegistryOptions | None = None,
    progress: Progress | None = None,
) -> Stored:
    """Copy an image into the local store.

    Args:
        reference: A name, which is pulled from its registry, or any other reference.
        name: Its name in the store; None takes the registry's name, or the name in the archive.
        platform: The platform to take from an index.
        store: The store; None for the user's.
        limits: Limits of unpacking an archive that is compressed as a whole.
        registry: Options for registries.
        progress: Called with the progress of the transfer.

    Raises:
        ImageError: See :func:`open_image`; also when no name for it is known.
    """
    from wasmoci.image import transfer  # noqa: PLC0415  running what is local needs no network

    parsed, where = parse_reference(reference), store or Store()
    wanted = platform_of(platform)
    if parsed.transport in ("store", "docker"):
        found = transfer.pull(parse_name(parsed.location), where, platform=wanted, options=registry, progress=progress)
        if name is not None:
            where.writer.tag(found.descriptor, str(local_name(name)))
        return found if name is None else Stored(str(local_name(name)), found.descriptor)
    called = name or parsed.selector or (parsed.location if parsed.transport == "containers-storage" else "")
    if not called or called.startswith("@"):
        raise InvalidReference(f"{reference}: the image has no name for the store", hint="Give it one with --tag NAME.")
    full = local_name(called)
    with open_image(parsed, platform=wanted, store=where, limits=limits) as image:
        bounds = None if registry is None else registry.limits
        return transfer.import_image(image, where, str(full), progress=progress, limits=bounds)


@contextlib.contextmanager
def as_bundle(
    reference: str,
    *,
    platform: str | Platform | None = None,
    args: Sequence[str] | None = None,
    entrypoint: Sequence[str] | None = None,
    env: Mapping[str, str] | None = None,
    volumes: Sequence[str | Volume] = (),
    workdir: str | None = None,
    user: str | None = None,
    annotations: Mapping[str, str] | None = None,
    read_only: bool | None = None,
    terminal: bool = False,
    store: Store | None = None,
    limits: UnpackLimits = DEFAULT_LIMITS,
    registry: RegistryOptions | None = None,
    progress: Progress | None = None,
) -> Iterator[Bundle]:
    """Make a bundle from an image, for the duration of the context.

    The root file system is unpacked once for each image, and kept in the store. A writable container gets its own one
    until the end: an overlay as root, otherwise a copy. A read-only container shares the one in the store.

    Args:
        reference: In the notation of containers/image, a path, or a name in the store.
        platform: The platform to take from an index, as ``os/architecture[/variant]``.
        args: Replaces the image's ``Cmd``; None keeps it.
        entrypoint: Replaces ``Entrypoint``, and drops ``Cmd`` unless ``args`` are given; None keeps it.
        env: Added to the image's environment; variables of the same name are replaced.
        volumes: Host paths to mount, as ``HOST:GUEST[:ro]``.
        workdir: The working directory, a guest path; None keeps the image's.
        user: Replaces the image's ``User``; None keeps it.
        annotations: Added to the image's; those of the same name are replaced.
        read_only: Whether the root file system is read-only; None is Podman's default, writable.
        terminal: Whether the process has a terminal.
        store: The local store; None for the user's.
        limits: Limits of unpacking the image.
        registry: Options for registries.
        progress: Called with the progress of the transfer.

    Raises:
        ImageError: Any of its subclasses: see :func:`open_image` and :func:`wasmoci.image.unpack`.
        InvalidMount: A volume is malformed.
    """
    where = store or Store()
    wishes = Wishes(
        args=None if args is None else tuple(args),
        entrypoint=None if entrypoint is None else tuple(entrypoint),
        env=dict(env or {}),
        volumes=tuple(Volume.parse(volume) if isinstance(volume, str) else volume for volume in volumes),
        workdir=workdir,
        user=user,
        annotations=dict(annotations or {}),
        read_only=bool(read_only),
        terminal=terminal,
    )
    with contextlib.ExitStack() as stack:
        image = stack.enter_context(
            open_image(reference, platform=platform, store=where, limits=limits, registry=registry, progress=progress)
        )
        shared = stack.enter_context(where.rootfs(image, limits=limits))
        directory = stack.enter_context(where.scratch())
        rootfs = shared if wishes.read_only else stack.enter_context(_writable(shared, directory))
        # Users are looked up in the shared one: the container may change its own one as soon as it runs.
        spec = spec_of(image, shared, wishes=wishes, root_path=str(rootfs), rootless=os.geteuid() != 0)
        spec.save(directory / CONFIG)
        origin = Origin(str(reference), annotations_of(image).left_out)
        yield attrs.evolve(Bundle.load(directory), image=origin)


@contextlib.contextmanager
def _writable(shared: Path, directory: Path) -> Iterator[Path]:
    try:
        with contextlib.ExitStack() as stack:
            rootfs = stack.enter_context(private_copy(shared, directory))
            copied = stack.pop_all()
    except OSError as error:
        raise ImageError(f"{shared}: can't be copied for a container of its own: {error.strerror}") from error
    with copied:
        yield rootfs


@contextlib.contextmanager
def _exported(name: str) -> Iterator[Reference]:
    """Have skopeo copy an image from the storage of Podman and Buildah to a temporary layout."""
    program = shutil.which("skopeo")
    if program is None:
        raise ImageError(
            f"containers-storage:{name}: needs skopeo, which isn't installed",
            hint="Install skopeo, or save the image with 'podman save --format oci-archive -o FILE NAME'.",
        )
    with temporary_directory("wasmoci-") as scratch:
        layout = scratch / "image"
        command = [program, "copy", "--quiet", "--dest-oci-accept-uncompressed-layers"]
        command += [f"containers-storage:{name}", f"oci:{layout}:image"]
        try:
            done = subprocess.run(  # noqa: S603  the name is one argument
                command, capture_output=True, text=True, timeout=_SKOPEO_SECONDS, stdin=subprocess.DEVNULL, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ImageError(f"containers-storage:{name}: skopeo can't be run: {error}") from None
        if done.returncode:
            text = done.stderr.strip().splitlines()
            kind = ImageNotFound if "does not resolve to an image" in done.stderr else ImageError
            raise kind(f"containers-storage:{name}: skopeo: {text[-1] if text else 'failed'}")
        yield Reference("oci", str(layout), "image")

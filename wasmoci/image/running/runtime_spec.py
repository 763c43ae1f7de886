"""Creates the OCI runtime spec of an image, like Podman (OCI image spec, conversion.md).

The caller's settings take precedence: ``args`` replace ``Cmd``, as on Podman's command line, ``env`` is added,
``volumes`` are mounted.
"""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING, Any

import attrs

from wasmoci.errors import InvalidImage, InvalidMount
from wasmoci.image.content.label_allow_list import annotations_of
from wasmoci.image.layers.users import User, look_up
from wasmoci.image.layers.wasm_layer import first_module
from wasmoci.image.layers.working_directory import working_directory
from wasmoci.image.running import native_confinement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wasmoci.image.content.config import ImageConfig
    from wasmoci.image.content.image import Image
    from wasmoci.image.layers.rootfs import Rootfs

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@attrs.frozen
class Volume:
    """A host path that is mounted in a container.

    Args:
        source: The host path, absolute.
        destination: The guest path, absolute.
        read_only: Whether the guest may only read it.
    """

    source: str
    destination: str
    read_only: bool = False

    @classmethod
    def parse(cls, text: str) -> Volume:
        """Parse ``HOST:GUEST[:ro|:rw]``, like Podman's ``-v``.

        Raises:
            InvalidMount: It has another form.
        """
        source, _, rest = text.partition(":")
        destination, _, mode = rest.partition(":")
        options = [option for option in mode.split(",") if option not in ("", "z", "Z")]
        if not source or not destination.startswith("/") or set(options) - {"ro", "rw"}:
            raise InvalidMount(f"volume {text!r}: expected HOST:GUEST, HOST:GUEST:ro or HOST:GUEST:rw, GUEST absolute")
        return cls(os.path.abspath(source), destination, "ro" in options)  # noqa: PTH100  keeps links as they are


@attrs.frozen
class Wishes:
    """The caller's settings, which override the image's.

    Args:
        args: Replaces ``Cmd``; None keeps it.
        entrypoint: Replaces ``Entrypoint``, and drops ``Cmd`` unless ``args`` are given; None keeps it.
        env: Added to the image's; variables of the same name are replaced.
        volumes: Host paths to mount.
        workdir: The working directory, an absolute guest path; None keeps the image's.
        user: Replaces the image's ``User``; None keeps it.
        annotations: Added to the image's; those of the same name are replaced.
        read_only: Whether the root file system is read-only.
        terminal: Whether the process has a terminal.
    """

    args: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    env: Mapping[str, str] = attrs.field(factory=dict)
    volumes: tuple[Volume, ...] = ()
    workdir: str | None = None
    user: str | None = None
    annotations: Mapping[str, str] = attrs.field(factory=dict)
    read_only: bool = False
    terminal: bool = False


def make_spec(
    image: Image, rootfs: Rootfs, *, wishes: Wishes, root_path: str, rootless: bool, idle: bool = False
) -> dict[str, Any]:
    """Return the ``config.json`` of an image's bundle.

    Args:
        image: The image.
        rootfs: Its root file system, where users and groups are looked up.
        wishes: The caller's settings.
        root_path: ``root.path``: a host path, absolute or relative to the bundle.
        rootless: Write a spec that rootless runc accepts: with a user namespace, without resources.
        idle: Leave ``process.args`` out when there is nothing to run, so that the caller can add them.

    Raises:
        InvalidImage: It has nothing to run and isn't ``idle``, its ``User`` doesn't exist, or its ``WorkingDir`` is in
            one of the kernel's file systems.
    """
    config = image.config
    try:
        user = look_up(rootfs, config.user if wishes.user is None else wishes.user)
        cwd = posixpath.join("/", wishes.workdir) if wishes.workdir else working_directory(rootfs, config.working_dir)
    except InvalidImage as error:
        raise InvalidImage(error.message, source=f"{image.blobs.name}: {image.digest}") from None
    found = arguments(image, wishes)
    if not found and not idle:
        raise InvalidImage(
            "it has neither Entrypoint nor Cmd",
            source=f"{image.blobs.name}: {image.digest}",
            hint="Say what to run, by its path in the image.",
        )
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": wishes.terminal,
            **({"args": list(found)} if found else {}),
            "env": _environment(config, wishes, user),
            "cwd": cwd,
            **native_confinement.process(user),
        },
        "root": {"path": root_path, "readonly": wishes.read_only},
        "hostname": "wasmoci",
        "mounts": native_confinement.mounts(rootless=rootless) + [_bind(volume) for volume in wishes.volumes],
        "annotations": annotations_of(image).kept | dict(wishes.annotations),
        "linux": native_confinement.linux(rootless=rootless),
    }


def arguments(image: Image, wishes: Wishes) -> tuple[str, ...]:
    """Return ``process.args``; empty when neither the image nor the caller says what to run."""
    config = image.config
    if wishes.entrypoint is not None:
        return wishes.entrypoint + (wishes.args or ())
    entrypoint = config.entrypoint
    if not entrypoint and not config.cmd:
        # An artifact of the CNCF's layout has no arguments: its module is the program.
        entrypoint = first_module(image)
    return entrypoint + (config.cmd if wishes.args is None else wishes.args)


def _environment(config: ImageConfig, wishes: Wishes, user: User) -> list[str]:
    merged: dict[str, str] = {}
    for variable in config.env:
        name, equals, value = variable.partition("=")
        if equals and name:
            merged[name] = value
    merged.setdefault("PATH", DEFAULT_PATH)
    if wishes.terminal:
        merged.setdefault("TERM", "xterm")
    merged.update(wishes.env)
    merged.setdefault("HOME", user.home)
    return [f"{name}={value}" for name, value in merged.items()]


def _bind(volume: Volume) -> dict[str, Any]:
    return {
        "destination": volume.destination,
        "type": "bind",
        "source": volume.source,
        "options": ["rbind", "rprivate", "ro" if volume.read_only else "rw"],
    }

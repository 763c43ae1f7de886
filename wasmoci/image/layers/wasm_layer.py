"""Determines the file name of a Wasm layer's module in the root file system."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from wasmoci.errors import InvalidImage
from wasmoci.image.content import media

if TYPE_CHECKING:
    from wasmoci.image.content.image import Image
    from wasmoci.image.content.model import Descriptor

_TITLE = "org.opencontainers.image.title"
DEFAULT_MODULE = "/module.wasm"


def module_path(image: Image, descriptor: Descriptor) -> str:
    """Return the guest path for a Wasm layer's module.

    In an artifact of the CNCF's layout, and in runwasi's images, a layer is a module without a name. The first one is
    run: it is put where the entry point expects it, so that an image's arguments stay unchanged. Any other one
    needs a title.

    Raises:
        InvalidImage: A further module has no title, or a title isn't a plain file name.
    """
    wasm = [layer for layer in image.manifest.layers if layer.media_type in media.WASM_LAYERS]
    arguments = image.config.entrypoint + image.config.cmd
    if descriptor == wasm[0] and arguments:
        program = arguments[0].split("#", 1)[0]
        return posixpath.normpath(posixpath.join("/", image.config.working_dir, program))
    title = descriptor.annotations.get(_TITLE, "")
    name = posixpath.basename(title)
    if title and name in ("", ".", ".."):
        raise InvalidImage(
            f"the layer's title is {title!r}; expected a file name", source=f"{image.blobs.name}: {image.digest}"
        )
    if title:
        return f"/{name}"
    if descriptor == wasm[0]:
        return DEFAULT_MODULE
    raise InvalidImage(
        f"{len(wasm)} WebAssembly layers, and {descriptor.digest} has no title to name its file by",
        source=f"{image.blobs.name}: {image.digest}",
        hint="Compose the components into one, or give each layer an org.opencontainers.image.title annotation.",
    )


def first_module(image: Image) -> tuple[str, ...]:
    """Return the arguments of an image that has none but is a module: its guest path. Otherwise return nothing."""
    for descriptor in image.manifest.layers:
        if descriptor.media_type in media.WASM_LAYERS:
            return (module_path(image, descriptor),)
    return ()

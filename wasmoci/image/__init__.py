"""Reads, verifies, unpacks, builds, pulls and pushes OCI images, without a daemon.

::

    with wasmoci.image.as_bundle("docker://REGISTRY/NAME:TAG", args=["--help"]) as bundle:
        ...

    with wasmoci.image.open_image("oci:DIR:TAG") as image:
        wasmoci.image.unpack(image, Path("bundle"))

The names are imported when they are first used, because running a bundle needs none of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wasmoci.image.building import BuiltImage, build, build_artifact
    from wasmoci.image.bundle_unpacking import unpack
    from wasmoci.image.credentials import Credential
    from wasmoci.image.image import Image
    from wasmoci.image.image_bundle import as_bundle, open_image, pull
    from wasmoci.image.image_detection import looks_like_image
    from wasmoci.image.layer_writer import Copy
    from wasmoci.image.model import Platform
    from wasmoci.image.reference import Name, Reference, parse_name, parse_reference, parse_target
    from wasmoci.image.registry_options import RegistryOptions
    from wasmoci.image.runtime_spec import Volume, Wishes
    from wasmoci.image.store import Pruned, Store, Stored
    from wasmoci.image.transfer import import_image, push
    from wasmoci.image.transfer_limits import TransferLimits
    from wasmoci.image.unpack_limits import UnpackLimits

_WHERE = {
    "building": ("BuiltImage", "build", "build_artifact"),
    "credentials": ("Credential",),
    "image": ("Image",),
    "layer_writer": ("Copy",),
    "unpack_limits": ("UnpackLimits",),
    "image_detection": ("looks_like_image",),
    "model": ("Platform",),
    "reference": ("Name", "Reference", "parse_name", "parse_reference", "parse_target"),
    "registry_options": ("RegistryOptions",),
    "image_bundle": ("as_bundle", "open_image", "pull"),
    "runtime_spec": ("Volume", "Wishes"),
    "store": ("Pruned", "Store", "Stored"),
    "transfer": ("import_image", "push"),
    "transfer_limits": ("TransferLimits",),
    "bundle_unpacking": ("unpack",),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "BuiltImage",
    "Copy",
    "Credential",
    "Image",
    "Name",
    "Platform",
    "Pruned",
    "Reference",
    "RegistryOptions",
    "Store",
    "Stored",
    "TransferLimits",
    "UnpackLimits",
    "Volume",
    "Wishes",
    "as_bundle",
    "build",
    "build_artifact",
    "import_image",
    "looks_like_image",
    "open_image",
    "parse_name",
    "parse_reference",
    "parse_target",
    "pull",
    "push",
    "unpack",
]


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__

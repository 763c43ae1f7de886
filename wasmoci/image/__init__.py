"""Reads, verifies, unpacks, builds, pulls and pushes OCI images, without a daemon.

::

    with wasmoci.image.as_bundle("docker://REGISTRY/NAME:TAG", args=["--help"]) as bundle:
        ...

    with wasmoci.image.open_image("oci:DIR:TAG") as image:
        wasmoci.image.unpack(image, Path("bundle"))

The names are imported when they are first used, because running a bundle needs none of them.
"""

from __future__ import annotations

from wasmoci._startup import lazy
from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wasmoci.image.building import BuiltImage as BuiltImage
    from wasmoci.image.building import build as build
    from wasmoci.image.building import build_artifact as build_artifact
    from wasmoci.image.content.image import Image as Image
    from wasmoci.image.content.model import Platform as Platform
    from wasmoci.image.content.reference import Name as Name
    from wasmoci.image.content.reference import Reference as Reference
    from wasmoci.image.content.reference import parse_name as parse_name
    from wasmoci.image.content.reference import parse_reference as parse_reference
    from wasmoci.image.content.reference import parse_target as parse_target
    from wasmoci.image.layers.layer_writer import Copy as Copy
    from wasmoci.image.registries.credentials import Credential as Credential
    from wasmoci.image.registries.options import RegistryOptions as RegistryOptions
    from wasmoci.image.registries.transfer_limits import TransferLimits as TransferLimits
    from wasmoci.image.running.bundle_unpacking import unpack as unpack
    from wasmoci.image.running.image_bundle import as_bundle as as_bundle
    from wasmoci.image.running.image_bundle import open_image as open_image
    from wasmoci.image.running.image_bundle import pull as pull
    from wasmoci.image.running.runtime_spec import Volume as Volume
    from wasmoci.image.running.runtime_spec import Wishes as Wishes
    from wasmoci.image.storage.garbage import Pruned as Pruned
    from wasmoci.image.storage.image_detection import looks_like_image as looks_like_image
    from wasmoci.image.storage.store import Store as Store
    from wasmoci.image.storage.store import Stored as Stored
    from wasmoci.image.streams.unpack_limits import UnpackLimits as UnpackLimits
    from wasmoci.image.transfer import import_image as import_image
    from wasmoci.image.transfer import push as push

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    {
        "building": ("BuiltImage", "build", "build_artifact"),
        "running.bundle_unpacking": ("unpack",),
        "registries.credentials": ("Credential",),
        "content.image": ("Image",),
        "running.image_bundle": ("as_bundle", "open_image", "pull"),
        "storage.image_detection": ("looks_like_image",),
        "layers.layer_writer": ("Copy",),
        "content.model": ("Platform",),
        "content.reference": ("Name", "Reference", "parse_name", "parse_reference", "parse_target"),
        "registries.options": ("RegistryOptions",),
        "running.runtime_spec": ("Volume", "Wishes"),
        "storage.garbage": ("Pruned",),
        "storage.store": ("Store", "Stored"),
        "transfer": ("import_image", "push"),
        "registries.transfer_limits": ("TransferLimits",),
        "streams.unpack_limits": ("UnpackLimits",),
    },
)

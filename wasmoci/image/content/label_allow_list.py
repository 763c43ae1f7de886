"""Selects the labels and annotations of an image that become annotations of its containers, by an allow-list.

Native runtimes act on many annotations. crun loads a library that ``run.oci.seccomp.plugins`` names and takes the
seccomp filter of ``run.oci.seccomp_bpf_data``, runc sets properties of systemd (``org.systemd.property.*``) and names
CRIU's configuration (``org.criu.config``). An image must not decide about any of these.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from wasmoci.oci.annotations import HANDLER, VARIANT

if TYPE_CHECKING:
    from wasmoci.image.content.image import Image

_DESCRIPTIVE = "org.opencontainers.image."
_HANDLERS = ("wasm", "wasm-smart")
_OF_ONE_CONTAINER = re.compile(rf"{re.escape(VARIANT)}\.[A-Za-z0-9][A-Za-z0-9_.-]*")
"""The variant of one container of a pod, named as Kubernetes and Podman permit."""


@attrs.frozen
class ImageAnnotations:
    """The labels and annotations of an image, divided by the allow-list.

    Args:
        kept: The annotations of its spec.
        left_out: The names of the other labels and annotations, sorted.
    """

    kept: dict[str, str]
    left_out: tuple[str, ...]


def annotations_of(image: Image) -> ImageAnnotations:
    """Divide an image's labels and annotations.

    In ascending precedence: what conversion.md derives from the config, the labels, the manifest's annotations. An
    image for a Wasm platform that doesn't say how all of its containers are run is marked as a Wasm workload.
    """
    config = image.config
    derived = {
        "os": config.platform.os,
        "architecture": config.platform.architecture,
        "variant": config.platform.variant,
        "author": config.author,
        "created": config.created,
        "stopSignal": config.stop_signal,
        "exposedPorts": ",".join(config.exposed_ports),
    }
    kept = {f"{_DESCRIPTIVE}{name}": value for name, value in derived.items() if value}
    left_out: set[str] = set()
    for given in (config.labels, image.manifest.annotations):
        for key, value in given.items():
            if _is_allowed(key, value):
                kept[key] = value
            else:
                left_out.add(key)
    if image.is_wasm and HANDLER not in kept:
        kept.setdefault(VARIANT, "compat")
    return ImageAnnotations(kept, tuple(sorted(left_out)))


def _is_allowed(key: str, value: str) -> bool:
    if key == HANDLER:
        return value in _HANDLERS
    descriptive = key.startswith(_DESCRIPTIVE) and key != _DESCRIPTIVE
    return descriptive or key == VARIANT or _OF_ONE_CONTAINER.fullmatch(key) is not None

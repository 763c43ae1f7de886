"""Lists the media types that are read, as the OCI image spec 1.1, Docker, the CNCF and runwasi define them."""

from __future__ import annotations

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
OCI_LAYER_ZSTD = OCI_LAYER + "+zstd"

DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = DOCKER_LAYER + ".gzip"
DOCKER_LAYER_ZSTD = DOCKER_LAYER + ".zstd"

WASM_CONFIG = "application/vnd.wasm.config.v0+json"
WASM_LAYER = "application/wasm"
RUNWASI_LAYER = "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm"

INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
IMAGE_CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})
WASM_CONFIGS = frozenset({WASM_CONFIG, "application/vnd.wasm.config.v1+json"})
WASM_LAYERS = frozenset({WASM_LAYER, RUNWASI_LAYER, "application/vnd.wasm.content.layer.v1+wasm"})

_FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"
TAR_LAYERS = frozenset(
    {
        *(OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD),
        *(DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_LAYER_ZSTD),
        *(_FOREIGN, _FOREIGN + "+gzip", _FOREIGN + "+zstd"),
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    }
)

DOCKER_SCHEMA_1 = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
"""Refused with an error of its own: schema 1 has no config, and registries dropped it in 2024."""

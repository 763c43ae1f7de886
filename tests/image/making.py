"""Makes layers and images to test with, bad ones too, without the code that is tested."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = LAYER + "+gzip"
WASM = b"\0asm\1\0\0\0"

TYPES = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "link": tarfile.LNKTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "fifo": tarfile.FIFOTYPE,
}


def member(
    name: str, kind: str = "file", data: bytes = b"", link: str = "", **fields: Any
) -> tuple[tarfile.TarInfo, bytes]:
    """One entry of a layer; ``fields`` are those of ``TarInfo``."""
    info = tarfile.TarInfo(name)
    info.type = TYPES[kind]
    info.linkname = link
    info.size = len(data)
    info.mode = 0o755 if kind == "dir" else 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A layer's archive, as ``tarfile`` writes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def digest(data: bytes) -> str:
    """The digest of a blob."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def put(layout: Path, data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    """Write a blob; return its descriptor."""
    name = digest(data)
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    (blobs / name.partition(":")[2]).write_bytes(data)
    return {"mediaType": media_type, "digest": name, "size": len(data), **more}


def put_json(layout: Path, document: Mapping[str, Any], media_type: str, **more: Any) -> dict[str, Any]:
    """Write a blob that is JSON; return its descriptor."""
    return put(layout, json.dumps(document).encode(), media_type, **more)


def put_image(
    layout: Path,
    layers: Sequence[bytes],
    *,
    config: Mapping[str, Any] | None = None,
    target: tuple[str, str] = ("linux", "amd64"),
    annotations: Mapping[str, str] | None = None,
    packed: bool = True,
    **more: Any,
) -> dict[str, Any]:
    """Write an image of archives; return its manifest's descriptor."""
    blobs = [
        put(layout, gzip.compress(layer, mtime=0), LAYER_GZIP) if packed else put(layout, layer, LAYER)
        for layer in layers
    ]
    document = {
        "os": target[0],
        "architecture": target[1],
        "config": dict(config or {"Cmd": ["/hello.wasm"]}),
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": put_json(layout, document, OCI_CONFIG),
        "layers": blobs,
        "annotations": dict(annotations or {}),
    }
    return put_json(layout, manifest, OCI_MANIFEST, **more)


def finish(layout: Path, *descriptors: Mapping[str, Any]) -> Path:
    """Write what makes a directory a layout."""
    layout.mkdir(parents=True, exist_ok=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": list(descriptors)}))
    return layout


def make_layout(path: Path, *layers: bytes, tag: str = "", **options: Any) -> Path:
    """A layout of one image of these archives."""
    descriptor = put_image(path, layers, **options)
    if tag:
        descriptor["annotations"] = {"org.opencontainers.image.ref.name": tag}
    return finish(path, descriptor)


def tree(root: Path) -> dict[str, tuple[Any, ...]]:
    """What a directory holds: of each path the kind, the mode, and the content or target."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in sorted(root.rglob("*")):
        name, status = str(path.relative_to(root)), path.lstat()
        if path.is_symlink():
            found[name] = ("symlink", str(path.readlink()))
        elif path.is_dir():
            found[name] = ("dir", status.st_mode & 0o7777)
        else:
            found[name] = ("file", status.st_mode & 0o7777, path.read_bytes())
    return found

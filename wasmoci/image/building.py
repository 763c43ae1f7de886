"""Builds images of WebAssembly modules: ``FROM scratch`` with a module, or artifacts of the CNCF's layout."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from typing import TYPE_CHECKING, Any

import attrs

from wasmoci.errors import ImageError
from wasmoci.host.temporary_directory import temporary_directory
from wasmoci.image.content import media
from wasmoci.image.content.image import load_image
from wasmoci.image.content.model import Descriptor, Platform, describe, dump
from wasmoci.image.layers.layer_writer import Copy, WrittenLayer, write_layer
from wasmoci.image.storage.layout_writer import LayoutWriter
from wasmoci.image.streams.digest import CHUNK
from wasmoci.oci.annotations import VARIANT
from wasmoci.wasm.module import Module, ModuleKind

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from wasmoci.image.content.image import Image

VARIANTS = ("compat", "compat-smart")
DEFAULT_PLATFORM = Platform("wasi", "wasm")
_TITLE = "org.opencontainers.image.title"
_LATEST = 1 << 33


@attrs.frozen
class BuiltImage:
    """An image that was built, valid until its context ends: push it or import it into a store.

    Args:
        image: The image.
        module: The module that it contains, as it was read.
    """

    image: Image
    module: Module


@contextlib.contextmanager
def build(
    module: Path,
    *,
    copies: Sequence[Copy] = (),
    destination: str | None = None,
    entrypoint: Sequence[str] | None = None,
    cmd: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    workdir: str = "/",
    user: str = "",
    platform: Platform = DEFAULT_PLATFORM,
    variant: str | None = "compat",
    compression: str = "gzip",
    timestamp: int | None = None,
) -> Iterator[BuiltImage]:
    """Build an image for Podman, Buildah, Skopeo, containerd and crun.

    The same arguments and files result in the same digest, on any machine whose zlib compresses alike.

    Args:
        module: The WebAssembly file, on the host; it is read and checked.
        copies: Further files for the image.
        destination: The module's guest path; None for its own name at the root.
        entrypoint: ``Entrypoint``; None for the module's guest path.
        cmd: ``Cmd``: the default arguments.
        env: ``Env``.
        labels: ``Labels``.
        annotations: The manifest's annotations.
        workdir: ``WorkingDir``, an absolute guest path.
        user: ``User``.
        platform: The image's platform. Docker, containerd and runwasi look for ``wasi/wasm``.
        variant: The value of ``module.wasm.image/variant``: ``compat`` or ``compat-smart``; None for no annotation.
        compression: The compression of the layer: ``gzip``, ``zstd`` or ``none``.
        timestamp: The time of all its files, seconds since the epoch; None for ``SOURCE_DATE_EPOCH``, else 0.

    Raises:
        InvalidModule: The file isn't a module, or is damaged.
        ImageError: A file can't be read, or an argument is invalid.
    """
    if variant is not None and variant not in VARIANTS:
        raise ImageError(f"variant {variant!r}; expected one of {', '.join(VARIANTS)}")
    if not workdir.startswith("/"):
        raise ImageError(f"working directory {workdir!r}; expected an absolute guest path")
    checked = Module.read(module)
    time = source_date() if timestamp is None else timestamp
    place = Copy(module, destination or f"/{module.name}")
    path = "/" + "/".join(place.target)
    marks = {} if variant is None else {VARIANT: variant}
    with _scratch() as (scratch, writer):
        layer = _write_layer(scratch, writer, (*copies, place), compression, time)
        runtime: dict[str, Any] = {
            "Entrypoint": [path] if entrypoint is None else list(entrypoint),
            "Cmd": list(cmd),
            "Env": [f"{name}={value}" for name, value in (env or {}).items()],
            "WorkingDir": workdir,
            "User": user,
            "Labels": dict(labels or {}),
        }
        config = {
            **platform.to_dict(),
            "created": _date(time),
            "config": {key: value for key, value in runtime.items() if value},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
            "history": [{"created": _date(time), "created_by": f"wasmoci build {module.name}"}],
        }
        image = _finish(
            writer,
            {
                "config": _put(writer, dump(config), media.OCI_CONFIG).to_dict(),
                "layers": [layer.descriptor.to_dict()],
                "annotations": marks | dict(annotations or {}),
            },
        )
        yield BuiltImage(image, checked)


@contextlib.contextmanager
def build_artifact(
    module: Path, *, annotations: Mapping[str, str] | None = None, timestamp: int | None = None
) -> Iterator[BuiltImage]:
    """Build an artifact of the CNCF's Wasm OCI layout, whose only layer is the module itself.

    Args:
        module: The WebAssembly file, on the host; it is read and checked.
        annotations: The manifest's annotations.
        timestamp: Its time, seconds since the epoch; None for ``SOURCE_DATE_EPOCH``, else 0.

    Raises:
        InvalidModule: The file isn't a module, or is damaged.
        ImageError: It is in the text format, which artifacts don't support.
    """
    checked = Module.read(module)
    if checked.kind is ModuleKind.TEXT:
        raise ImageError(
            f"{module}: in the text format; expected binary WebAssembly", hint="Assemble it with wat2wasm."
        )
    time = source_date() if timestamp is None else timestamp
    with _scratch() as (_, writer):
        layer = _put(writer, checked.data, media.WASM_LAYER, annotations={_TITLE: module.name})
        component = checked.kind is ModuleKind.COMPONENT
        config: dict[str, Any] = {
            "created": _date(time),
            "architecture": "wasm",
            "os": "wasip2" if component else "wasip1",
            "layerDigests": [layer.digest],
        }
        if component:
            config["component"] = {
                "imports": [item.name for item in checked.imports],
                "exports": [item.name for item in checked.exports],
            }
        image = _finish(
            writer,
            {
                "config": _put(writer, dump(config), media.WASM_CONFIG).to_dict(),
                "layers": [layer.to_dict()],
                "annotations": dict(annotations or {}),
            },
        )
        yield BuiltImage(image, checked)


def source_date() -> int:
    """Return the time for files in an image: ``SOURCE_DATE_EPOCH``, else the epoch itself.

    Raises:
        ImageError: The variable isn't a number of seconds.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return 0
    if not text.isdigit() or int(text[:12]) >= _LATEST:
        raise ImageError(f"SOURCE_DATE_EPOCH is {text!r}; expected seconds since 1970, up to the year 2242")
    return int(text)


@contextlib.contextmanager
def _scratch() -> Iterator[tuple[Path, LayoutWriter]]:
    with temporary_directory("wasmoci-build-") as scratch:
        yield scratch, LayoutWriter(scratch / "image")


def _write_layer(
    scratch: Path, writer: LayoutWriter, copies: tuple[Copy, ...], compression: str, time: int
) -> WrittenLayer:
    partial = scratch / "layer"
    with partial.open("xb", CHUNK) as file:
        layer = write_layer(copies, file, compression=compression, timestamp=time)
    with contextlib.ExitStack() as stack:

        def open_at(offset: int) -> io.BufferedReader:
            file = stack.enter_context(partial.open("rb"))
            file.seek(offset)
            return file

        writer.put(layer.descriptor, open_at)
    partial.unlink()
    return layer


def _put(writer: LayoutWriter, data: bytes, media_type: str, **more: Any) -> Descriptor:
    descriptor = describe(data, media_type, **more)
    writer.put_bytes(data, descriptor)
    return descriptor


def _finish(writer: LayoutWriter, raw: Mapping[str, Any]) -> Image:
    data = dump({"schemaVersion": 2, "mediaType": media.OCI_MANIFEST, **{k: v for k, v in raw.items() if v}})
    return load_image(writer.blobs, (_put(writer, data, media.OCI_MANIFEST),))


def _date(time: int) -> str:
    return dt.datetime.fromtimestamp(time, dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

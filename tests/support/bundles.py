"""Writes OCI bundles, Wasm and native."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wasmoci.testing import bundle

if TYPE_CHECKING:
    from collections.abc import Mapping


def write_bundle(directory: Path, wasm: Path | bytes, **options: Any) -> Path:
    """Write a bundle, and return its directory; the arguments are those of :func:`wasmoci.testing.bundle`."""
    return bundle(directory, wasm, **options).path


def _bind(source: str | Path, destination: str | Path, *options: str | Path) -> dict[str, Any]:
    return {
        "destination": str(destination),
        "type": "bind",
        "source": str(source),
        "options": ["bind", *map(str, options)],
    }


def write_native_bundle(directory: Path, script: str, *, annotations: Mapping[str, str] | None = None) -> Path:
    """Write a bundle that runs a shell script with the host's own programs, and return its directory.

    Args:
        directory: The directory to create.
        script: The script.
        annotations: The annotations; none by default.
    """
    (directory / "rootfs").mkdir(parents=True)
    host = [path for path in ("/bin", "/lib", "/lib64", "/usr") if Path(path).exists()]
    document = {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/sh", "-c", script],
            "env": ["PATH=/usr/bin:/bin"],
            "cwd": "/",
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            *(_bind(path, path, "rbind", "ro") for path in host),
        ],
        "annotations": dict(annotations or {}),
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
    }
    (directory / "config.json").write_text(json.dumps(document), encoding="utf-8")
    return directory

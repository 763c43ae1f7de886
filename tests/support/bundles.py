"""Writes OCI bundles."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

WASM = {"run.oci.handler": "wasm"}


def write_bundle(
    directory: Path,
    wasm: Path | bytes,
    *,
    args: Sequence[str] = (),
    entry: str | None = None,
    program: str = "/app.wasm",
    env: Sequence[str] = (),
    cwd: str = "/",
    files: Mapping[str, str | bytes] | None = None,
    directories: Iterable[str] = (),
    symlinks: Mapping[str, str] | None = None,
    mounts: Iterable[dict[str, Any] | tuple[str | Path, ...]] = (),
    annotations: Mapping[str, str] | None = None,
    readonly: bool = False,
    memory: int | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write a bundle, and return its directory.

    Args:
        directory: Where; it is made.
        wasm: The program, a file or its bytes.
        args: The arguments after the program.
        entry: ``args[0]``; :paramref:`program` by default.
        program: The guest path that the program gets in the root file system.
        env: ``NAME=value`` strings.
        cwd: The working directory; it is made.
        files: Guest paths and contents; directories on the way are made.
        directories: Guest paths of directories to make.
        symlinks: Guest paths and where they lead.
        mounts: Mounts as in ``config.json``, or bind mounts as ``(host path, guest path, *options)``.
        annotations: ``run.oci.handler=wasm`` by default.
        readonly: ``root.readonly``.
        memory: ``linux.resources.memory.limit``, in bytes.
        extra: More members of the document, written over it.
    """
    rootfs = directory / "rootfs"
    rootfs.mkdir(parents=True)
    contents: dict[str, str | bytes] = dict(files or {})
    contents[program] = wasm if isinstance(wasm, bytes) else b""
    for path in (cwd, *directories):
        beneath(rootfs, path).mkdir(parents=True, exist_ok=True)
    for path, content in contents.items():
        target = beneath(rootfs, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
    if isinstance(wasm, Path):
        shutil.copyfile(wasm, beneath(rootfs, program))
    beneath(rootfs, program).chmod(0o755)
    for path, leads_to in (symlinks or {}).items():
        link = beneath(rootfs, path)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(leads_to)
    document: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": {"args": [entry or program, *args], "env": list(env), "cwd": cwd},
        "root": {"path": "rootfs", "readonly": readonly},
        "mounts": [mount if isinstance(mount, dict) else _bind(*mount) for mount in mounts],
        "annotations": dict(WASM if annotations is None else annotations),
    }
    if memory is not None:
        document["linux"] = {"resources": {"memory": {"limit": memory}}}
    document.update(extra or {})
    (directory / "config.json").write_text(json.dumps(document), encoding="utf-8")
    return directory


def beneath(rootfs: Path, path: str) -> Path:
    """The host path of a guest path."""
    return rootfs / path.lstrip("/")


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
        directory: Where; it is made.
        script: The script.
        annotations: None of them by default.
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

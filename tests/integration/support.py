"""What the tests of ``wasmoci config`` have in common."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wasmoci.integration import Request, install, plan

if TYPE_CHECKING:
    from wasmoci.integration.files import Installed

if sys.version_info >= (3, 11):
    import tomllib as toml
else:
    import tomli as toml

__all__ = ["RUNTIME", "apply", "file", "toml"]

RUNTIME = Path("/opt/wasmoci/bin/wasmoci-runtime")
FILES = {
    "podman": "etc/containers/containers.conf.d/50-wasmoci.conf",
    "containerd": "etc/containerd/config.toml",
    "cri-o": "etc/crio/crio.conf.d/50-wasmoci.conf",
    "docker": "etc/docker/daemon.json",
}


def file(root: Path, target: str, content: str | bytes | None = None) -> Path:
    """A target's configuration file below a root, with a content if one is given."""
    path = root / FILES[target]
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def apply(target: str, root: Path, **options: Any) -> Installed:
    """Configure a target below a root."""
    return install(plan(target, Request(**{"runtime": RUNTIME, "root": root, **options})))

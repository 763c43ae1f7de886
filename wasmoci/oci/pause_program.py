"""The program of a pod's sandbox that Podman makes: its spec has no annotation that says what it is.

A handler that is forced makes all containers Wasm, and a pod's sandbox can't be. An image must not get out of that by looking like
one: so the program has to be, byte for byte, the one that Podman itself has on this host, and to load nothing else.
"""

from __future__ import annotations

import os

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.oci.entrypoint import first_bytes

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal

    from wasmoci.oci.spec import Spec

_MANAGER = ("io.container.manager", "libpod")
_ARGS = ("/catatonit", "-P")
_ON_HOST = (
    "/usr/local/libexec/podman/catatonit",
    "/usr/local/lib/podman/catatonit",
    "/usr/libexec/podman/catatonit",
    "/usr/lib/podman/catatonit",
    "/usr/libexec/catatonit/catatonit",
    "/usr/bin/catatonit",
)
"""Where Podman looks for it."""

_LONGEST = 8 << 20  # bytes
_INTERPRETER = 3  # PT_INTERP
_ELF64 = b"\x7fELF\x02"


def is_podmans_pause(spec: Spec, rootfs: Path | None) -> bool:
    """Whether a spec runs Podman's own pause program, and nothing of an image's.

    Args:
        spec: The spec.
        rootfs: Its root file system, a host path; without it, it isn't known to be.
    """
    key, value = _MANAGER
    if rootfs is None or spec.process is None or spec.process.args != _ARGS or spec.annotations.get(key) != value:
        return False
    found = first_bytes(spec, rootfs, _LONGEST)
    return found is not None and _is_static(found) and any(found == _read(path) for path in _ON_HOST)


def _read(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, _LONGEST)
    finally:
        os.close(descriptor)


def _is_static(program: bytes) -> bool:
    """Whether an ELF program of 64 bits names no program that loads libraries for it, which could be an image's."""
    order: Literal["big", "little"] = "big" if program[5:6] == b"\2" else "little"

    def number(start: int, size: int) -> int:
        return int.from_bytes(program[start : start + size], order)

    headers, size, count = number(32, 8), number(54, 2), number(56, 2)
    kinds = {number(headers + index * size, 4) for index in range(count)}
    return program.startswith(_ELF64) and bool(count) and _INTERPRETER not in kinds

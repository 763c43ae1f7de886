"""The sandbox of a pod that Podman makes, under a forced handler."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from wasmoci.oci import pause_program
from wasmoci.oci.classification import Kind, classify
from wasmoci.oci.spec import Process, Root, Spec

if TYPE_CHECKING:
    from pathlib import Path

_LIBPOD = {"io.container.manager": "libpod"}


def elf(kind: int) -> bytes:
    """An ELF program with one header of a kind."""
    header = bytearray(b"\x7fELF\x02\x01" + bytes(58))
    header[32:40], header[54:56], header[56:58] = (
        (64).to_bytes(8, "little"),
        (56).to_bytes(2, "little"),
        (1).to_bytes(2, "little"),
    )
    return bytes(header) + kind.to_bytes(4, "little") + bytes(52)


STATIC, DYNAMIC = elf(1), elf(3)


def decide(
    tmp_path: Path, program: bytes, *, args: tuple[str, ...] = ("/catatonit", "-P"), manager: bool = True
) -> Kind:
    """Classify a container with a program, with a forced handler."""
    rootfs = tmp_path / "rootfs"
    rootfs.mkdir(exist_ok=True)
    (rootfs / "catatonit").write_bytes(program)
    spec = Spec(process=Process(args=args), root=Root(path=os.fspath(rootfs)), annotations=_LIBPOD if manager else {})
    return classify(spec, rootfs, forced="wasm").kind


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the host has the program."""
    path = tmp_path / "catatonit"
    monkeypatch.setattr(pause_program, "_ON_HOST", (str(tmp_path / "missing"), str(path)))
    path.write_bytes(STATIC)
    return path


@pytest.mark.usefixtures("host")
def test_podmans_own(tmp_path: Path) -> None:
    """The program that Podman has on the host is a sandbox's."""
    assert decide(tmp_path, STATIC) is Kind.NATIVE


@pytest.mark.usefixtures("host")
def test_what_looks_like_it(tmp_path: Path) -> None:
    """An image's own program isn't, nor other arguments, nor another engine's container."""
    assert decide(tmp_path, STATIC + b"\0") is Kind.WASM
    assert decide(tmp_path, STATIC, args=("/catatonit", "-P", "x")) is Kind.WASM
    assert decide(tmp_path, STATIC, manager=False) is Kind.WASM


def test_what_loads_libraries(tmp_path: Path, host: Path) -> None:
    """A program that is linked dynamically would load the image's libraries."""
    host.write_bytes(DYNAMIC)
    assert decide(tmp_path, DYNAMIC) is Kind.WASM

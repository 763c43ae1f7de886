"""An init in front of a program is stepped over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wasmoci.oci.classification import Kind, classify
from wasmoci.oci.entrypoint import Entrypoint
from wasmoci.oci.init_program import stepped_over
from wasmoci.oci.spec import Process, Spec

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["/run/podman-init", "--", "/app.wasm", "-x"], ["/app.wasm", "-x"]),
        (["/dev/init", "--", "/app.wasm"], ["/app.wasm"]),
        (["/sbin/docker-init", "--", "/app.wasm", "--"], ["/app.wasm", "--"]),
        (["/usr/bin/catatonit", "-g", "app.wasm", "-g"], ["app.wasm", "-g"]),
        (["tini", "-s", "-e", "143", "-p", "SIGTERM", "--", "app.wasm"], ["app.wasm"]),
        (["/sbin/tini", "app.wasm"], ["app.wasm"]),
        (["dumb-init", "--rewrite", "15:2", "-c", "app.wasm", "a"], ["app.wasm", "a"]),
        (["dumb-init", "--rewrite=15:2", "app.wasm"], ["app.wasm"]),
        (["/dev/init", "--", "tini", "--", "app.wasm"], ["app.wasm"]),
        (["/tini"], ["/tini"]),
        (["/tini", "-v", "--"], ["/tini", "-v", "--"]),
        (["/init", "app.wasm"], ["/init", "app.wasm"]),
        (["/tini.wasm", "app.wasm"], ["/tini.wasm", "app.wasm"]),
        ([], []),
    ],
)
def test_stepped_over(args: list[str], expected: list[str]) -> None:
    """Its options are its own; an init with nothing behind it is the program."""
    assert stepped_over(args) == tuple(expected)


def test_the_decision(tmp_path: Path) -> None:
    """The program behind it decides what the container is, and is what runs."""
    (tmp_path / "app").write_bytes(b"\0asm\1\0\0\0")
    (tmp_path / "native").write_bytes(b"\x7fELF")
    for program, kind in (("/app", Kind.WASM), ("/native", Kind.NATIVE), ("/x.wasm", Kind.WASM)):
        process = Process(args=("/run/podman-init", "--", program, "x"))
        spec = Spec(process=process, annotations={"module.wasm.image/variant": "compat-smart"})
        assert classify(spec, tmp_path).kind is kind
        assert Entrypoint.of(spec).argv == (program, "x")

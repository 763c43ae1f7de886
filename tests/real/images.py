"""The images of the tests, built by Buildah: a module or a native program, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.real.programs import program
from tests.support.guests import build

if TYPE_CHECKING:
    from tests.real.podman import Podman

WASM = "localhost/guests:1"
NATIVE = "localhost/busybox:1"
PAUSE = "localhost/pause:1"
ALL = (WASM, NATIVE, PAUSE)

VARIANT = {"module.wasm.image/variant": "compat-smart"}
GUESTS = ("show", "exit", "trap", "cat", "files", "sleep", "loop", "serve", "allocate", "escape", "hello")
PAUSING = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n"


def build_all(podman: Podman) -> None:
    """Build the images: all guests in one, annotated for a program that is named; busybox; the pod's sandbox."""
    guests = {f"/{name}.wasm": build(name) for name in GUESTS}
    here = podman.directory / "files"
    here.mkdir()
    for name, text in (
        ("broken.wasm", b"\0asm\1\0\0\0\x99"),
        ("text.wasm", b"hello"),
        ("data.txt", b"from the image\n"),
    ):
        (here / name).write_bytes(text)
    own = {f"/data/{path.name}": path for path in here.iterdir()}
    shutil.copy(guests["/cat.wasm"], podman.directory / "cat.wasm")
    foreign = {"/foreign.wasm": build("foreign")}
    busybox = {"/bin/busybox": Path(program("busybox", "busybox-static"))}
    podman.build(
        WASM, {**guests, **foreign, **own, **busybox}, '--cmd=["/hello.wasm"]', "--env=FROM=image", annotations=VARIANT
    )
    podman.build(
        NATIVE,
        {f"/bin/{name}": busybox["/bin/busybox"] for name in ("busybox", "sh", "cat", "sleep", "echo", "id")},
        '--cmd=["/bin/sh"]',
        "--env=PATH=/bin",
    )
    podman.build(PAUSE, {"/pause": _pause(podman.directory)}, '--entrypoint=["/pause"]')


def _pause(directory: Path) -> Path:
    source = directory / "pause.c"
    source.write_text(PAUSING)
    subprocess.run([program("gcc"), "-static", "-O1", "-o", str(directory / "pause"), str(source)], check=True)
    return directory / "pause"

"""Creates bundles of a hello, in Wasm and native, and the commands that run them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import measure
from tests.runtime.containers import HYBRID, ONE_HIERARCHY
from tests.support.guests import build

if TYPE_CHECKING:
    from collections.abc import Callable

NATIVE = ("runc", "crun")
RUNTIME = Path(sys.executable).with_name("wasmoci-runtime")
HELLO = '#include <stdio.h>\nint main(void) { puts("Hello, World!"); return 0; }\n'


def write_bundle(directory: Path, program: str, annotations: dict[str, str] | None = None, *args: str) -> Path:
    """Write a bundle around a program that is in its root, complete enough for a native runtime."""
    for name in ("proc", "dev"):
        (directory / "rootfs" / name).mkdir(parents=True, exist_ok=True)
    mounts = [{"destination": "/proc", "type": "proc", "source": "proc"}]
    if not annotations:
        # Containers that share a root get separate /dev directories, as the runtimes create files there.
        mounts.append({"destination": "/dev", "type": "tmpfs", "source": "tmpfs"})
    document: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": [program, *args], "cwd": "/", "env": ["PATH=/"]},
        "root": {"path": "rootfs", "readonly": True},
        "mounts": mounts,
        "annotations": annotations or {},
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
    }
    (directory / "config.json").write_text(json.dumps(document), encoding="utf-8")
    return directory


def wasm_bundle(directory: Path, guest: str | Path = "hello", *args: str) -> Path:
    """Make a bundle of a guest, given by the name of one of the tests' guests or as a module's file."""
    (directory / "rootfs").mkdir(parents=True)
    wasm = guest if isinstance(guest, Path) else build(guest)
    shutil.copyfile(wasm, directory / "rootfs" / "app.wasm")
    return write_bundle(directory, "/app.wasm", {"run.oci.handler": "wasm"}, *args)


def native_bundle(directory: Path) -> Path:
    """Make a bundle of a static program that prints the same line as the guest ``hello``."""
    (directory / "rootfs").mkdir(parents=True)
    source = directory / "hello.c"
    source.write_text(HELLO)
    subprocess.run(["cc", "-O2", "-static", "-o", directory / "rootfs/app", source], check=True)
    return write_bundle(directory, "/app")


def native(name: str, *arguments: str | Path) -> list[str]:
    """Return the command line of a native runtime."""
    return [*(ONE_HIERARCHY if name == "crun" and HYBRID else []), name, *map(str, arguments)]


def ours(name: str, *arguments: str | Path) -> list[str]:
    """Return the command line of ``wasmoci-runtime`` over a native runtime."""
    prefix = ONE_HIERARCHY if name == "crun" and HYBRID else []
    return [*prefix, str(RUNTIME), "--native-runtime", name, *map(str, arguments)]


def runs(command: list[str], bundle: Path, *, succeeds: bool = True) -> Callable[[], None]:
    """Return a function that runs a bundle as a new container, by a runtime's command line; see :func:`measure.command`."""
    # The container's name contains the shell's process id, because it has to be unique.
    script = 'exec "$@" run --bundle "$0" "wasmoci-bench-$$"'
    return measure.command("sh", "-c", script, bundle, *command, succeeds=succeeds)


def crun_with_engine(bundle: Path, expected: bytes) -> Callable[[], None] | None:
    """Return a function that runs a Wasm bundle in a crun with wasmtime, which compiles each time; None without such a crun.

    Args:
        bundle: The bundle.
        expected: The guest's known output: crun always fails when a guest calls exit.
    """
    if shutil.which("crun") is None or os.geteuid() != 0:
        return None
    version = subprocess.run(["crun", "--version"], capture_output=True, text=True, check=False).stdout
    if "+WASM:wasmtime" not in version:
        return None
    command = [*native("crun", "run", "--bundle", bundle), f"wasmoci-bench-{os.getpid()}"]
    if subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).stdout != expected:
        return None
    return runs(native("crun"), bundle, succeeds=False)


def usable_natives(bundle: Path) -> list[str]:
    """Return the native runtimes that can run a bundle here."""
    return [name for name in NATIVE if measure.works(runs(native(name), bundle))] if os.geteuid() == 0 else []

"""An engine handler that does what native code would that has taken over its engine. A worker process imports it from here."""

# ruff: noqa: ARG002  what an act does its name says

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

from wasmoci import compiled
from wasmoci.handlers.capabilities import Capability
from wasmoci.isolation import messages
from wasmoci.limits import Limits
from wasmoci.result import ExecutionResult, ExitReason
from wasmoci.stdio import Stdio

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wasmoci.oci.spec import Spec
    from wasmoci.wasm.module import Module

INHERIT = Stdio.inherit()
NO_LIMITS = Limits()
GROWS_DOWN = 0x100  # MAP_GROWSDOWN
_MIB = 1 << 20
_libc = ctypes.CDLL(None, use_errno=True)


class Takeover:
    """An engine that isn't a sandbox."""

    name = "takeover"
    capabilities = frozenset(
        {Capability.WASI_PREVIEW1, Capability.LIVE_FILES, Capability.READ_ONLY, Capability.FILE_MOUNTS, Capability.TEXT}
    )

    def preload(self) -> None:
        """Everything is loaded."""

    def validate(self, module: Module) -> None:
        """Take every module."""

    def precompile(self, module: Module, limits: Limits = NO_LIMITS) -> Path | None:
        """Make something of this module and of another one, whose digest is in its text."""
        for digest in (module.digest, module.data.split()[-1].decode()):
            key = compiled.Key(digest, self.name, "1", "")
            compiled.fetch(key, make=lambda: b"made", dump=bytes, load=lambda _: None)
        return None

    def execute(
        self, spec: Spec, rootfs: Path, *, stdio: Stdio = INHERIT, limits: Limits = NO_LIMITS
    ) -> ExecutionResult:
        """Do what the first argument says, and tell of it as the message of a guest that exits with 1."""
        assert spec.process is not None
        act, *arguments = spec.process.args
        told = json.dumps(getattr(self, act)(*arguments))
        return ExecutionResult(exit_code=1, reason=ExitReason.EXITED, engine=self.name, duration=0.0, message=told)

    def leave_by_input(self) -> dict[str, Any]:
        """Use the standard input as a directory from which a path leads anywhere."""
        up = "../" * 20
        return {
            "list": outcome(lambda: os.listdir(0)),
            "stat": outcome(lambda: bool(os.stat("victim", dir_fd=0))),
            "stat of another": outcome(lambda: bool(os.stat(f"{up}etc/passwd", dir_fd=0))),
            "times": outcome(lambda: os.utime("victim", (1, 1), dir_fd=0)),
            "read": outcome(lambda: bool(os.open("victim", os.O_RDONLY, dir_fd=0))),
        }

    def look_beneath(self, *paths: str) -> dict[str, Any]:
        """Read and write what is hidden by a mount."""
        return {path: [outcome(lambda at=path: bool(_read(at))), outcome(lambda at=path: _write(at))] for path in paths}

    def hold(self, way: str, size: str) -> str:
        """Have so many MiB of memory."""
        count = int(size)
        if way == "file":
            descriptor = os.memfd_create("memory")
            return outcome(lambda: [os.write(descriptor, b"x" * _MIB) for _ in range(count)] and "held")
        if way == "input":
            return outcome(lambda: [os.write(0, b"x" * _MIB) for _ in range(count)] and "held")
        flags = {"shared": mmap.MAP_SHARED, "stack": mmap.MAP_PRIVATE | GROWS_DOWN}[way] | mmap.MAP_ANONYMOUS
        return outcome(lambda: "held" if mmap.mmap(-1, count * _MIB, flags=flags) else "")

    def bounds(self) -> dict[str, int]:
        """What the kernel gives this process at most."""
        return {name: resource.getrlimit(getattr(resource, name))[1] for name in ("RLIMIT_NPROC", "RLIMIT_AS")}

    def say(self, message: str) -> None:
        """Give the caller an answer by native means, and end."""
        self._send(messages.encode(json.loads(message)))

    def say_much(self) -> None:
        """Give it one that takes thirty times its size of memory."""
        count = 20 * _MIB
        body = b'{"event":"x","a":[' + b"{}," * count + b"{}]}"
        self._send(struct.pack("<I", len(body)) + body)

    def stay(self) -> None:
        """Never end, and say who this is."""
        os.write(1, f"{os.getpid()}\n".encode())
        while True:
            time.sleep(1)

    def _send(self, data: bytes) -> None:
        for descriptor in range(3, 4096):
            try:
                channel = socket.socket(fileno=os.dup(descriptor))
            except OSError:
                continue
            channel.sendall(data)
            os._exit(0)


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    return os.read(descriptor, 100)


def _write(path: str) -> int:
    return os.write(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), b"written")


def outcome(attack: Callable[[], object]) -> Any:
    """What becomes of an attack: its result, or the name of the errno."""
    try:
        return attack()
    except OSError as error:
        return errno.errorcode[error.errno or 0]

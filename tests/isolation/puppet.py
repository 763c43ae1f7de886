"""Engine handlers that do what their guest's ``args[0]`` says, good or bad. A worker process imports them from here."""

# ruff: noqa: ARG002, D102  a puppet needs little of what it is given; an act's name says what it does

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import InvalidModule, UnsupportedModule
from wasmoci.handlers.capabilities import Capability
from wasmoci.isolation import messages
from wasmoci.limits import Limits
from wasmoci.result import ExecutionResult, ExitReason
from wasmoci.stdio import Stdio

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.oci.spec import Spec
    from wasmoci.wasm.module import Module


INHERIT = Stdio.inherit()
NO_LIMITS = Limits()


class Puppet:
    """Keeps the contract of a handler, without its base class; holds no limit."""

    name = "puppet"
    capabilities = frozenset({Capability.WASI_PREVIEW1, Capability.LIVE_FILES, Capability.SANDBOXED})

    def validate(self, module: Module) -> None:
        """Take every module."""

    def execute(
        self, spec: Spec, rootfs: Path, *, stdio: Stdio = INHERIT, limits: Limits = NO_LIMITS
    ) -> ExecutionResult:
        """Do what the first argument says."""
        assert spec.process is not None
        act, *args = spec.process.args
        with stdio.open() as streams:
            self.stdin, self.write, self.complain = streams.stdin, streams.stdout.write, streams.stderr.write
            self.limits = limits
            result = getattr(self, act)(*args)
            if not isinstance(result, int):
                return result  # type: ignore[no-any-return]
            return attrs.evolve(
                _result(result),
                stdout=streams.stdout.captured,
                stderr=streams.stderr.captured,
                stdout_truncated=streams.stdout.truncated,
                stderr_truncated=streams.stderr.truncated,
            )

    def exits(self, code: str) -> int:
        return int(code)

    def echoes(self) -> int:
        while chunk := os.read(self.stdin, 1 << 16):
            self.write(chunk)
        return 0

    def speaks(self, out: str, err: str) -> int:
        self.write(out.encode())
        self.complain(err.encode())
        return 0

    def spams(self, count: str) -> int:
        for _ in range(int(count)):
            self.write(b"x" * 65536)
            self.complain(b"y" * 65536)
        return 0

    def spams_for_ever(self) -> int:
        while True:
            self.write(b"x" * 65536)

    def hangs(self) -> int:
        self.write(b"before")
        while True:
            time.sleep(60)

    def loops(self) -> int:
        while True:
            pass

    def traps(self) -> ExecutionResult:
        return attrs.evolve(
            _result(134), reason=ExitReason.TRAPPED, message="unreachable", backtrace=("inner", "outer")
        )

    def returns_nothing(self) -> None:
        return None

    def returns_bytes(self) -> ExecutionResult:
        return attrs.evolve(_result(0), message=b"bytes")  # type: ignore[arg-type]

    def segfaults(self) -> int:
        self.complain(b"about to crash\n")
        ctypes.string_at(0)
        return 0

    def aborts(self) -> int:
        os.abort()

    def leaves(self, status: str) -> int:
        os._exit(int(status))

    def exits_python(self) -> int:
        sys.exit(3)

    def raises(self) -> int:
        raise ZeroDivisionError("one too many")

    def interrupted(self) -> int:
        raise KeyboardInterrupt

    def refuses(self) -> int:
        raise UnsupportedModule("app.wasm: needs simd", hint="take another engine")

    def finds_damage(self) -> int:
        raise InvalidModule("truncated", source="app.wasm", offset=17)

    def signals(self, number: str) -> int:
        os.kill(os.getpid(), int(number))
        time.sleep(60)
        return 0

    def tells_surroundings(self) -> int:
        """Say what a process inherits: the environment, the working directory, and the process that has started it."""
        found = {"environ": dict(os.environ), "cwd": str(Path.cwd()), "parent": os.getppid(), "argv": len(sys.argv)}
        self.write(json.dumps(found).encode())
        return 0

    def tells_descriptors(self) -> int:
        self.write(json.dumps(sorted(entry.name for entry in Path("/proc/self/fd").iterdir())).encode())
        return 0

    def tells_pid(self) -> int:
        self.write(f"{os.getpid()}\n".encode())
        time.sleep(60)
        return 0

    def leaves_child(self) -> int:
        """Leave a process behind that holds the streams open."""
        child = subprocess.Popen(["sleep", "600"])
        self.write(f"{child.pid}\n".encode())
        os._exit(0)

    def hides_behind_child(self) -> int:
        """Hang, with a child that holds the streams open."""
        child = subprocess.Popen(["sleep", "600"])
        self.write(f"{child.pid}\n".encode())
        time.sleep(60)
        return 0

    def sends(self, text: str) -> int:
        """Put bytes, given in hexadecimal, on the channel to the caller."""
        _channel().sendall(bytes.fromhex(text))
        time.sleep(60)
        return 0

    def restarts_its_clock(self) -> int:
        channel = _channel()
        while True:
            channel.sendall(messages.encode({"event": "started"}))
            time.sleep(0.02)

    def hangs_up(self) -> int:
        _channel().close()
        time.sleep(60)
        return 0

    def stays_after_answer(self) -> int:
        _channel().sendall(messages.encode(messages.result_message(_result(5))))
        signal.pause()
        return 0

    def allocates(self, end: str) -> object:
        """Take memory without end, and end so when there is no more."""
        held = []
        try:
            while True:
                held.append(b"\1" * (1 << 20))
        except MemoryError:
            taken = len(held)
            time.sleep(0.05)  # a guest isn't over the moment it is refused
            held.clear()
            return _ENDS[end](self, taken)

    def asks_too_much(self) -> int:
        return len(b"\1" * (8 << 30))

    def takes(self, mebibytes: str) -> int:
        return len(bytes(int(mebibytes) << 20)) % 256

    def has_no_memory(self) -> int:
        raise MemoryError


class Guarded(Puppet):
    """Says that it can hold every limit in the caller's process, and reports what it was given."""

    name = "guarded"
    capabilities = Puppet.capabilities | {Capability.TIME_LIMIT, Capability.MEMORY_LIMIT, Capability.FUEL}
    interruptible = True

    def interrupts(self, module: Module, stdio: Stdio) -> bool:
        """Whatever the class says."""
        return self.interruptible

    def tells_limits(self) -> int:
        self.write(json.dumps(attrs.asdict(self.limits)).encode())
        return 0


class Blocking(Guarded):
    """Could be interrupted, but not with this module and these streams."""

    name = "blocking"
    interruptible = False


def _result(code: int) -> ExecutionResult:
    return ExecutionResult(exit_code=code, reason=ExitReason.EXITED, engine="puppet")


def _channel() -> socket.socket:
    """The socket that the worker answers on, found as a hostile engine would."""
    return socket.socket(fileno=int(sys.argv[1]))


_ENDS: dict[str, Callable[[Puppet, int], object]] = {
    "trap": lambda puppet, _: puppet.traps(),
    "abort": lambda puppet, _: puppet.aborts(),
    "segfault": lambda puppet, _: puppet.segfaults(),
    "exit": lambda _, taken: 3 if taken else 4,
    "tell": lambda puppet, taken: puppet.write(str(taken).encode()) or 0,
    "raise": lambda puppet, _: puppet.raises(),
}


class Outer:
    """A class around a handler's."""

    class Inner(Puppet):
        """A handler's class inside of another class."""

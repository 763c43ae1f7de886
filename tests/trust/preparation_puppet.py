"""Engine handlers that validate as they are told by the name of the module. A worker process imports them from here."""

# ruff: noqa: D102  a puppet's acts say by their names what they do

from __future__ import annotations

import ctypes
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from wasmoci import compiled
from wasmoci.errors import InvalidModule, UnsupportedModule
from wasmoci.handlers.capabilities import Capability
from wasmoci.limits import Limits

if TYPE_CHECKING:
    from wasmoci.wasm.module import Module

NO_LIMITS = Limits()


class Untrusted:
    """An engine that isn't a sandbox."""

    name = "untrusted"
    capabilities = frozenset({Capability.WASI_PREVIEW1, Capability.LIVE_FILES})

    def validate(self, module: Module) -> None:
        """Do what the module's name says."""
        act, _, argument = module.source.partition(" ")
        getattr(self, act)(argument)

    def precompile(self, module: Module, limits: Limits = NO_LIMITS) -> Path | None:
        """Make something of it, that tells of the limits."""
        self.validate(module)
        key = compiled.Key(module.digest, self.name, "1", "")
        compiled.fetch(key, make=lambda: str(limits.memory).encode(), dump=bytes, load=lambda _: None)
        return compiled.locate(key)

    def accepts(self, _: str) -> None:
        """Take the module."""

    def prints(self, _: str) -> None:
        """Write to the streams, as an engine may."""
        os.write(1, b"nobody reads it")
        os.write(2, b"nobody reads it")

    def refuses(self, _: str) -> None:
        raise UnsupportedModule("app.wasm: needs simd", hint="take another engine")

    def finds_damage(self, _: str) -> None:
        raise InvalidModule("truncated", source="app.wasm", offset=17)

    def fails(self, _: str) -> None:
        raise ZeroDivisionError("one too many")

    def segfaults(self, _: str) -> None:
        ctypes.string_at(0)

    def dies(self, number: str) -> None:
        os.kill(os.getpid(), int(number))
        signal.pause()

    def leaves(self, status: str) -> None:
        os._exit(int(status))

    def hangs(self, file: str) -> None:
        """Compute for ever, in C as well, where no signal handler of Python's gets a turn."""
        Path(file).write_text(str(os.getpid()), encoding="ascii")
        threading.Thread(target=_spin, daemon=True).start()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(3600)

    def spins(self, _: str) -> None:
        """Compute for ever."""
        _spin()

    def allocates(self, _: str) -> None:
        held = [b"\1" * (1 << 20)]
        while True:
            held.append(b"\1" * (1 << 20))

    def leaves_file(self, file: str) -> None:
        """Write more to the disk than is good."""
        with Path(file).open("wb") as stream:
            while True:
                stream.write(bytes(1 << 20))

    def tells(self, _: str) -> None:
        """Say what this process has, in an error: in the jail there is no other way out."""
        raise UnsupportedModule(json.dumps({"environment": dict(os.environ), "pid": os.getpid()}))


class Trusted(Untrusted):
    """An engine that is a sandbox."""

    name = "trusted"
    capabilities = Untrusted.capabilities | {Capability.SANDBOXED}


class Poisoner(Untrusted):
    """An engine that was taken over, and would have another module's code kept."""

    name = "poisoner"

    def precompile(self, module: Module, limits: Limits = NO_LIMITS) -> Path | None:
        """Make something of another module."""
        del limits
        other, engine = module.source.split()
        compiled.fetch(compiled.Key(other, engine, "1", ""), make=lambda: b"x", dump=bytes, load=lambda _: None)
        return None


def _spin() -> None:
    while True:
        pass

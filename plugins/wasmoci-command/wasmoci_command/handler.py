"""The base class of handlers for engines that are programs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from wasmoci.errors import EngineCrashed, UnsupportedWorkload
from wasmoci.handlers import wasi_host
from wasmoci.handlers.base import BaseHandler, Outcome
from wasmoci.handlers.capabilities import Capability
from wasmoci.handlers.preopens import preopens
from wasmoci.host.temporary_directory import guest_temporary_directory
from wasmoci.isolation import descriptor_limit
from wasmoci.isolation.output_copier import OutputCopier
from wasmoci.result import ExitReason
from wasmoci.wasm.module import FuncType
from wasmoci_command.output import Report

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.handlers.base import Workload
    from wasmoci.oci.entrypoint import Entrypoint
    from wasmoci.oci.filesystem import GuestFiles
    from wasmoci.stdio import Stdio
    from wasmoci.wasm.module import Module
    from wasmoci_command.program import Found, Program

_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}
_OF_OURS = ("PATH", "HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR", "LD_LIBRARY_PATH")
_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl


@attrs.frozen(kw_only=True)
class Call:
    """The arguments of one run.

    Args:
        program: The program.
        module: The host path of the module, in the program's own working directory; no guest can know it.
        workload: The workload.
        directories: The guest path and the host path of each directory that is preopened, in order.
    """

    program: Found
    module: Path
    workload: Workload
    directories: tuple[tuple[str, str], ...]

    @property
    def function(self) -> str | None:
        """The function to call, where it isn't ``_start``."""
        function = self.workload.entrypoint.function
        return None if function == "_start" else function

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment, as ``NAME=value``."""
        return tuple(f"{name}={value}" for name, value in self.workload.entrypoint.env)


@attrs.frozen(kw_only=True)
class Ending:
    """The end of a program that has not been killed.

    Args:
        status: Its exit status.
        words: Its own messages on the standard error; where they can't be told from the guest's output, the end of both.
        output: The end of its standard output.
        directory: Its working directory, with what it left there.
        workload: The workload.
    """

    status: int
    words: str
    output: str
    directory: Path
    workload: Workload


class CommandHandler(BaseHandler):
    """Runs core modules with a program, which is killed when the time limit is over.

    Attributes:
        program: The program.
        reads_output: Whether :meth:`outcome` needs the standard output. If it doesn't, the program inherits a
            descriptor of the caller's directly, so that its guest gets an error when nobody reads from it any more.
    """

    program: ClassVar[Program]
    reads_output: ClassVar[bool] = True
    # The engines validate every module, and are maintained.
    capabilities = frozenset(
        {Capability.WASI_PREVIEW1, Capability.LIVE_FILES, Capability.TIME_LIMIT, Capability.SANDBOXED}
    )
    starts_processes = True

    def __init__(self) -> None:
        self.found = self.program.find()

    @property
    def engine_version(self) -> str:
        """The program and its version."""
        return f"{self.program.name} {self.found.version}"

    @abstractmethod
    def command(self, call: Call) -> list[str]:
        """Return the whole command line of a run, including the program."""

    @abstractmethod
    def outcome(self, ending: Ending) -> Outcome:
        """Return the outcome for a program's exit status and its messages."""

    def mark(self, call: Call) -> bytes | None:  # noqa: ARG002  for those that have one
        """Return the beginning of the program's own messages on its standard error, if known; see :class:`Report`."""
        return None

    def data(self, workload: Workload) -> bytes:
        """Return the content of the file that the program runs, by default the module."""
        return workload.module.data

    def provides(self, module: str, name: str) -> bool:
        """Return what the program provides: WASI preview 1."""
        return wasi_host.provides(module, name) and module == "wasi_snapshot_preview1"

    def validate(self, module: Module) -> None:
        """See :meth:`wasmoci.handlers.base.EngineHandler.validate`."""
        super().validate(module)
        wasi_host.check_signatures(module)
        wasi_host.check_memories(module)

    def interrupts(self, module: Module, stdio: Stdio) -> bool:  # noqa: ARG002  whatever it does
        """Return True: a program can be killed, whatever its guest does."""
        return True

    def check(self, module: Module, entrypoint: Entrypoint, files: GuestFiles) -> None:
        """See :class:`BaseHandler`; refuses as well what the command line can't express."""
        super().check(module, entrypoint, files)
        read_only = [mount.destination for mount in files.mounts if mount.read_only]
        if files.read_only:
            read_only.insert(0, "/")
        if read_only:
            raise UnsupportedWorkload(
                f"{self.name} can't give a guest a read-only directory, as requested at {', '.join(read_only)}"
            )
        self._check_named(module, entrypoint)

    def _check_named(self, module: Module, entrypoint: Entrypoint) -> None:
        """Refuse a named function with arguments, which programs pass to the function, or with a result, which they print."""
        export = module.export(entrypoint.function or "_start")
        if entrypoint.function in (None, "_start") or export is None:
            return
        if len(entrypoint.argv) > 1:
            raise UnsupportedWorkload(f"{self.name} can't call {entrypoint.function!r} in a guest that has arguments")
        if isinstance(export.type, FuncType) and export.type.results:
            raise UnsupportedWorkload(f"{self.name} would print what {entrypoint.function!r} returns")

    def run(self, workload: Workload) -> Outcome:
        """See :class:`BaseHandler`."""
        with (
            guest_temporary_directory("wasmoci-command-") as scratch,
            preopens(workload.files, by_name=True) as opened,
            contextlib.ExitStack() as stack,
        ):
            module = scratch / f"{os.path.basename(workload.entrypoint.program)}"  # noqa: PTH119  a guest path
            module.write_bytes(self.data(workload))
            directories = tuple((preopen.guest, _on_a_command_line(preopen.host, stack)) for preopen in opened)
            return self._serve(Call(program=self.found, module=module, workload=workload, directories=directories))

    def _serve(self, call: Call) -> Outcome:
        workload = call.workload
        limit = workload.limits.time
        errors = Report(workload.streams.stderr, self.mark(call))
        is_one = workload.streams.stdout is workload.streams.stderr
        output = errors if is_one else Report(workload.streams.stdout, None)
        with OutputCopier() as copier:
            # One target for both is one pipe, so that the order of the writes is kept.
            stderr = copier.output(errors.sink)
            read = output.sink if self.reads_output else workload.streams.stdout
            stdout = stderr if is_one else copier.output(read)
            process = subprocess.Popen(  # noqa: S603  the engine; the function is one call of the system
                self.command(call),
                stdin=workload.streams.stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=call.module.parent,
                env={name: os.environ[name] for name in _OF_OURS if name in os.environ},
                preexec_fn=_prepare,  # noqa: PLW1509  calls of the system alone, looked up before
            )
            try:
                workload.started()
                began = time.monotonic()
                copier.release_child_ends()
                copier.stop_at_end_of(process)
                in_time = copier.serve(lambda: None if limit is None else began + limit)
            finally:
                process.kill()
                status = process.wait()
            copier.drain()
        errors.finish()
        if not in_time:
            return Outcome.timed_out(limit)
        if status < 0:
            return self._signaled(-status, _text(errors.words))
        return self.outcome(
            Ending(
                status=status,
                words=_text(errors.words),
                output=_text(output.words),
                directory=call.module.parent,
                workload=workload,
            )
        )

    def _signaled(self, number: int, words: str) -> Outcome:
        name = signal.Signals(number).name
        if number in _FAULTS:
            raise EngineCrashed(f"{self.name} crashed with {name} while it ran the guest", signal=number, stderr=words)
        return Outcome(reason=ExitReason.SIGNALED, exit_code=128 + number, message=f"its process was stopped by {name}")


def _on_a_command_line(path: bytes, stack: contextlib.ExitStack) -> str:
    """Return a host path for another process; one that isn't UTF-8 by a descriptor, which is open as long as the stack."""
    try:
        text = path.decode()
    except UnicodeDecodeError:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        stack.callback(os.close, descriptor)
        text = f"/proc/self/fd/{descriptor}"
    return text.replace("/proc/self/", f"/proc/{os.getpid()}/", 1)


def _prepare() -> None:
    """Make the process end with this one, and limit its descriptors to those of a guest."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    descriptor_limit.bound()


def _text(data: Any) -> str:
    return bytes(data).decode("utf-8", "replace")

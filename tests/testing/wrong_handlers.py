# ruff: noqa: D101, D102  the names say what is wrong
"""Handlers that break the contract, each in one way. Run by :mod:`tests.testing.test_conformance`, a class of the kit for each."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import select
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import attrs

from tests.testing.caught import CAUGHT
from wasmoci.errors import EngineError
from wasmoci.handlers.wasmtime import WasmtimeHandler
from wasmoci.limits import Limits
from wasmoci.result import ExecutionResult, ExitReason
from wasmoci.stdio import Capture, Stdio, Stream
from wasmoci.testing import HandlerConformance
from wasmoci.wasi import kernel_filesystems
from wasmoci.wasi.descriptors import Table
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from wasmoci.oci.spec import Spec

NOTHING = Limits()
INHERIT = Stdio.inherit()
right = WasmtimeHandler()


class Wrong(WasmtimeHandler):
    """Runs everything rightly, but for what a subclass changes on the way."""

    def execute(self, spec: Spec, rootfs: Path, *, stdio: Stdio = INHERIT, limits: Limits = NOTHING) -> ExecutionResult:
        """Ask, and answer."""
        return self.answered(right.execute(self.asked(spec), rootfs, stdio=stdio, limits=limits))

    def asked(self, spec: Spec) -> Spec:
        """The spec as it is passed on."""
        return spec

    def answered(self, result: ExecutionResult) -> ExecutionResult:
        """The result as it is passed on."""
        return result


def changed_process(spec: Spec, **changes: Any) -> Spec:
    """A spec with another process."""
    assert spec.process is not None
    return attrs.evolve(spec, process=attrs.evolve(spec.process, **changes))


class ExitCodeLost(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        lost = result.reason is ExitReason.EXITED and 0 < result.exit_code < 256
        return attrs.evolve(result, exit_code=1) if lost else result


class ExitCodeCut(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        return attrs.evolve(result, exit_code=result.exit_code & 0xFF)


class EnvironmentTrimmed(Wrong):
    def asked(self, spec: Spec) -> Spec:
        return changed_process(spec, env=[variable.strip() for variable in spec.process.env])  # type: ignore[union-attr]


class EmptyArgumentsDropped(Wrong):
    def asked(self, spec: Spec) -> Spec:
        return changed_process(spec, args=tuple(arg for arg in spec.process.args if arg))  # type: ignore[union-attr]


class PreopenTooWide(Wrong):
    def asked(self, spec: Spec) -> Spec:
        from wasmoci.oci.spec import Mount  # noqa: PLC0415

        return attrs.evolve(
            spec, mounts=(*spec.mounts, Mount(destination="/host", source=tempfile.gettempdir(), type="bind"))
        )


class ReadOnlyRootIgnored(Wrong):
    def asked(self, spec: Spec) -> Spec:
        assert spec.root is not None
        return attrs.evolve(spec, root=attrs.evolve(spec.root, readonly=False))


class ReadOnlyMountIgnored(Wrong):
    def asked(self, spec: Spec) -> Spec:
        return attrs.evolve(
            spec, mounts=tuple(attrs.evolve(m, options=tuple(o for o in m.options if o != "ro")) for m in spec.mounts)
        )


class DescriptorsUnbounded(Wrong):
    def execute(self, *args: Any, **options: Any) -> ExecutionResult:
        with (
            mock.patch.object(Table, "check_room"),
            mock.patch.object(Table, "check_host"),
            mock.patch.object(Table, "add", _add_without_end),
        ):
            return super().execute(*args, **options)


def _add_without_end(table: Any, entry: Any) -> int:
    fd: int = max(table._entries, default=-1) + 1
    table._entries[fd] = entry
    return fd


class KernelFilesGiven(Wrong):
    def execute(self, *args: Any, **options: Any) -> ExecutionResult:
        with (
            mock.patch.dict(kernel_filesystems.NAMES, clear=True),
            mock.patch.object(kernel_filesystems, "_MOUNTED", frozenset()),
        ):
            return super().execute(*args, **options)


class StdoutPatched(Wrong):
    def execute(self, *args: Any, **options: Any) -> ExecutionResult:
        kept, sys.stdout = sys.stdout, io.StringIO()
        try:
            return super().execute(*args, **options)
        finally:
            sys.stdout = kept


class DirectoryChanged(Wrong):
    def execute(self, spec: Spec, rootfs: Path, **options: Any) -> ExecutionResult:
        kept = os.getcwd()  # noqa: PTH109
        os.chdir(rootfs.parent)
        try:
            return super().execute(spec, rootfs, **options)
        finally:
            os.chdir(kept)


class EnvironmentChanged(Wrong):
    def execute(self, *args: Any, **options: Any) -> ExecutionResult:
        os.environ["CHANGED"] = "by the handler"
        try:
            return super().execute(*args, **options)
        finally:
            os.environ.pop("CHANGED", None)


class DescriptorLeaked(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        os.open(os.devnull, os.O_RDONLY)
        return result


class ThreadLeft(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        return result


class TemporaryFileLeft(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        os.close(tempfile.mkstemp()[0])
        return result


class UmaskChanged(Wrong):
    def execute(self, *args: Any, **options: Any) -> ExecutionResult:
        kept = os.umask(0o077)
        try:
            return super().execute(*args, **options)
        finally:
            os.umask(kept)


class BacktraceLost(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        return attrs.evolve(result, backtrace=())


class MessageLost(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        return attrs.evolve(result, message="")


class TrapReportedAsExit(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        trapped = result.reason is ExitReason.TRAPPED
        return attrs.evolve(result, reason=ExitReason.EXITED) if trapped else result


class StdinIgnored(Wrong):
    def execute(self, *args: Any, stdio: Stdio = INHERIT, **options: Any) -> ExecutionResult:
        return super().execute(*args, stdio=attrs.evolve(stdio, stdin=b""), **options)


class StderrMerged(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        if result.stdout is None or result.stderr is None:
            return result
        return attrs.evolve(result, stdout=result.stdout + result.stderr, stderr=b"")


class OutputBeforeATrapLost(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        return attrs.evolve(result, stdout=b"") if result.reason is ExitReason.TRAPPED else result


class StderrBeforeATrapLost(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        return attrs.evolve(result, stderr=b"") if result.reason is ExitReason.TRAPPED else result


class OuterFramesLost(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        return attrs.evolve(result, backtrace=result.backtrace[:1])


class SecondOutputLost(Wrong):
    def execute(self, *args: Any, stdio: Stdio = INHERIT, **options: Any) -> ExecutionResult:
        if stdio.stdout == stdio.stderr and isinstance(stdio.stdout, (int, Path)):
            stdio = attrs.evolve(stdio, stderr=Stream.NULL)
        return super().execute(*args, stdio=stdio, **options)


class DescriptorTruncated(Wrong):
    def execute(self, *args: Any, stdio: Stdio = INHERIT, **options: Any) -> ExecutionResult:
        if isinstance(stdio.stdout, int):
            with contextlib.suppress(OSError):  # only a file can be
                os.ftruncate(stdio.stdout, 0)
        return super().execute(*args, stdio=stdio, **options)


class ReaderGoneIsAnError(Wrong):
    def execute(self, *args: Any, stdio: Stdio = INHERIT, **options: Any) -> ExecutionResult:
        result = super().execute(*args, stdio=stdio, **options)
        if isinstance(stdio.stdout, int):
            os.write(stdio.stdout, b"")
            poller = select.poll()
            poller.register(stdio.stdout, 0)
            if any(event & select.POLLERR for _, event in poller.poll(0)):
                raise BrokenPipeError
        return result


class ErrorOfAFunctionWrapped(Wrong):
    def execute(self, *args: Any, stdio: Stdio = INHERIT, **options: Any) -> ExecutionResult:
        try:
            return super().execute(*args, stdio=stdio, **options)
        except ValueError as error:
            raise EngineError("the guest's output went nowhere") from error


class OwnEventLoop(Wrong):
    def execute(self, *args: Any, **options: Any) -> ExecutionResult:
        async def body() -> ExecutionResult:
            return super(OwnEventLoop, self).execute(*args, **options)

        coroutine = body()
        try:
            return asyncio.run(coroutine)
        finally:
            coroutine.close()


class OneRunOnAThread(Wrong):
    _state = threading.local()

    def execute(self, *args: Any, **options: Any) -> ExecutionResult:
        if getattr(self._state, "busy", False):
            raise EngineError("a guest runs already")
        self._state.busy = True
        try:
            return super().execute(*args, **options)
        finally:
            self._state.busy = False


class ExitInStartIsATrap(Wrong):
    def execute(self, spec: Spec, rootfs: Path, **options: Any) -> ExecutionResult:
        result = super().execute(spec, rootfs, **options)
        exited = result.exit_code and Module.read(rootfs / "app.wasm").start
        return attrs.evolve(result, reason=ExitReason.TRAPPED, exit_code=134) if exited else result


class ReturnedValueIsTheExitCode(Wrong):
    def execute(self, spec: Spec, rootfs: Path, **options: Any) -> ExecutionResult:
        result = super().execute(spec, rootfs, **options)
        return attrs.evolve(result, exit_code=7) if spec.process.args[0].endswith("#seven") else result  # type: ignore[union-attr]


class PathOfTheRootEncoded(Wrong):
    def execute(self, spec: Spec, rootfs: Path, **options: Any) -> ExecutionResult:
        str(rootfs).encode()
        return super().execute(spec, rootfs, **options)


class EnginePrints(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        if result.reason is ExitReason.TRAPPED:
            os.write(2, b"wasm trap\n")
        return result


class ChildLeft(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        os.posix_spawn("/bin/true", ["true"], {})
        return result


class OutputKeptBack(Wrong):
    def execute(self, *args: Any, stdio: Stdio = INHERIT, **options: Any) -> ExecutionResult:
        if not isinstance(stdio.stdout, int):
            return super().execute(*args, stdio=stdio, **options)
        result = super().execute(*args, stdio=attrs.evolve(stdio, stdout=Capture()), **options)
        os.write(stdio.stdout, result.stdout or b"")
        return attrs.evolve(result, stdout=None)


class TimeLimitIgnored(Wrong):
    def execute(self, *args: Any, limits: Limits = NOTHING, **options: Any) -> ExecutionResult:
        return super().execute(*args, limits=attrs.evolve(limits, time=None), **options)


class MemoryLimitIgnored(Wrong):
    def execute(self, spec: Spec, *args: Any, limits: Limits = NOTHING, **options: Any) -> ExecutionResult:
        spec = attrs.evolve(spec, memory_limit=None)
        return super().execute(spec, *args, limits=attrs.evolve(limits, memory=None), **options)


class FuelIgnored(Wrong):
    def execute(self, *args: Any, limits: Limits = NOTHING, **options: Any) -> ExecutionResult:
        return super().execute(*args, limits=attrs.evolve(limits, fuel=None), **options)


class ValidateRunsTheGuest(Wrong):
    def validate(self, module: Module) -> None:
        super().validate(module)
        os.write(1, b"the guest's output")


class ProcessExited(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        if result.exit_code == 9:
            sys.exit(result.exit_code)
        return result


class SignalHandlerLeft(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR2, lambda *_: None)
        return result


def _parts(name: str) -> tuple[type, ...]:
    """The parts of the kit with the tests that are to catch it; all of it where nothing is wrong."""
    names = CAUGHT[name][0] if name in CAUGHT else ()
    parts = tuple(part for part in HandlerConformance.__bases__ if any(f"test_{test}" in vars(part) for test in names))
    return parts or (HandlerConformance,)


for _kind in [kind for kind in list(globals().values()) if isinstance(kind, type) and issubclass(kind, Wrong)]:
    globals()[f"Test{_kind.__name__}"] = type(
        f"Test{_kind.__name__}",
        _parts(_kind.__name__),
        {"handler": _kind, "patience": 1, "__module__": __name__},
    )

# ruff: noqa: D101, D102  the names say what is wrong
"""More handlers that break the contract, each in one way; of the kit only the tests that are to catch them are run."""

from __future__ import annotations

import os
import random
import resource
import signal
import threading
from typing import TYPE_CHECKING, Any, ClassVar
from unittest import mock

import attrs

from tests.testing.wrong_handlers import INHERIT, NOTHING, Wrong, changed_process, right
from wasmoci.handlers.wasm3 import Wasm3Handler
from wasmoci.result import ExecutionResult, ExitReason
from wasmoci.stdio import Stdio, Stream
from wasmoci.testing import HandlerConformance
from wasmoci.wasi import Wasi

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wasmoci.limits import Limits
    from wasmoci.oci.spec import Mount, Spec
    from wasmoci.wasi import Function

MIB = 1 << 20
functions = Wasi.functions


def _mounts(spec: Spec, change: Callable[[Mount], Mount]) -> Spec:
    return attrs.evolve(spec, mounts=tuple(map(change, spec.mounts)))


def _writable(mount: Mount) -> Mount:
    return attrs.evolve(mount, options=tuple(option for option in mount.options if option != "ro"))


class ProgramNameDropped(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        return attrs.evolve(result, stdout=result.stdout and result.stdout.replace(b"/app.wasm\0", b"", 1))


class VariableAdded(Wrong):
    def asked(self, spec: Spec) -> Spec:
        return changed_process(spec, env=("HOME=/root", *spec.process.env))  # type: ignore[union-attr]


class WorkingDirectoryIgnored(Wrong):
    def asked(self, spec: Spec) -> Spec:
        return changed_process(spec, cwd="/")


class StdinHasNoEnd(Wrong):
    def execute(self, *args: Any, stdio: Stdio = INHERIT, **options: Any) -> ExecutionResult:
        if stdio.stdin != b"all there is":
            return super().execute(*args, stdio=stdio, **options)
        source, given = os.pipe()
        os.write(given, stdio.stdin)
        late = threading.Timer(3, os.close, [given])
        late.start()
        try:
            return super().execute(*args, stdio=attrs.evolve(stdio, stdin=source), **options)
        finally:
            late.join()
            os.close(source)


class StdinInherited(Wrong):
    def execute(self, *args: Any, stdio: Stdio = INHERIT, **options: Any) -> ExecutionResult:
        if stdio.stdin in (b"", Stream.NULL):
            stdio = attrs.evolve(stdio, stdin=Stream.INHERIT)
        return super().execute(*args, stdio=stdio, **options)


class OutputCut(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        return attrs.evolve(result, stdout=result.stdout and result.stdout[:65536])


class ErrorOutputCut(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        return attrs.evolve(result, stderr=result.stderr and result.stderr[:65536])


class DescriptorMadeNonBlocking(Wrong):
    def execute(self, *args: Any, stdio: Stdio = INHERIT, **options: Any) -> ExecutionResult:
        result = super().execute(*args, stdio=stdio, **options)
        if isinstance(stdio.stdin, int):
            os.set_blocking(stdio.stdin, False)
        return result


class ExitCodeCutTo7Bits(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        return attrs.evolve(result, exit_code=result.exit_code & 0x7F)


class TrapReportedAsExit1(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        trapped = result.reason is ExitReason.TRAPPED
        return attrs.evolve(result, reason=ExitReason.EXITED, exit_code=1) if trapped else result


class ReadOnlyIgnoredWithinAMount(Wrong):
    def asked(self, spec: Spec) -> Spec:
        return _mounts(spec, lambda mount: _writable(mount) if mount.destination.count("/") > 1 else mount)


class ReadOnlyIgnoredForFiles(Wrong):
    def asked(self, spec: Spec) -> Spec:
        return _mounts(spec, lambda mount: _writable(mount) if os.path.isfile(mount.source or "") else mount)  # noqa: PTH113


class OneSourceForAllMounts(Wrong):
    def asked(self, spec: Spec) -> Spec:
        return _mounts(spec, lambda mount: attrs.evolve(mount, source=spec.mounts[0].source))


class FirstMountWins(Wrong):
    def asked(self, spec: Spec) -> Spec:
        return attrs.evolve(spec, mounts=tuple(reversed(spec.mounts)))


class MountPointsMade(Wrong):
    def execute(self, spec: Spec, rootfs: Path, **options: Any) -> ExecutionResult:
        for mount in spec.mounts:
            (rootfs / mount.destination[1:]).mkdir(parents=True, exist_ok=True)
        return super().execute(spec, rootfs, **options)


class OutputOfAnEarlierRunKept(Wrong):
    kept: ClassVar[dict[str, bytes]] = {}

    def execute(self, spec: Spec, rootfs: Path, **options: Any) -> ExecutionResult:
        result = super().execute(spec, rootfs, **options)
        output = self.kept[str(rootfs)] = self.kept.get(str(rootfs), b"") + (result.stdout or b"")
        return attrs.evolve(result, stdout=output)


class ProgramKnownByItsPath(Wrong):
    known: ClassVar[dict[str, bytes]] = {}

    def execute(self, spec: Spec, rootfs: Path, **options: Any) -> ExecutionResult:
        program = rootfs / "app.wasm"
        program.write_bytes(self.known.setdefault(str(program), program.read_bytes()))
        return super().execute(spec, rootfs, **options)


class MemoryKept(Wrong):
    kept: ClassVar[list[bytes]] = []

    def answered(self, result: ExecutionResult) -> ExecutionResult:
        self.kept.append(b"x" * (8 << 20))
        return result


class OneAtATime(Wrong):
    turn: ClassVar[threading.Lock] = threading.Lock()

    def execute(self, *args: Any, **options: Any) -> ExecutionResult:
        with self.turn:
            return super().execute(*args, **options)


class ConcurrentRunsMixed(Wrong):
    last: ClassVar[list[ExecutionResult]] = []
    all_there: ClassVar[threading.Barrier] = threading.Barrier(6)

    def execute(self, *args: Any, **options: Any) -> ExecutionResult:
        self.last.append(super().execute(*args, **options))
        if threading.current_thread() is not threading.main_thread():
            self.all_there.wait(10)
        return self.last[-1]


class MainThreadAlone(Wrong):
    def execute(self, *args: Any, **options: Any) -> ExecutionResult:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("runs on the main thread alone")
        return super().execute(*args, **options)


class VariableLeft(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        os.environ["LEFT"] = "by the first run, and the same by each later one"
        return result


class VariablePut(Wrong):
    def execute(self, *args: Any, **options: Any) -> ExecutionResult:
        os.putenv("PUT", "by the handler")
        try:
            return super().execute(*args, **options)
        finally:
            os.unsetenv("PUT")


class SignalsBlocked(Wrong):
    def execute(self, *args: Any, **options: Any) -> ExecutionResult:
        kept = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        try:
            return super().execute(*args, **options)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, kept)


class SignalSwallowed(Wrong):
    def execute(self, *args: Any, **options: Any) -> ExecutionResult:
        try:
            return super().execute(*args, **options)
        except BaseException:  # noqa: BLE001
            return ExecutionResult(exit_code=0, reason=ExitReason.EXITED, engine=self.name)


class TimerLeft(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0 if signal.getitimer(signal.ITIMER_VIRTUAL)[0] else 1000)
        return result


class ResourceLimitChanged(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
        return result


class RandomSeeded(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        random.seed()
        return result


class FractionsOfSecondsDropped(Wrong):
    def execute(self, *args: Any, limits: Limits = NOTHING, **options: Any) -> ExecutionResult:
        whole = None if limits.time is None else int(limits.time) or None
        return super().execute(*args, limits=attrs.evolve(limits, time=whole), **options)


class MemoryLimitOfWholeMegabytes(Wrong):
    def execute(self, *args: Any, limits: Limits = NOTHING, **options: Any) -> ExecutionResult:
        whole = None if limits.memory is None else -(-limits.memory // MIB) * MIB
        return super().execute(*args, limits=attrs.evolve(limits, memory=whole), **options)


class DurationInMilliseconds(Wrong):
    def answered(self, result: ExecutionResult) -> ExecutionResult:
        return attrs.evolve(result, duration=result.duration * 1000)


class DirectoriesNotListed(Wasm3Handler):
    def execute(self, *args: Any, **options: Any) -> ExecutionResult:
        def without(wasi: Wasi) -> dict[str, Function]:
            found = functions(wasi)
            return {**found, "fd_readdir": found["fd_readdir"]._replace(call=lambda *_: 52)}

        with mock.patch.object(Wasi, "functions", without):
            return super().execute(*args, **options)


class InvalidModuleReportedAsExit(Wrong):
    def execute(self, spec: Spec, rootfs: Path, **options: Any) -> ExecutionResult:
        try:
            return right.execute(spec, rootfs, **options)
        except Exception:  # noqa: BLE001  the wrong that is done
            return ExecutionResult(exit_code=1, reason=ExitReason.EXITED, engine=self.name, stdout=b"", stderr=b"")


for _kind in [kind for kind in list(globals().values()) if isinstance(kind, type) and kind.__module__ == __name__]:
    globals()[f"Test{_kind.__name__}"] = type(
        f"Test{_kind.__name__}", (HandlerConformance,), {"handler": _kind, "patience": 1, "__module__": __name__}
    )
del HandlerConformance

"""Implements ``create`` and ``run`` for containers that may be Wasm."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.dispatch import native_program
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.dispatch.request import Request
from wasmoci.errors import InvalidModule, NativeRuntimeError, WasmociError
from wasmoci.oci.bundle import Bundle
from wasmoci.oci.classification import Classification, Kind
from wasmoci.oci.spec import CONFIG
from wasmoci.runtime import (
    compile_group,
    decisions,
    home,
    interpreter,
    least_limits,
    leftovers,
    making,
    mapped_root,
    module_choice,
    namespace_root,
    native_exec,
    spec_substitution,
    staging,
    started_processes,
    state_directories,
)
from wasmoci.runtime.error_report import report, warn
from wasmoci.runtime.guest_plan import Description
from wasmoci.runtime.native_calls import Native
from wasmoci.runtime.pid_file import PidFile
from wasmoci.runtime.record import Record
from wasmoci.text import log

if TYPE_CHECKING:
    from typing import Any, NoReturn

    from wasmoci.runtime.command_line import Invocation
    from wasmoci.runtime.module_choice import Compiled, Program

_BY_SIGNAL = 128
_REMOVING = ("runc", "crun")
"""The runtimes whose ``run``, when it ends with 0, has waited for the container and removed it."""

_HARMLESS = frozenset({"bundle", "b", "config", "f", "pid-file", "console-socket", "preserve-fds", "no-pivot"})
"""The options of ``run`` that don't change that, as ``--detach`` and ``--keep`` do."""


def main(invocation: Invocation) -> int:
    """Create a container, or run it to its end.

    Returns:
        The exit status.

    Raises:
        WasmociError: It is Wasm, and can't be run.
    """
    log.listen(lambda text: warn(text, invocation))
    options = invocation.parsed()
    config = options.value("config", "f") or CONFIG
    bundle = Bundle.load(options.value("bundle", "b") or os.curdir, config=config)
    dispatcher = Dispatcher(forced=invocation.forced)
    classification = dispatcher.classify(Request(bundle))
    if classification.kind is Kind.NATIVE:
        _keep(invocation, bundle, classification, "handed on")
        native_exec.replace(invocation)
    try:
        creation = _prepare(invocation, bundle, config, dispatcher, classification)
    except WasmociError as error:
        _keep(invocation, bundle, classification, "refused", error.message)
        raise
    record = Record.of(invocation)
    return creation.run(record) if invocation.command == "run" else creation.create(record)


def _keep(invocation: Invocation, bundle: Bundle, decision: Classification, status: str, error: str = "") -> None:
    """Keep what was decided about a container that has no record."""
    identifier = invocation.container()
    if identifier is None or not state_directories.is_identifier(identifier):
        return
    runtime = ""
    with contextlib.suppress(WasmociError):
        runtime = Native(invocation).name
    what = {
        "bundle": str(bundle.path),
        "classification": decision.to_dict(),
        "process": bundle.spec.raw.get("process"),
    }
    decisions.keep(identifier, what, status=status, error=error, runtime=runtime)


def _prepare(
    invocation: Invocation, bundle: Bundle, config: str, dispatcher: Dispatcher, classification: Classification
) -> _Creation:
    """Choose the engine for a Wasm container, and have its module compiled.

    Raises:
        WasmociError: It can't be run.
    """
    try:
        found = module_choice.of_bundle(bundle)
    except InvalidModule as error:
        native_program.explain(error, bundle, classification)
        raise
    linux = bundle.spec.raw.get("linux") or {}
    resources = linux.get("resources") or {}
    least_limits.check(resources, classification.engine or dispatcher.settings.engine)
    with compile_group.CompileGroup(linux.get("cgroupsPath"), resources) as group:
        selection = module_choice.choose(dispatcher, found, named=classification.engine, group=group, compiles=True)
    least_limits.check(resources, selection.handler.name)
    return _Creation(
        invocation=invocation,
        bundle=bundle,
        config=config,
        classification=classification,
        engine=selection.handler.name,
        handler=dispatcher.registry.reference(selection.handler.name),
        compiled=module_choice.compiled_for(selection.handler, found),
        env=_variables(bundle, found),
        native=Native(invocation),
        mark=started_processes.mark(),
    )


def _variables(bundle: Bundle, program: Program) -> tuple[str, ...]:
    process = bundle.spec.process
    if process is None:
        return ()
    with program.files.materialise() as files:
        return home.environment(process, bundle.spec.raw["process"].get("user"), files)


@attrs.frozen(kw_only=True)
class _Creation:
    """Creates a Wasm container."""

    invocation: Invocation
    bundle: Bundle
    config: str
    classification: Classification
    engine: str
    handler: str
    compiled: Compiled | None
    env: tuple[str, ...]
    native: Native
    mark: str

    def create(self, record: Record) -> int:
        with making.settled(record, self.native, make=True):
            self._begin(record)
            child, first = self._start(record)
            status = self.native.wait(child)
            if status == 0:
                self._cover(first.read())
                record.write(self._document("created"))
            elif not self.native.knows(record.identifier):
                leftovers.discard(record)
            elif status <= _BY_SIGNAL:
                record.remove()  # It is another container that has the name, and has had it before.
        return status

    def run(self, record: Record) -> int:
        with making.settled(record, self.native, make=True):
            self._begin(record)
            child, first = self._start(record)
        # Other commands on the container are not to wait until it has ended; the record, which is held, tells that it is made.
        self._cover(first.await_beside(child))
        status = self.native.wait(child)
        with record.locked() as there:
            # Another command may have made another container of that name as soon as this one was gone.
            if there and record.read().get("mark") == self.mark:
                self._settle(record, status)
        return status

    def _settle(self, record: Record, status: int) -> None:
        """Have the record tell what ``run`` has left of the container."""
        found = {} if self._is_gone(status) else self.native.state(record.identifier)
        if not found:
            leftovers.discard(record)
        elif status != 0 and found.get("bundle") != str(self.bundle.path):
            record.remove()  # It is another container that has the name, and has had it before.
        else:
            record.write(self._document("created"))

    def _is_gone(self, status: int) -> bool:
        """Whether the native runtime has certainly removed a container that it has run, without its being asked."""
        if status != 0 or not self.native.name.startswith(_REMOVING):
            return False
        return self.invocation.parsed().values.keys() <= _HARMLESS

    def _begin(self, record: Record) -> None:
        if record.read():
            if record.is_held or self.native.knows(record.identifier):
                raise NativeRuntimeError(f"container with id exists: {record.identifier}")
            leftovers.end(record, self.native)
        record.write(self._document("creating"), held=True)

    def _start(self, record: Record) -> tuple[int, PidFile]:
        first = PidFile.of(self.invocation, record)
        command = [
            *self.native.global_options,
            self.invocation.command or "",
            *first.option,
            *self.invocation.arguments,
        ]
        child = spec_substitution.in_child(
            lambda: self._become_native(record, command), lambda error: report(error, self.invocation)
        )
        return child, first

    def _cover(self, pid: int | None) -> None:
        """Have those who enter the container find its root; a user who isn't root can't enter it afterwards."""
        if pid is None or os.geteuid() != 0:
            return
        try:
            namespace_root.cover(pid, self.mark)
        except (FileNotFoundError, ProcessLookupError):
            return  # it has ended
        except OSError as error:
            log.warn(__name__, f"who enters this container finds the engine's root, not the container's: {error}")

    def _become_native(self, record: Record, command: list[str]) -> NoReturn:
        spec_substitution.enter()
        owner = mapped_root.owner(self.bundle.spec.raw.get("linux") or {})
        spec_substitution.directory(str(record.root), owner)
        (record.root / "dev").mkdir()  # crun makes devices in it, and doesn't make it
        if owner is not None:
            os.chown(record.root / "dev", *owner)
        (record.root / staging.EXECUTED[1:]).touch()
        os.symlink("/", f"{record.root}{namespace_root.door(self.mark)}")  # noqa: PTH211  a method takes longer
        derived = record.write(self._derive(record), CONFIG)
        spec_substitution.cover(str(self.bundle.path / self.config), str(derived))
        os.environ[started_processes.VARIABLE] = self.mark
        self.native.become(command)

    def _derive(self, record: Record) -> dict[str, Any]:
        process = self.bundle.spec.process
        # Another process may have taken it from the cache in the meantime: then the engine compiles by itself.
        compiled = self.compiled if self.compiled is not None and self.compiled.file.exists() else None
        what = Description(
            handler=self.handler,
            rootfs=staging.ROOTFS,
            cwd=process.cwd if process else "/",
            env=self.env,
            engine_env=least_limits.SPARING if least_limits.are_few(self._resources) else (),
            compiled=None if compiled is None else (compiled.module, staging.COMPILED),
        )
        python = interpreter.for_handler(self.handler)
        stage = staging.Stage(
            root=record.root,
            rootfs=Path(os.path.realpath(self.bundle.rootfs)),
            interpreter=python,
            variables=what.variables(python.path),
            compiled=None if compiled is None else compiled.file,
            keep_annotations=not self.native.has_engines,
        )
        return staging.derive(self.bundle.spec.raw, stage)

    @property
    def _resources(self) -> dict[str, Any]:
        return (self.bundle.spec.raw.get("linux") or {}).get("resources") or {}

    def _document(self, status: str) -> dict[str, Any]:
        return {
            "version": 1,
            "maker": os.getpid(),
            "mark": self.mark,
            "status": status,
            "bundle": str(self.bundle.path),
            "command": self.native.command,
            "classification": self.classification.to_dict(),
            "engine": self.engine,
            "compiled": None if self.compiled is None else self.compiled.module,
            "named": self.classification.engine,
            "annotations": dict(self.bundle.spec.annotations),
            "process": self.bundle.spec.raw.get("process"),
            "cgroup": (self.bundle.spec.raw.get("linux") or {}).get("cgroupsPath"),
        }

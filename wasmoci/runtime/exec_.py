"""Implements ``exec`` in Wasm containers: runs another module of the container's files in the same sandbox."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.errors import EntrypointError, EntrypointNotFound, InvalidModule, NativeRuntimeError
from wasmoci.oci.json_reader import load_object
from wasmoci.oci.spec import Process, Spec
from wasmoci.runtime import home, interpreter, module_choice, namespace_root, spec_substitution, staging
from wasmoci.runtime.compile_group import ContainersGroup
from wasmoci.runtime.error_report import report
from wasmoci.runtime.guest_plan import Description
from wasmoci.runtime.native_calls import Native
from wasmoci.runtime.record import Record

if TYPE_CHECKING:
    from typing import Any, NoReturn

    from wasmoci.runtime.command_line import Invocation, Options
    from wasmoci.runtime.module_choice import Compiled, Program

_KEPT = ("console-socket", "pid-file", "preserve-fds", "cgroup")
_KEPT_FLAGS = (("detach", "d"), ("ignore-paused",))


def main(invocation: Invocation) -> int:
    """Run a module in a container.

    Returns:
        The exit status: the native runtime's, which is the guest's unless it is detached.

    Raises:
        NativeRuntimeError: The container doesn't run.
        WasmociError: The program is none that an engine can run.
    """
    options = invocation.parsed()
    record, native = Record.of(invocation), Native(invocation)
    document = record.read()
    state = native.state(record.identifier)
    if state.get("status") not in ("running", "paused"):
        raise NativeRuntimeError(
            f"exec: container {record.identifier} is {state.get('status') or 'not there'}; a running one was expected"
        )
    wanted = _wanted(options, document.get("process") or {})
    process = Spec.from_dict({"ociVersion": "1.0.2", "process": wanted}, source="exec").process or Process()
    pid, is_root = int(state["pid"]), os.geteuid() == 0
    chosen = _choose(process, pid, document)
    python = interpreter.for_handler(chosen.handler)
    env = home.environment(process, wanted.get("user"), chosen.program.files)
    compiled, brought = _compiled(chosen, document) if is_root or chosen.is_the_containers(document) else (None, None)
    what = Description(handler=chosen.handler, rootfs=staging.ROOTFS, cwd=process.cwd, env=env, compiled=compiled)
    derived = staging.engine_process(wanted, python, what.variables(python.path))
    mark = str(document.get("mark"))
    # In no root but the staged one: a program of the image's is never taken for the interpreter.
    derived["args"][0] = namespace_root.door(mark) + derived["args"][0]
    with tempfile.NamedTemporaryFile("w", dir=record.directory, prefix="exec-", encoding="ascii") as file:
        json.dump(derived, file)
        file.flush()
        command = [*native.global_options, "exec", *_options(options), "--process", file.name, record.identifier]
        with contextlib.ExitStack() as stack:
            visitor = None
            if is_root:  # else nothing covers it
                visitor = stack.enter_context(namespace_root.uncovered(pid, mark, brought))

            def become() -> NoReturn:
                if visitor is not None:
                    namespace_root.replace(pid, visitor, record.root)
                native.become(command)

            child = spec_substitution.in_child(become, lambda error: report(error, invocation))
            return native.wait(child)


def _wanted(options: Options, container: dict[str, Any]) -> dict[str, Any]:
    """Return the ``process`` to run: from a file, or the container's with the options applied.

    Raises:
        InvalidSpec: The document can't be read.
        NativeRuntimeError: There is nothing to run.
    """
    file = options.value("process", "p")
    if file is not None:
        return load_object(file)
    args = options.rest[1:]
    if not args:
        raise NativeRuntimeError("exec: nothing to run; a program and its arguments, or --process FILE, were expected")
    process = {**container, "args": args, "terminal": any(name in options.values for name in ("tty", "t"))}
    process["env"] = [*(container.get("env") or ()), *options.values.get("env", ()), *options.values.get("e", ())]
    process["cwd"] = options.value("cwd") or container.get("cwd") or "/"
    user, more = options.value("user", "u"), options.values.get("additional-gids", options.values.get("g"))
    if user is not None or more is not None:
        process["user"] = _user(user, more, container.get("user") or {})
    for option, member in (("process-label", "selinuxLabel"), ("apparmor", "apparmorProfile")):
        value = options.value(option)
        if value is not None:
            process[member] = value
    return process


def _user(text: str | None, more: list[str] | None, container: dict[str, Any]) -> dict[str, Any]:
    user = dict(container)
    try:
        if text is not None:
            number, mark, group = text.partition(":")
            user["uid"] = int(number)
            if mark:
                user["gid"] = int(group)
        if more is not None:
            user["additionalGids"] = [int(group) for group in more]
    except ValueError:
        found = text if text is not None else more
        raise NativeRuntimeError(f"exec: found {found!r}; numbers of a user and of groups were expected") from None
    return user


@attrs.frozen(kw_only=True)
class _Chosen:
    """What is to run, and on what.

    Args:
        program: The program.
        engine: The engine's name.
        handler: The handler's class, ``module:qualified.name``.
        compiled: What the engine has made of it; None where it compiles when it runs.
    """

    program: Program
    engine: str
    handler: str
    compiled: Compiled | None

    def is_the_containers(self, document: dict[str, Any]) -> bool:
        """Whether it is the container's own module, which is there compiled."""
        return (
            self.compiled is not None
            and self.compiled.module == document.get("compiled")
            and self.engine == document.get("engine")
        )


def _compiled(chosen: _Chosen, document: dict[str, Any]) -> tuple[tuple[str, str] | None, Path | None]:
    """What the engine's process is told of a compiled module, and the host's file that has to be brought there for that."""
    if chosen.compiled is None:
        return None, None
    if chosen.is_the_containers(document):
        return (chosen.compiled.module, staging.COMPILED), None
    return (chosen.compiled.module, staging.EXECUTED), chosen.compiled.file


def _choose(process: Process, container: int, document: dict[str, Any]) -> _Chosen:
    """The engine for a program of a container's, one of whose processes is known."""
    dispatcher = Dispatcher()
    rootfs = Path(f"/proc/{container}/root{staging.ROOTFS}")
    try:
        program = module_choice.of_process(process, rootfs)
        selection = module_choice.choose(
            dispatcher, program, named=document.get("named"), group=ContainersGroup(container), compiles=True
        )
    except (EntrypointError, InvalidModule) as error:
        message = error.message
        if isinstance(error, EntrypointNotFound):
            message = f"{process.args[0]}: isn't among the container's files"
        # In the message and not a hint: engines show one line.
        error.restate(
            f"{message}; this container runs WebAssembly, and only a module of its own files can be executed in it",
            hint=None,
        )
        raise
    return _Chosen(
        program=program,
        engine=selection.handler.name,
        handler=dispatcher.registry.reference(selection.handler.name),
        compiled=module_choice.compiled_for(selection.handler, program),
    )


def _options(options: Options) -> list[str]:
    """Return the options for the native runtime besides the process."""
    kept = [f"--{name}={value}" for name in _KEPT for value in options.values.get(name, ())]
    return kept + [f"--{names[0]}" for names in _KEPT_FLAGS if any(name in options.values for name in names)]

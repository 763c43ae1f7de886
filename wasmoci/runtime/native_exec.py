"""Finds the native runtime for a call, and replaces this process by it."""

from __future__ import annotations

import os
import sys

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.dispatch import settings_file
from wasmoci.native import programs

if TYPE_CHECKING:
    from typing import Any, NoReturn

    from wasmoci.runtime.command_line import Invocation


def settings() -> dict[str, Any]:
    """The configuration file's keys; empty where there is none.

    Raises:
        InvalidConfiguration: It can't be read.
    """
    file = settings_file.locate(os.environ)
    return {} if file is None else settings_file.read(file)


def find(invocation: Invocation) -> str:
    """Return the host path of the native runtime: the named one, else the first installed one.

    Raises:
        NativeRuntimeNotFound: There is none.
        InvalidConfiguration: The configuration file can't be read, or names something else than a program.
    """
    named = (
        invocation.native_runtime
        or os.environ.get(settings_file.NATIVE_RUNTIME_VARIABLE)
        or settings().get("native_runtime")
    )
    if named is not None and not isinstance(named, str):
        from wasmoci.dispatch.settings import Settings

        Settings.load()  # which says what is wrong
    for name in (named,) if named else programs.order():
        program = programs.which(name, os.environ)
        if program is not None and not _is_this(program):
            return program
    from wasmoci.errors import NativeRuntimeNotFound

    if named:
        raise NativeRuntimeNotFound(
            f"the native runtime {named!r} isn't installed", hint="install it, or name another one"
        )
    known = ", ".join(programs.RUNTIMES)
    raise NativeRuntimeNotFound(
        f"none of {known} is installed; wasmoci-runtime makes every container with one of them",
        hint="install one, as with: apt-get install crun",
    )


def global_arguments(invocation: Invocation, program: str) -> list[str]:
    """The native runtime's program and its global options for a call, which are in front of a command."""
    return [program, *_for(program, invocation.passed)]


def arguments(invocation: Invocation, program: str) -> list[str]:
    """The native runtime's whole command line for a call, its program first."""
    command = [invocation.command] if invocation.command else []
    return [*global_arguments(invocation, program), *command, *invocation.arguments]


def replace(invocation: Invocation) -> NoReturn:
    """Replace this process by the native runtime, with unchanged arguments."""
    program = find(invocation)
    os.execv(program, arguments(invocation, program))  # noqa: S606  that is what it is for


def _for(program: str, options: list[str]) -> list[str]:
    """Translate the global options for the runtime: the cgroup manager is an option of crun, and a flag of others."""
    if os.path.basename(program).startswith("crun"):
        return options
    translated: list[str] = []
    remaining = iter(options)
    for option in remaining:
        name, mark, value = option.partition("=")
        if name != "--cgroup-manager":
            translated.append(option)
            continue
        manager = value if mark else next(remaining, "")
        if manager == "systemd":
            translated.append("--systemd-cgroup")
        elif manager == "disabled":
            from wasmoci.errors import UnsupportedWorkload

            raise UnsupportedWorkload(
                f"containers without cgroups are made by crun alone, and the native runtime is {os.path.basename(program)}"
            )
        elif manager != "cgroupfs":  # the default of the others
            translated.append(f"--cgroup-manager={manager}")
    return translated


def _is_this(program: str) -> bool:
    """Return whether a program is this one under another name, such as where it replaces the native runtime."""
    return os.path.realpath(program) == os.path.realpath(sys.argv[0])

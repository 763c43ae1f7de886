"""Parses the command line of runc 1.1 and crun, as far as wasmoci needs it.

Unknown options are passed on unchanged: the native runtime knows its own.
"""

from __future__ import annotations

import os

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FORCING_NAMES = ("crun-wasm", "wasmoci-wasm")
"""Names of the program under which every container but a sandbox is Wasm."""

COMMANDS = frozenset(
    [
        "checkpoint",
        "create",
        "delete",
        "events",
        "exec",
        "features",
        "init",
        "kill",
        "list",
        "pause",
        "ps",
        "restore",
        "resume",
        "run",
        "spec",
        "start",
        "state",
        "update",
    ]
)

VERSION_OPTIONS = ("version", "v", "V")
HELP_OPTIONS = ("help", "h", "?")

_OWN = ("handler", "native-runtime")
_GLOBAL = frozenset({"root", "r", "log", "l", "log-format", "log-level", "criu", "rootless", "cgroup-manager", *_OWN})
_COMMAND = {
    name: frozenset({"bundle", "b", "console-socket", "pid-file", "preserve-fds", "config", "f"})
    for name in ("create", "run")
}
_COMMAND["exec"] = frozenset(
    [
        "cwd",
        "env",
        "e",
        "user",
        "u",
        "additional-gids",
        "g",
        "process",
        "p",
        "pid-file",
        "process-label",
        "apparmor",
        "console-socket",
        "cap",
        "c",
        "preserve-fds",
        "cgroup",
    ]
)
"""Options that take a value, which may be an argument of its own."""


class Options:
    """Options as they were given, and the arguments after them.

    Attributes:
        values: The values of each option, in order; that of an option without one is empty. Names are without dashes.
        rest: The arguments from the first that is none of an option's.
    """

    def __init__(self, arguments: Sequence[str], valued: frozenset[str], *, scattered: bool) -> None:
        self.values: dict[str, list[str]] = {}
        self.rest: list[str] = []
        remaining = iter(arguments)
        for argument in remaining:
            if argument == "--":
                self.rest.extend(remaining)
            elif not argument.startswith("-") or argument == "-":
                self.rest.append(argument)
                if not scattered:
                    self.rest.extend(remaining)
            else:
                self._take(argument, remaining, valued)

    def _take(self, argument: str, remaining: object, valued: frozenset[str]) -> None:
        name, mark, value = argument.lstrip("-").partition("=")
        if not argument.startswith("--") and not mark and name not in valued and name[:1] in valued:
            name, value = name[:1], name[1:]  # -bDIR
        elif not mark and name in valued:
            value = next(remaining, "")  # type: ignore[call-overload]
        self.values.setdefault(name, []).append(value)

    def value(self, *names: str) -> str | None:
        """Return the last value of an option; None when it isn't given."""
        for name in names:
            if name in self.values:
                return self.values[name][-1]
        return None


class Invocation:
    """One call of the runtime.

    Attributes:
        options: The global options.
        command: The command; empty when there is none.
        arguments: What follows the command, unchanged.
        root: The native runtime's state directory, a host path; None for its default.
        passed: The global options for the native runtime: all but our own.
        forced: The handler that is forced from outside: by ``--handler``, or ``wasm`` by the program's name.
        native_runtime: The native runtime's name or path, where ``--native-runtime`` gives one.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        arguments = list(argv[1:])
        start = _command_index(arguments)
        self.options = Options(arguments[:start], _GLOBAL, scattered=True)
        self.command = arguments[start] if start < len(arguments) else ""
        self.arguments = arguments[start + 1 :]
        self.passed = _without_own(arguments[:start])
        self.root = self.options.value("root", "r")
        self.native_runtime = self.options.value("native-runtime")
        self.forced = self.options.value("handler")
        if self.forced is None and os.path.basename(argv[0]) in FORCING_NAMES:
            self.forced = "wasm"

    def asks_for(self, *options: str) -> bool:
        """Return whether one of some global options is given without a command."""
        return not self.command and any(name in self.options.values for name in options)

    def parsed(self) -> Options:
        """The command's own options; the container's id is the first of the rest."""
        # Behind an exec's id comes the program with options of its own.
        return Options(self.arguments, _COMMAND.get(self.command, frozenset()), scattered=self.command != "exec")

    def container(self) -> str | None:
        """The container's id; None when there is none."""
        rest = self.parsed().rest
        return rest[0] if rest else None


def _command_index(arguments: list[str]) -> int:
    """Return the index of the command: the first argument that is neither an option nor the value of one."""
    index = 0
    while index < len(arguments):
        argument = arguments[index]
        if not argument.startswith("-"):
            if argument in COMMANDS or not any(other in COMMANDS for other in arguments[index:]):
                return index
            index += 1  # the value of an option that is unknown here
            continue
        name = argument.lstrip("-")
        index += 2 if name in _GLOBAL else 1
    return len(arguments)


def _without_own(arguments: list[str]) -> list[str]:
    kept: list[str] = []
    index = 0
    while index < len(arguments):
        name, mark, _ = arguments[index].lstrip("-").partition("=")
        own = arguments[index].startswith("-") and name in _OWN
        length = 2 if name in _GLOBAL and not mark and arguments[index].startswith("-") else 1
        if not own:
            kept.extend(arguments[index : index + length])
        index += length
    return kept

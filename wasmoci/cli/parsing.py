"""The command line as argparse reads it, with help, and words for what is wrong."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import TYPE_CHECKING, Protocol, cast

from wasmoci.cli import COMMANDS, EXIT_ERROR, tell_version
from wasmoci.cli.output import complain
from wasmoci.text.escape import one_line

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any, NoReturn

_MODULES = {"inspect": "inspect_"}
"""The modules that aren't named as their sub-commands."""


class Command(Protocol):
    """What a sub-command's module has."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the options and arguments."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it, and return the exit status.

        Raises:
            WasmociError: It can't be done; the message is shown, and the error's status is the command's.
        """


class _Parser(argparse.ArgumentParser):
    """A parser whose errors look and exit like all others of the command."""

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse's own takes it for written when it can't be.
        (file or sys.stderr).write(message)

    def error(self, message: str) -> NoReturn:
        complain(one_line(message), f"see: {self.prog} --help")
        raise SystemExit(EXIT_ERROR)


class _Version(argparse.Action):
    """Prints the version."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        parser.exit(tell_version())


def parser(names: Collection[str] = COMMANDS) -> argparse.ArgumentParser:
    """The parser for the command line, which lists all sub-commands.

    Args:
        names: Those whose modules are loaded, and whose options it knows.
    """
    top = _Parser(
        prog="wasmoci", description="Runs WebAssembly workloads described as OCI containers.", allow_abbrev=False
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", prog=top.prog, required=True)
    for name, about in COMMANDS.items():
        sub = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        if name in names:
            command = cast("Command", importlib.import_module(f"wasmoci.cli.{_MODULES.get(name, name)}"))
            command.configure(sub)
            sub.set_defaults(command=command)
    return top

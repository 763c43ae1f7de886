"""Builds the argparse parser of the command, with its help and its error messages."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import TYPE_CHECKING, Protocol, cast

from wasmoci.cli import COMMANDS, EXIT_ERROR, tell_version
from wasmoci.cli.output import complain
from wasmoci.text.escape import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NoReturn


class Command(Protocol):
    """The interface of a sub-command's module.

    Attributes:
        HELP: A one-line description.
    """

    HELP: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the options and arguments."""

    def run(self, options: argparse.Namespace) -> int:
        """Run the sub-command, and return the exit status.

        Raises:
            WasmociError: It failed; the message is printed, and the error's status is the command's.
        """


class _Parser(argparse.ArgumentParser):
    """A parser whose errors look and exit like all others of the command."""

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse's own ignores errors when writing.
        (file or sys.stderr).write(message)

    def error(self, message: str) -> NoReturn:
        complain(one_line(message), f"see: {self.prog} --help")
        raise SystemExit(EXIT_ERROR)


class _Version(argparse.Action):
    """Prints the version."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        parser.exit(tell_version())


def parser(names: Iterable[str] = COMMANDS) -> argparse.ArgumentParser:
    """Return the parser for the command line.

    Args:
        names: The sub-commands to include.
    """
    top = _Parser(
        prog="wasmoci", description="Runs WebAssembly workloads described as OCI containers.", allow_abbrev=False
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", prog=top.prog, required=True)
    for name in names:
        command = cast("Command", importlib.import_module(f"wasmoci.cli.{COMMANDS[name]}"))
        sub = commands.add_parser(name, help=command.HELP, description=command.HELP, allow_abbrev=False)
        command.configure(sub)
        sub.set_defaults(command=command)
    return top

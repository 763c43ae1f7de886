"""The ``wasmoci`` command: it parses arguments and prints; what it does is done by the library.

One module for each sub-command (:class:`Command`). What a sub-command needs is imported when it runs, so that the command
starts fast.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Protocol, cast

from wasmoci.cli.output import complain, prepare
from wasmoci.errors import WasmociError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import NoReturn

EXIT_ERROR = 125
"""The status for an error of wasmoci itself, as Docker and Podman have it: it can't be mistaken for a guest's."""

DEBUG_VARIABLE = "WASMOCI_DEBUG"


class Command(Protocol):
    """What a sub-command's module has.

    Attributes:
        HELP: One line about it.
    """

    HELP: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the options and arguments."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it, and return the exit status.

        Raises:
            WasmociError: It can't be done; the message is shown, and the error's status is the command's.
        """


COMMANDS = {
    "run": "run",
    "explain": "explain",
    "build": "build",
    "pull": "pull",
    "push": "push",
    "images": "images",
    "inspect": "inspect_",
    "unpack": "unpack",
    "rm": "rm",
    "prune": "prune",
    "cache": "cache",
    "engines": "engines",
    "doctor": "doctor",
    "config": "config",
}
"""The sub-commands, in the order in which they are listed, and their modules."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors look and exit like all others of the command."""

    def error(self, message: str) -> NoReturn:
        complain(message, f"see: {self.prog} --help")
        raise SystemExit(EXIT_ERROR)


class _Version(argparse.Action):
    """Prints the version, which costs time to find out."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version  # noqa: PLC0415

        print(f"wasmoci {version('wasmoci')}")
        parser.exit()


def parser(names: Iterable[str] = COMMANDS) -> argparse.ArgumentParser:
    """The parser for the command line.

    Args:
        names: The sub-commands that it is to know.
    """
    top = _Parser(
        prog="wasmoci", description="Runs WebAssembly workloads described as OCI containers.", allow_abbrev=False
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in names:
        command = cast("Command", importlib.import_module(f"wasmoci.cli.{COMMANDS[name]}"))
        sub = commands.add_parser(name, help=command.HELP, description=command.HELP, allow_abbrev=False)
        command.configure(sub)
        sub.set_defaults(command=command)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments after the program's name; None for those of the process.

    Returns:
        The exit status.
    """
    prepare()
    try:
        argv = sys.argv[1:] if argv is None else argv
        # The modules of the other sub-commands need not be loaded.
        options = parser(argv[:1] if argv[:1] and argv[0] in COMMANDS else COMMANDS).parse_args(argv)
        status: int = options.command.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE) and not isinstance(error, WasmociError):
            raise
        return _failure(error)
    return status


def program() -> NoReturn:
    """Run the command as a process, and end it.

    Python is not taken apart at the end: that costs as much as its start, and nothing here needs it.
    """
    status = main()
    atexit._run_exitfuncs()  # noqa: SLF001  as at any other end
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    os._exit(status & 0xFF)


def _failure(error: Exception) -> int:
    """Say what went wrong, and give the exit status for it."""
    if isinstance(error, WasmociError):
        complain(error.message, error.hint)
        return error.exit_status
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has seen enough. Nothing is left to be flushed at the exit, either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    if isinstance(error, OSError):
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    else:
        complain(f"unexpected {type(error).__name__}: {error}", f"set {DEBUG_VARIABLE}=1 to see where it comes from")
    return EXIT_ERROR

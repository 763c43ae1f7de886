"""The ``wasmoci`` command: parses arguments, calls the library, and prints the results.

There is one module for each sub-command (:class:`wasmoci.cli.parsing.Command`). What a sub-command needs is imported
when it runs, so that the command starts fast.
"""

from __future__ import annotations

import os
import signal
import sys

from wasmoci import __version__
from wasmoci._startup.process import begin, end
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.cli.output import complain, prepare
from wasmoci.errors import WasmociError
from wasmoci.text.escape import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

EXIT_ERROR = 125
"""The status for an error of wasmoci itself, as with Docker and Podman, so that it isn't mistaken for a guest's."""

DEBUG_VARIABLE = "WASMOCI_DEBUG"


COMMANDS = {
    "run": "Run a bundle or an image. The exit status is the guest's; 125, 126 and 127 mean that it didn't run.",
    "explain": "Explain what a run of a bundle, an image or a container of the runtime would do, without running it.",
    "build": "Build an image from a WebAssembly module, reproducibly.",
    "pull": "Copy an image from a registry, a layout or an archive into the local store.",
    "push": "Copy an image to a registry, a layout or an archive.",
    "images": "List the images in the local store.",
    "inspect": "Print an image's manifest and config as JSON.",
    "unpack": "Unpack an image into a bundle, which runc and crun accept as well.",
    "rm": "Remove images from the local store.",
    "prune": "Remove blobs, root file systems and interrupted transfers that no image needs from the local store.",
    "cache": "Show, prune or fill the compile cache.",
    "engines": "List the registered engines and their capabilities.",
    "doctor": "Report what is installed, what is missing, and what to do about it.",
    "config": "Print or install the configuration that makes Podman, containerd, CRI-O, Docker or Kubernetes use wasmoci-runtime.",
}
"""The sub-commands in the order in which they are listed, each with one line about it."""


def read(argv: Sequence[str]) -> Any:
    """Parse a command line; return its options, with the sub-command's module as ``command``. Exit if it is invalid."""
    from wasmoci.cli.parsing import parser  # noqa: PLC0415  9 ms of a start that asks for the version

    return parser([name for name in argv[:1] if name in COMMANDS]).parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments after the program's name; None for those of the process.

    Returns:
        The exit status.
    """
    prepare()
    options = None
    try:
        argv = sys.argv[1:] if argv is None else list(argv)
        if argv == ["--version"]:
            return tell_version()
        options = read(argv)
        status: int = options.command.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except SystemExit as end:
        # Only the help exits with 0. A handler that calls exit has not run its guest to its end.
        return end.code if isinstance(end.code, int) and (end.code or options is None) else EXIT_ERROR
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE) and not isinstance(error, WasmociError):
            raise
        return _failure(error)
    return status


def tell_version() -> int:
    """Print the version, and return the exit status."""
    print(f"wasmoci {__version__}", flush=True)
    return 0


def program() -> NoReturn:
    """Run the command as a process, and exit."""
    begin()
    end(main())


def _failure(error: Exception) -> int:
    """Print an error, and return its exit status."""
    if isinstance(error, WasmociError):
        complain(error.message, error.hint)
        return error.exit_status
    if isinstance(error, BrokenPipeError):
        # The reader has closed our output, so there must be nothing to flush at the exit, either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    if isinstance(error, OSError):
        complain(one_line(f"{error.filename}: {error.strerror}" if error.filename else error))
    else:
        complain(
            one_line(f"unexpected {type(error).__name__}: {error}"),
            f"set {DEBUG_VARIABLE}=1 to see where it comes from",
        )
    return EXIT_ERROR

"""``wasmoci run``: runs a bundle or an image with this process's streams."""

from __future__ import annotations

import contextlib
import os
import signal

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.cli.image_options import WORKLOAD_HELP, Bar, add_image, add_native, image_options
from wasmoci.cli.options import REMAINDER, add_choice, add_compile_timeout, count, run_options, settled
from wasmoci.cli.output import complain, tell
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.dispatch.opening import opened
from wasmoci.dispatch.request import Request
from wasmoci.errors import InvalidInput
from wasmoci.result import ExitReason
from wasmoci.text import log

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from types import FrameType
    from typing import NoReturn

    from wasmoci.oci.bundle import Bundle
    from wasmoci.options import RunOptions
    from wasmoci.result import ExecutionResult

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Stopped(BaseException):
    """A signal has asked the command to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options and arguments."""
    add_choice(parser)
    add_compile_timeout(parser)
    parser.add_argument("--fuel", metavar="N", type=count, help="limit the instructions, on an engine that supports it")
    parser.add_argument("--env", "-e", metavar="NAME=VALUE", action="append", help="set a variable; may be repeated")
    parser.add_argument(
        "--volume",
        "-v",
        metavar="HOST:GUEST[:ro]",
        action="append",
        default=[],
        help="mount a directory or file of the host; may be repeated",
    )
    parser.add_argument("--workdir", "-w", metavar="PATH", help="the working directory, an absolute guest path")
    parser.add_argument(
        "--read-only", action="store_true", default=None, help="make the guest's root file system read-only"
    )
    add_image(parser)
    add_native(parser)
    parser.add_argument("bundle", metavar="BUNDLE|IMAGE", help=WORKLOAD_HELP)
    args = parser.add_argument(
        "args",
        metavar="ARG",
        nargs=REMAINDER,
        help="arguments for the program, instead of the bundle's or the image's Cmd",
    )
    args.required = False  # otherwise argparse would list it among the missing arguments


def run(options: argparse.Namespace) -> int:
    """Run the bundle, and return the guest's status."""
    asked = run_options(
        options,
        args=[_unicode(arg) for arg in options.args] or None,
        env=None if options.env is None else [_unicode(variable) for variable in options.env],
        volumes=options.volume,
        cwd=None if options.workdir is None else _unicode(options.workdir),
        read_only=options.read_only,
        fuel=options.fuel,
        native=options.native,
    )
    log.listen(lambda message: complain(message, kind="warning"))
    _listen(stop=True)
    try:
        with contextlib.ExitStack() as stack:
            bundle = stack.enter_context(_opened(asked, options))
            result = Dispatcher(settings=settled(options)).execute(
                Request.of(asked, bundle, asked.streams), ready=lambda: _listen(stop=False)
            )
    except _Stopped as stopped:
        _die(stopped.number)
    _report(result)
    return result.exit_status


@contextlib.contextmanager
def _opened(asked: RunOptions, options: argparse.Namespace) -> Iterator[Bundle]:
    """Open the bundle, or the image as a bundle; a progress bar shows the transfer of an image."""
    with contextlib.ExitStack() as stack:
        with Bar() as bar:
            bundle = stack.enter_context(opened(asked, image=lambda: {**image_options(options), "progress": bar}))
        yield bundle


def _unicode(text: str) -> str:
    """Decode an argument as the guest gets it: as UTF-8, whatever the locale is."""
    try:
        return os.fsencode(text).decode()
    except UnicodeDecodeError:
        raise InvalidInput(
            f"{os.fsencode(text)!r}: not UTF-8, which a guest's arguments and variables have to be"
        ) from None


def _listen(*, stop: bool) -> None:
    """Set what the signals that end the command do.

    Python's own handlers would wait for the guest to return, which it may never do. So a signal ends the process
    directly, and the kernel ends a worker process with it. A native container would continue, and a lock on the compile
    cache would be left: in these cases the command first ends what it has started.
    """
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # ignored by nohup, for example
            signal.signal(number, _stop if stop else signal.SIG_DFL)


def _stop(number: int, _frame: FrameType | None) -> None:
    raise _Stopped(number)


def _die(number: int) -> NoReturn:
    """End by a signal, so that the parent process sees it."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # in case the signal is ignored, as for the first process of a PID namespace


def _report(result: ExecutionResult) -> None:
    """Print how a guest ended, unless it exited by itself."""
    if result.reason is ExitReason.EXITED:
        return
    tell(
        f"wasmoci: the guest {_ENDINGS[result.reason.value]}: {result.message or 'no more is known'} ({result.engine})"
    )
    for frame in result.backtrace:
        tell(f"  at {frame}")


_ENDINGS = {
    "trapped": "trapped",
    "timed-out": "was stopped",
    "out-of-memory": "ran out of memory",
    "signaled": "was stopped",
}

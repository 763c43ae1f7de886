"""The first process of a Wasm container: runs the guest in a child process, and exits with its status.

It is run as a program, ``python -I -S init.py PROGRAM ARGUMENT...``, and imports nothing but the standard library. The engine is
in the child, because the first process of a PID namespace gets no signal but those that it has a handler for, and Python's
handlers wait until an engine returns, which a guest may never let it do. The child has the kernel's own dispositions.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1)
"""The signals that end a guest; all others are ignored where possible."""

_FAILED = 125
"""The status when the guest's is not known, see :class:`wasmoci.errors.WasmociError`."""

_IGNORED = (
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGPIPE,
    signal.SIGIO,
    signal.SIGWINCH,
)


def main() -> NoReturn:
    """Run the guest, and exit with its status."""
    os.chdir("/")  # from the guest's working directory, which the native runtime has made
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, no status is told
    awaited = {*ENDING, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    parent = os.getpid()
    status = _FAILED
    try:
        child = os.fork()
        if child == 0:
            _end_with(parent)
            for number in ENDING:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, awaited)
            status = _run()
        else:
            status = _wait(child, awaited)
    except BaseException as error:  # noqa: BLE001  whatever it is, the guest has not ended well
        _tell(f"error: {type(error).__name__}: {error}")
    finally:
        os._exit(status)


_LOST = -1


def _end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent is killed, which it would survive without a PID namespace."""
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _wait(child: int, awaited: set[signal.Signals]) -> int:
    """Pass signals on to the guest until it has ended, and return its status."""
    asked = False
    while True:
        number = signal.sigwait(awaited)
        if number != signal.SIGCHLD:
            os.kill(child, number)
            asked = True
            continue
        status = _reap(child)
        if status is None:
            continue
        if status == _LOST:
            _tell("error: the status of the guest's process is lost")
            return _FAILED
        if os.WIFEXITED(status):
            return os.WEXITSTATUS(status)
        signal_number = os.WTERMSIG(status)
        if not asked:
            _tell_of_signal(signal_number)
        return 128 + signal_number


def _reap(child: int) -> int | None:
    """Reap ended processes, including orphans; return the status of the guest's process if it is among them.

    Where there is no child any more, and its status hasn't been among them, it is :data:`_LOST`.
    """
    found = None
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return _LOST if found is None else found
        if process == 0:
            return found
        if process == child:
            found = status


def _tell_of_signal(number: int) -> None:
    """Print the most likely reason why the guest was killed, which can't be known for certain."""
    text = f"the guest's process was ended by signal {number}"
    if number == signal.SIGKILL:
        text += ", as the kernel does to one that needs more memory than the container has"
    elif number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGABRT, signal.SIGFPE, signal.SIGTRAP):
        text += ": the engine crashed"
    _tell(text)


def _tell(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"wasmoci-runtime: {text}\n".encode(errors="backslashreplace"))


def _run() -> int:
    environment = os.environ
    sys.path += environment["WASMOCI_PATH"].split(":")  # behind the standard library, as ever
    from wasmoci._startup.process import begin

    begin()
    from wasmoci.runtime.guest import main as run

    return run(sys.argv[1:], environment)


if __name__ == "__main__":
    main()

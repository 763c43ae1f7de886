"""What a process has only one of, and what a handler's runs have changed of it."""

from __future__ import annotations

import ctypes
import gc
import locale
import logging
import os
import random
import resource
import signal
import sys
import threading
from pathlib import Path

_RESOURCES = [name for name in dir(resource) if name.startswith("RLIMIT_")]
_TIMERS = ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")


def environment() -> object:
    """The variables that a child process would get; those of ``os.environ`` are Python's copy."""
    environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    variables: list[bytes] = []
    while environ and (variable := environ[len(variables)]) is not None:
        variables.append(variable)
    return sorted(variables)


def umask() -> str:
    """Without setting it."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("Umask:"))


def streams() -> object:
    """Python's, and what the descriptors behind them are."""
    objects = (id(sys.stdin), id(sys.stdout), id(sys.stderr))
    return objects, [os.fstat(number)[:3] for number in range(3)]


def limits() -> object:
    """What the kernel allows the process."""
    allowed = {name: resource.getrlimit(getattr(resource, name)) for name in _RESOURCES}
    return allowed, os.getpriority(os.PRIO_PROCESS, 0)


def timers() -> object:
    """Which are set; what is left of them passes."""
    return [name for name in _TIMERS if signal.getitimer(getattr(signal, name)) != (0.0, 0.0)]


def signal_handlers() -> object:
    """Of all signals."""
    return [signal.getsignal(number) for number in sorted(signal.valid_signals())]


def signal_mask() -> object:
    """Of this thread."""
    return signal.pthread_sigmask(signal.SIG_BLOCK, [])


def interpreter() -> dict[str, object]:
    """What else any code in the process relies on."""
    return {
        "the recursion limit": sys.getrecursionlimit(),
        "the switch interval": sys.getswitchinterval(),
        "the garbage collector": gc.isenabled(),
        "sys.path": list(sys.path),
        "sys.excepthook": sys.excepthook,
        "sys.unraisablehook": sys.unraisablehook,
        "threading.excepthook": threading.excepthook,
        "the trace function": sys.gettrace(),
        "the state of the module random": random.getstate(),
        "the locale": locale.setlocale(locale.LC_ALL),
        "the root logger": (logging.root.level, list(logging.root.handlers)),
    }


def standing() -> dict[str, object]:
    """All of it, by the words of a message."""
    return {
        "the working directory": os.getcwd(),  # noqa: PTH109  as it was set
        "os.environ": dict(os.environ),
        "the environment of child processes": environment(),
        "the streams": streams(),
        "the umask": umask(),
        "the signal handlers": signal_handlers(),
        "the signal mask": signal_mask(),
        "the timers": timers(),
        "the resource limits": limits(),
        **interpreter(),
    }


def changes(before: dict[str, object], after: dict[str, object]) -> list[str]:
    """What isn't as it was."""
    return [what for what, value in before.items() if after[what] != value]

"""Captures the global state of a process, to detect what a handler's runs change in it."""

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
    """Return the variables that a child process would get; ``os.environ`` is only Python's copy."""
    environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    variables: list[bytes] = []
    while environ and (variable := environ[len(variables)]) is not None:
        variables.append(variable)
    return sorted(variables)


def umask() -> str:
    """Return the umask without changing it."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("Umask:"))


def streams() -> object:
    """Return Python's standard streams, and what their descriptors are open on."""
    objects = (id(sys.stdin), id(sys.stdout), id(sys.stderr))
    return objects, [os.fstat(number)[:3] for number in range(3)]


def limits() -> object:
    """Return the kernel's resource limits of the process."""
    allowed = {name: resource.getrlimit(getattr(resource, name)) for name in _RESOURCES}
    return allowed, os.getpriority(os.PRIO_PROCESS, 0)


def timers() -> object:
    """Return which timers are set; their remaining times differ anyway."""
    return [name for name in _TIMERS if signal.getitimer(getattr(signal, name)) != (0.0, 0.0)]


def signal_handlers() -> object:
    """Return the handlers of all signals."""
    return [signal.getsignal(number) for number in sorted(signal.valid_signals())]


def signal_mask() -> object:
    """Return the signal mask of this thread."""
    return signal.pthread_sigmask(signal.SIG_BLOCK, [])


def interpreter() -> dict[str, object]:
    """Return the other global settings of the interpreter."""
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
    """Return the whole state, by names for messages."""
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
    """Return the names of what has changed."""
    return [what for what, value in before.items() if after[what] != value]

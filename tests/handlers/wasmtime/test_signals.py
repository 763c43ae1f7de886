"""Signals to a program that runs a guest without a limit on its main thread."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]

_BEGIN = """
import contextlib, os, pathlib, random, signal, sys, tempfile, threading, time
sys.ps1 = ">>> "  # as in an interactive session
import wasmoci
from tests.support.bundles import write_bundle
from tests.support.guests import build

def made(name):
    return wasmoci.Bundle.load(write_bundle(pathlib.Path(sys.argv[1]) / pathlib.Path(name).stem, build(name)))

def run(bundle, **options):
    return wasmoci.run(bundle, engine="wasmtime", isolation="inline", **options)

def taking(function):
    return wasmoci.Stdio(stdin=b"", stdout=function, stderr=wasmoci.Stream.NULL)

def later(seconds, number=signal.SIGINT):
    timer = threading.Timer(seconds, os.kill, (os.getpid(), number))
    timer.start()
    return timer
"""


def program(tmp_path: Path, code: str) -> str:
    """What a program prints, which writes nothing to its standard error."""
    done = subprocess.run(
        [sys.executable, "-c", _BEGIN + code, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=REPOSITORY,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("options", ["", "stdio=taking(lambda data: None)", "fuel=10**15", "stdin=b'x' * 10"])
@pytest.mark.parametrize("guest", ["loop", "sleep"])
def test_guest_without_a_limit(tmp_path: Path, guest: str, options: str) -> None:
    """Ctrl-C ends a guest that computes, or sleeps, and reaches the caller; nothing is left of either."""
    code = f"""
bundle = made({guest!r})
before = signal.getsignal(signal.SIGINT)
timer = later(0.5)
try:
    run(bundle, {options})
except KeyboardInterrupt as error:
    timer.join()
    print("interrupted", threading.active_count(), signal.getsignal(signal.SIGINT) is before)
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
except KeyboardInterrupt:
    print("as before")
print(run(made("hello")).stdout)
"""
    assert program(tmp_path, code) == "interrupted 1 True\nas before\nb'Hello, World!\\n'\n"


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGALRM", "SIGUSR1"])
def test_handlers(tmp_path: Path, number: str) -> None:
    """A handler that returns doesn't end the guest and is called at once; one that raises ends it, with what it raises."""
    code = f"""
bundle, seen = made("loop"), []
def handler(number, frame):
    seen.append(number)
    if len(seen) == 3:
        raise SystemExit("three")
signal.signal(signal.{number}, handler)
timers = [later(seconds, signal.{number}) for seconds in (0.4, 0.8, 1.2)]
try:
    run(bundle)
except SystemExit as error:
    print(error, len(seen))
"""
    assert program(tmp_path, code) == "three 3\n"


def test_at_whatever_moment(tmp_path: Path) -> None:
    """However a signal hits a run, what its handler raises reaches the caller, and nothing is printed."""
    code = """
bundles = [made(name) for name in ("hello", "sleep", "loop")]
run(bundles[0])
signal.signal(signal.SIGALRM, signal.default_int_handler)
random.seed(1)
for turn in range(150):
    bundle = bundles[max(turn % 6 - 3, 0)]
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.003))
        for _ in range(1000):
            run(bundle)
        print("lost")
    except KeyboardInterrupt:
        pass
print(threading.active_count())
"""
    assert program(tmp_path, code) == "1\n"


def test_within_a_function_that_takes_the_output(tmp_path: Path) -> None:
    """A signal reaches Python while the host takes the output, and in a run within a run."""
    code = """
hello, loop = made("hello"), made("loop")
def inner(data):
    later(0.3)
    try:
        run(loop)
    except KeyboardInterrupt:
        print("inner")
def sleeper(data):
    later(0.3)
    time.sleep(60)
print(run(hello, stdio=taking(inner)).exit_code)
try:
    run(hello, stdio=taking(sleeper))
except KeyboardInterrupt:
    print("outer")
later(0.5)
try:
    run(loop)
except KeyboardInterrupt:
    print("still")
"""
    assert program(tmp_path, code) == "inner\n0\nouter\nstill\n"

"""Several processes at once, and processes that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from wasmoci.compiled.lock import lock

if TYPE_CHECKING:
    from tests.compiled.conftest import Counter

ROOT = Path(__file__).parents[2]
SLOW = """
import sys, time
from pathlib import Path
from wasmoci import compiled

def make():
    print("making", flush=True)
    time.sleep(float(sys.argv[1]))
    return b"code"

key = compiled.Key("m", "slow", "1", "")
print(compiled.fetch(key, make=make, dump=bytes, load=lambda path: Path(path).read_bytes()), flush=True)
"""
STORING = """
import os, sys
from tests.compiled.conftest import Counter
from wasmoci.compiled import entries

def write(descriptor, data):
    os.pwrite(descriptor, bytes(data[:10]), 0)
    print("writing", flush=True)
    sys.stdin.read()

entries.os = type("os", (), {**vars(os), "write": staticmethod(write)})
Counter().get()
"""


def start(program: str, *args: str) -> subprocess.Popen[str]:
    """Start a process, with pipes."""
    command = [sys.executable, "-c", program, *args]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_processes(cache: Path) -> None:
    """Of several processes that start with the same module one makes it; the lock is gone afterwards."""
    processes = [start(SLOW, "0.5") for _ in range(4)]
    output = "".join(process.communicate()[0] for process in processes)
    assert output.count("making") == 1
    assert output.count("b'code'") == 4
    assert sorted(file.suffix for file in cache.iterdir()) == [".code", ".json"]


def test_threads(cache: Path, counter: Counter) -> None:
    """Threads wait for one another as processes do."""
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda: answers.append(counter.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [b"m" * 100] * 8
    assert counter.made == 1
    assert cache.exists()


def test_killed_while_it_compiles(cache: Path) -> None:
    """Whoever waits for a process that is killed makes it instead."""
    first = start(SLOW, "600")
    assert first.stdout is not None
    assert first.stdout.readline() == "making\n"
    second = start(SLOW, "0")
    time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    assert second.communicate()[0] == "making\nb'code'\n"
    first.communicate()
    assert sorted(file.suffix for file in cache.iterdir()) == [".code", ".json"]


def test_killed_while_it_stores(cache: Path, counter: Counter) -> None:
    """Half a file is never taken for an entry, and goes with the next one that is made."""
    process = start(STORING)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    process.kill()
    process.communicate()
    assert [file.name[-10:] for file in cache.glob("*.part")] == [".code.part"]
    assert counter.get() == b"m" * 100
    assert counter.made == 1
    assert sorted(file.suffix for file in cache.iterdir()) == [".code", ".json"]


def test_forked_under_the_lock(tmp_path: Path) -> None:
    """A child that was forked while its parent held a lock does not keep it."""
    directory = os.open(tmp_path, os.O_RDONLY)
    child = 0
    try:
        with lock(directory, "x"):
            child = os.fork()
            if child == 0:
                time.sleep(600)
                os._exit(0)
        with lock(directory, "x", patience=0) as free:
            assert free
        assert list(tmp_path.iterdir()) == []
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(directory)


def test_patience(tmp_path: Path) -> None:
    """A lock that is held for too long is not waited for."""
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        with lock(directory, "x") as first, lock(directory, "x", patience=0.01) as second:
            assert (first, second) == (True, False)
    finally:
        os.close(directory)

"""Measures the memory of idle guests, inline in threads, in workers and in containers, and the time until all run.

Each guest sleeps after it has written a line. "Memory" is the proportional set size of the processes that belong to the
guests: a page shared by several of them counts in part for each. Inline and in workers it includes the program that
started them (0 guests), and in workers the server that forks them. Containers are created and started one after the
other, two at a time, with a warm cache; a native program over runc alone is measured in the same way.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING

from benchmarks import containers, measure
from benchmarks.report import Cell, Chart, Section, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = """
import contextlib, sys, threading, time, wasmoci
bundle, engine, how, count = wasmoci.Bundle.load(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
def run():
    wasmoci.Dispatcher().run(bundle, engine=engine, isolation=wasmoci.Isolation.INLINE)
def hold():
    with wasmoci.start(bundle, engine=engine) as guest:
        guest.wait_for_line("begun", timeout=300)
        print("begun", flush=True)
        time.sleep(600)
if count == 0:
    wasmoci.run(bundle, engine=engine, args=["0"])  # so that all is loaded that a first guest takes
for number in range(count):
    threading.Thread(target=hold if how == "workers" else run, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""
IDLE = '#include <stdio.h>\n#include <unistd.h>\nint main(void) { puts("begun"); fflush(stdout); for (;;) pause(); }\n'
NUMBERS = itertools.count()
COUNTS, CONTAINERS = (1, 10, 100), (1, 10, 50)


@contextlib.contextmanager
def in_program(bundle: Path, engine: str, how: str, count: int) -> Iterator[set[int]]:
    """Start guests in one program, inline or in workers; yield its processes once all guests run."""
    command = [sys.executable, "-c", PROGRAM, str(bundle), engine, how, str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=measure.ROOT) as process:
        try:
            await_lines(process.stdout, count + 1)
            yield {process.pid} | measure.descendants(process.pid)
        finally:
            process.kill()


@contextlib.contextmanager
def in_containers(command: list[str], bundle: Path, count: int) -> Iterator[set[int]]:
    """Start guests in containers of a runtime; yield their processes once all guests run."""
    names = [f"wasmoci-bench-{os.getpid()}-{next(NUMBERS)}" for _ in range(count)]
    reading, writing = os.pipe()

    def call(*arguments: str | Path, check: bool = True) -> None:
        subprocess.run([*command, *map(str, arguments)], check=check, stdin=subprocess.DEVNULL, stdout=writing)

    def begin(name: str) -> int:
        call("create", "--bundle", bundle, "--pid-file", bundle / name, name)
        call("start", name)
        return int((bundle / name).read_text())

    with ThreadPoolExecutor(2) as executor, open(reading, "rb") as output:  # noqa: PTH123  a descriptor
        try:
            first = list(executor.map(begin, names))
            await_lines(output, count)
            yield {pid for parent in first for pid in (parent, *measure.descendants(parent))}
        finally:
            list(executor.map(lambda name: call("delete", "--force", name, check=False), names))
            os.close(writing)


def await_lines(stream: IO[bytes] | None, count: int) -> None:
    """Read a number of lines."""
    for _ in range(count):
        if stream is None or not stream.readline():
            raise RuntimeError("the guests ended early")


def measured(guests: contextlib.AbstractContextManager[set[int]]) -> tuple[float, float]:
    """Return the seconds until all run, and MiB."""
    began = time.perf_counter()
    with guests as pids:
        taken = time.perf_counter() - began
        return taken, measure.memory(pids)


def native_idle(scratch: Path) -> Path:
    """Make a bundle of a native program that idles."""
    (scratch / "rootfs").mkdir(parents=True)
    (scratch / "idle.c").write_text(IDLE)
    subprocess.run(["cc", "-O2", "-static", "-o", scratch / "rootfs/app", scratch / "idle.c"], check=True)
    return containers.write_bundle(scratch, "/app")


def main() -> None:
    """Measure, and report."""
    options = measure.options(__doc__)
    section = Section("Many idle guests", " ".join((__doc__ or "").split()))
    section.notes = (
        "A container has an interpreter of its own, which is most of its memory; guests inline share one, and workers share what their "
        "server had loaded before it forked them."
    )
    counts = COUNTS[:2] if options.quick else COUNTS
    table = Table("", ["guests", "how many", "seconds until all run", "MiB", "MiB for each more"])
    series: dict[str, list[float | None]] = {}
    with tempfile.TemporaryDirectory(prefix="wasmoci-bench-") as temporary:
        scratch = Path(temporary)
        bundle = containers.wasm_bundle(scratch / "wasm", "sleep", "3600")
        for engine in ("wasmtime", "wasm3"):
            for how in ("inline", "workers"):
                found = [measured(in_program(bundle, engine, how, count)) for count in (0, *counts)]
                add(table, series, f"{how}, {engine}", (0, *counts), found)
        native = native_idle(scratch / "native")
        if containers.usable_natives(containers.native_bundle(scratch / "hello")):
            counts = CONTAINERS[:2] if options.quick else CONTAINERS
            for name, command, what in (
                ("wasmoci-runtime, Wasm", containers.ours("runc"), bundle),
                ("runc, native", containers.native("runc"), native),
            ):
                found = [measured(in_containers(command, what, count)) for count in counts]
                add(table, series, name, counts, found)
        else:
            section.missing.append("containers: they need root, and runc")
    section.tables.append(table)
    section.charts.append(
        Chart(
            "memory", "Memory of idle guests", "MiB for each more", list(series), {"": [v[0] for v in series.values()]}
        )
    )
    section.finish(options.json)


def add(
    table: Table,
    series: dict[str, list[float | None]],
    name: str,
    counts: tuple[int, ...],
    found: list[tuple[float, float]],
) -> None:
    """Add rows, with the memory of each further guest."""
    per_guest = (found[-1][1] - found[0][1]) / (counts[-1] - counts[0])
    for count, (taken, memory) in zip(counts, found, strict=True):
        row: list[Cell] = [name, count, taken, memory, per_guest if count == counts[-1] else ""]
        table.rows.append(row)
    series[name] = [per_guest]


if __name__ == "__main__":
    main()

"""Runs a hello in warm workers, beside `runc run` and `crun run` of a native one, in the same run.

    python benchmarks/bench_workers.py [--runs 60] [--rounds 3] [--soak 2000]

A row for each engine: the time of one run, and containers per second with so many in flight. The native container is a static
program that prints one line, on the same root file system. Each takes its turn within a round, so that what else goes on on the
machine hits all of them; the best round of each counts. On a host with hybrid cgroups, on which crun doesn't work, its row has the
cost of a mount namespace in which it does: one or two milliseconds. ``--soak`` runs so many in workers instead, and shows that memory and
descriptors stay as they are. Needs root for runc and crun, and cc; what isn't there is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import wasmoci

if TYPE_CHECKING:
    from collections.abc import Callable

HELLO = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'
ENGINES = ("wasmtime", "wasm3", "wasmer")
IN_FLIGHT = (1, 8, 32)
NATIVE = ("runc", "crun")


def write_bundle(directory: Path, program: str, annotations: dict[str, str]) -> Path:
    """Write a bundle around a program that is in its root already."""
    document = {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": [program], "cwd": "/"},
        "root": {"path": "rootfs", "readonly": True},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "annotations": annotations,
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
    }
    (directory / "config.json").write_text(json.dumps(document))
    return directory


def make_bundles(scratch: Path) -> tuple[Path, Path]:
    """Compile both programs; give the bundle of the Wasm one, and of the native one."""
    source = scratch / "hello.c"
    source.write_text(HELLO)
    for name in ("wasm", "native"):
        (scratch / name / "rootfs/proc").mkdir(parents=True)
    target = scratch / "wasm/rootfs/hello.wasm"
    subprocess.run(["clang", "--target=wasm32-wasi", "-O2", "-Wl,--strip-all", "-o", target, source], check=True)
    subprocess.run(["cc", "-O2", "-static", "-o", scratch / "native/rootfs/hello", source], check=True)
    return (
        write_bundle(scratch / "wasm", "/hello.wasm", {"run.oci.handler": "wasm"}),
        write_bundle(scratch / "native", "/hello", {}),
    )


def native_command(name: str, bundle: Path) -> Callable[[], None]:
    """What runs the native container once."""
    command = f'exec {name} run --bundle "$0" "bench-$$"'
    if name == "crun" and Path("/sys/fs/cgroup/unified/cgroup.controllers").exists():
        # It refuses to work on a host whose cgroups are half version 1, half version 2.
        command = f"umount /sys/fs/cgroup/unified; {command}"
        return lambda: run_quietly(["unshare", "-m", "sh", "-c", command, str(bundle)])
    return lambda: run_quietly(["sh", "-c", command, str(bundle)])


def run_quietly(command: list[str]) -> None:
    """Run a command, which has to succeed."""
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def usable(name: str, bundle: Path) -> bool:
    """Whether a native runtime runs the container here."""
    try:
        native_command(name, bundle)()
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def measure(run: Callable[[], object], runs: int, in_flight: int) -> list[float]:
    """Seconds for each run, and last for all."""

    def once(_number: int) -> float:
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    with ThreadPoolExecutor(in_flight) as executor:
        began = time.perf_counter()
        single = list(executor.map(once, range(runs)))
        return [*single, time.perf_counter() - began]


def compare(runs: int, rounds: int) -> dict[str, dict[str, float]]:
    """For each contender the median milliseconds of a run, and containers per second with so many in flight."""
    with tempfile.TemporaryDirectory(prefix="wasmoci-bench-") as temporary:
        wasm, native = make_bundles(Path(temporary))
        loaded = wasmoci.Bundle.load(wasm)
        available = {status.name for status in wasmoci.engines() if status.available}
        with wasmoci.WorkerPool(max(IN_FLIGHT)) as pool:
            contenders: dict[str, Callable[[], object]] = {
                f"warm worker, {name}": lambda name=name: pool.run(loaded, engine=name).check()  # type: ignore[misc]
                for name in ENGINES
                if name in available
            }
            contenders |= {f"{name}, native": native_command(name, native) for name in NATIVE if usable(name, native)}
            found: dict[str, dict[str, float]] = {name: {} for name in contenders}
            for run in contenders.values():
                run()
            for _ in range(rounds):
                for name, run in contenders.items():
                    for count in IN_FLIGHT:
                        *single, everything = measure(run, runs, count)
                        keep(found[name], f"per second, {count} in flight", runs / everything, max)
                        if count == 1:
                            keep(found[name], "ms", statistics.median(single) * 1000, min)
    return found


def keep(row: dict[str, float], column: str, value: float, better: Callable[[float, float], float]) -> None:
    """Keep the better of two rounds."""
    row[column] = better(row.get(column, value), value)


def soak(runs: int) -> None:
    """Run many in workers, 8 in flight, and show what the process holds on the way."""
    with tempfile.TemporaryDirectory(prefix="wasmoci-bench-") as temporary:
        wasm, _ = make_bundles(Path(temporary))
        with wasmoci.WorkerPool(8, engines=("wasmtime",)) as pool, ThreadPoolExecutor(8) as executor:
            for done in range(0, runs + 1, max(runs // 10, 1)):
                pages = int(Path("/proc/self/statm").read_text().split()[1])
                resident = pages * os.sysconf("SC_PAGESIZE") / (1 << 20)
                descriptors = len(list(Path("/proc/self/fd").iterdir()))
                print(f"{done:6} runs: {resident:6.1f} MiB, {descriptors} descriptors", flush=True)
                if done < runs:
                    list(executor.map(lambda _: pool.run(wasm).check(), range(max(runs // 10, 1))))


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Times runs in warm workers beside native containers.")
    parser.add_argument("--runs", type=int, default=60, help="runs in each round (default: 60)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument(
        "--soak", type=int, metavar="RUNS", help="show memory and descriptors over so many runs instead"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if not (shutil.which("clang") and shutil.which("cc")):
        raise SystemExit("bench_workers: needs clang with a libc for WASI, and cc")
    if options.soak:
        soak(options.soak)
        return
    found = compare(options.runs, options.rounds)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    columns = ["ms", *(f"per second, {count} in flight" for count in IN_FLIGHT)]
    print(f"{'':24}" + "".join(f"{column:>27}" for column in columns))
    for name, row in found.items():
        print(f"{name:24}" + "".join(f"{row[column]:27.1f}" for column in columns))
    for peer in (name for name in found if name.endswith("native")):
        for name in (name for name in found if not name.endswith("native")):
            print(f"{name} takes {found[name]['ms'] / found[peer]['ms']:.2f} times as long as {peer}")


if __name__ == "__main__":
    main()

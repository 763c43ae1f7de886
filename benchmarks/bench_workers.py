"""Runs a hello in warm workers, and a native one with `runc run` and `crun run`.

The native container is a static program that prints the same line, with namespaces of its own for processes, mounts,
IPC and host name. crun doesn't work on a host with hybrid cgroups; there its time includes the creation of the mount
namespace in which it does, one or two milliseconds. wasm3 has no sandbox, so its workers are in the jail; workers of
wasm3 outside the jail are measured as well. Each is measured once per round. Containers per second are counted with 1,
8 and 32 concurrent threads.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import wasmoci
from benchmarks import containers, measure
from benchmarks.report import Chart, Section, Table, Verdict
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.dispatch.request import Request
from wasmoci.isolation.warm_servers import Servers

if TYPE_CHECKING:
    from collections.abc import Callable

ENGINES = ("wasmtime", "wasm3", "wasmer")
IN_FLIGHT = (1, 8, 32)
SLOW = "warm worker, wasmer"  # which would take most of the time
JAILED, OUTSIDE = "warm worker, wasm3", "warm worker outside the jail, wasm3"
JAIL_AIM = 1.5


def per_second(run: Callable[[], object], runs: int, in_flight: int) -> float:
    """Return the runs per second with a number of concurrent threads."""
    with ThreadPoolExecutor(in_flight) as executor:
        return runs / measure.seconds(lambda: list(executor.map(lambda _: run(), range(runs))))


def outside(bundle: wasmoci.Bundle, servers: Servers) -> Callable[[], object]:
    """Run a hello on wasm3 in a warm worker with the caller's privileges."""
    dispatcher = Dispatcher(servers=servers)
    request = Request(bundle, engine="wasm3", stdio=wasmoci.Stdio.capture(), isolation=wasmoci.Isolation.PROCESS)

    def run() -> None:
        with dispatcher.launch(request) as running:
            running.wait().check()

    return run


def contenders(
    scratch: Path, pool: wasmoci.WorkerPool, servers: Servers, section: Section
) -> dict[str, Callable[[], object]]:
    """Return the ways to run a hello once."""
    bundle = wasmoci.Bundle.load(containers.wasm_bundle(scratch / "wasm"))
    native = containers.native_bundle(scratch / "native")
    available = {status.name for status in wasmoci.engines() if status.available}
    found: dict[str, Callable[[], object]] = {}
    for engine in ENGINES:
        if engine in available:
            found[f"warm worker, {engine}"] = lambda engine=engine: pool.run(bundle, engine=engine).check()
        else:
            section.missing.append(f"workers on {engine}: it isn't installed")
    if JAILED in found:
        found[OUTSIDE] = outside(bundle, servers)
    usable = containers.usable_natives(native)
    found |= {f"{name}, native": containers.runs(containers.native(name), native) for name in usable}
    section.missing += [
        f"{name}: it isn't installed, or can't run a container here" for name in containers.NATIVE if name not in usable
    ]
    return found


def main() -> None:
    """Measure, and report."""
    options = measure.options(__doc__)
    section = Section("Runs in warm workers", " ".join((__doc__ or "").split()))
    section.notes = (
        "Of a worker's processor time more than half is the kernel's, most of it over pages that are copied as soon as the worker writes to them, which "
        "Python does to count references; the rest is the run itself, and wasmtime's threads, which can't be forked and are started for a guest "
        "that writes to the worker's own descriptors. "
        "wasmer's SDK has a process of its own for each run, which can't be forked for its threads: hence its time."
    )
    runs, rounds = (8, 1) if options.quick else (64, 3)
    with (
        tempfile.TemporaryDirectory(prefix="wasmoci-bench-") as scratch,
        wasmoci.WorkerPool(max(IN_FLIGHT)) as pool,
        contextlib.closing(Servers(eager=True)) as servers,
    ):
        found = contenders(Path(scratch), pool, servers, section)
        times = measure.take_turns(found, 5 if options.quick else 40)
        rates: dict[tuple[str, int], list[float]] = {}
        for _, in_flight, (name, run) in itertools.product(range(rounds), IN_FLIGHT, found.items()):
            rates.setdefault((name, in_flight), []).append(
                per_second(run, runs // 8 if name == SLOW else runs, in_flight)
            )
    median = {key: statistics.median(values) for key, values in rates.items()}
    table = Table("", ["", "ms for one", *(f"per second, {count} in flight" for count in IN_FLIGHT)])
    table.rows = [[name, measure.milliseconds(times[name]), *(median[name, n] for n in IN_FLIGHT)] for name in found]
    section.tables.append(table)
    labels = [f"{count} in flight" for count in IN_FLIGHT]
    series: dict[str, list[float | None]] = {name: [median[name, n] for n in IN_FLIGHT] for name in found}
    section.charts.append(Chart("workers", "Containers per second", "per second", labels, series))
    for peer in (name for name in found if name.endswith("native")):
        for name in (name for name in found if name != OUTSIDE and not name.endswith("native")):
            shown, factor = (
                f"{peer}, {measure.milliseconds(times[peer]):.1f} ms",
                measure.ratio(times[name], times[peer]),
            )
            aim = None if name.endswith("wasmer") else 1.0
            section.verdicts.append(
                Verdict(f"hello, {name}", f"{measure.milliseconds(times[name]):.1f} ms", shown, factor, aim)
            )
    if OUTSIDE in found:
        ours, peers = times[JAILED], times[OUTSIDE]
        shown = f"{OUTSIDE}, {measure.milliseconds(peers):.1f} ms"
        factor = measure.ratio(ours, peers)
        section.verdicts.append(
            Verdict(f"hello, {JAILED}, in the jail", f"{measure.milliseconds(ours):.1f} ms", shown, factor, JAIL_AIM)
        )
    section.finish(options.json)


if __name__ == "__main__":
    main()

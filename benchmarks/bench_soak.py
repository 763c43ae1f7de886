"""Runs a hello 10,000 times in this process and 2,000 times in workers, and records memory and descriptors."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import wasmoci
from benchmarks import containers, measure
from benchmarks.report import Chart, Section, Table

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = 10


def soak(table: Table, name: str, step: Callable[[], object], runs: int) -> list[float | None]:
    """Run a number of steps, recording this process's resources after each; return its memory in MiB."""
    kept: list[float | None] = []
    for number in range(1, STEPS + 1):
        step()
        kept.append(measure.resident())
        table.rows.append([name, runs * number // STEPS, measure.resident(), measure.descriptors()])
    return kept


def main() -> None:
    """Measure, and report."""
    options = measure.options(__doc__)
    section = Section("Many runs in one process", " ".join((__doc__ or "").split()))
    table = Table("", ["", "runs", "MiB in memory", "descriptors"])
    series: dict[str, list[float | None]] = {}
    inline, forked = (500, 100) if options.quick else (10_000, 2_000)
    with tempfile.TemporaryDirectory(prefix="wasmoci-bench-") as scratch:
        bundle = containers.wasm_bundle(Path(scratch) / "bundle")
        for engine in ("wasmtime", "wasm3"):

            def some(engine: str = engine) -> None:
                for _ in range(inline // STEPS):
                    wasmoci.run(bundle, engine=engine).check()

            series[f"inline, {engine}"] = soak(table, f"inline, {engine}", some, inline)
        with wasmoci.WorkerPool(8, engines=("wasmtime",)) as pool, ThreadPoolExecutor(8) as executor:

            def some_forked() -> None:
                list(executor.map(lambda _: pool.run(bundle).check(), range(forked // STEPS)))

            series["workers"] = soak(table, "workers", some_forked, forked)
    section.tables.append(table)
    labels = [f"{100 * number // STEPS} %" for number in range(1, STEPS + 1)]
    section.charts.append(Chart("soak", "Memory of the process over many runs", "MiB", labels, series, lines=True))
    section.finish(options.json)


if __name__ == "__main__":
    main()

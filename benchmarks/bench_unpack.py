"""Unpacks one image with wasmoci, umoci and skopeo.

The image has three layers, a third of it hard to compress, and a few thousand files of all sizes. ``umoci unpack`` does
the same work: it verifies, decompresses and writes. ``skopeo copy`` to another layout only verifies and copies. Each is
timed as a process, from start to end, with a warm page cache; its output is removed afterwards, untimed.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import measure
from benchmarks.report import Chart, Section, Table, Verdict
from tests.image.making import make_layout, member, tar

OURS = "wasmoci unpack"


def make_image(directory: Path, megabytes: int, files: int) -> Path:
    """Write the layout; sizes are distributed as in a typical image, with many small files and a few large ones."""
    chance = random.Random(7)  # noqa: S311
    words = [bytes(chance.choices(b"abcdefghijklmnopqrstuvwxyz _\n", k=chance.randint(3, 12))) for _ in range(4000)]
    weights = [chance.paretovariate(1.1) for _ in range(files)]
    scale = megabytes * 1_000_000 / sum(weights)
    layers: list[list[tuple[object, bytes]]] = [[], [], []]
    for number, weight in enumerate(weights):
        size = int(weight * scale)
        if number % 3:
            text = b"".join(chance.choices(words, k=min(size // 7 + 1, 60_000)))
            content = (text * (size // len(text) + 1))[:size]
        else:
            content = chance.randbytes(size)
        name = f"usr/lib/{number % 97}/{number % 13}/file-{number}"
        layers[number % 3].append(member(name, data=content, mode=0o755 if number % 5 == 0 else 0o644))
    return make_layout(directory / "layout", *(tar(*layer) for layer in layers), tag="1")  # type: ignore[arg-type]


def main() -> None:
    """Measure, and report."""
    options = measure.options(__doc__)
    section = Section("Unpacking an image", " ".join((__doc__ or "").split()))
    megabytes, files = (30, 600) if options.quick else (300, 6000)
    with tempfile.TemporaryDirectory(prefix="wasmoci-bench-") as temporary:
        scratch = Path(temporary)
        layout = make_image(scratch, megabytes, files)
        target = scratch / "target"
        commands = {
            OURS: [sys.executable, "-m", "wasmoci", "unpack", f"oci:{layout}:1", str(target)],
            "umoci unpack": ["umoci", "unpack", "--image", f"{layout}:1", str(target)],
            "skopeo copy": ["skopeo", "copy", "--quiet", "--insecure-policy", f"oci:{layout}:1", f"oci:{target}:1"],
        }
        if os.geteuid():
            commands["umoci unpack"].insert(2, "--rootless")
        section.missing += [
            f"{name}: it isn't installed" for name, line in commands.items() if not shutil.which(line[0])
        ]
        runs = {name: measure.command(*line) for name, line in commands.items() if shutil.which(line[0])}
        times = measure.take_turns(runs, 1 if options.quick else 3, tidy=lambda: shutil.rmtree(target))
    found = {name: measure.milliseconds(taken) for name, taken in times.items()}
    section.tables.append(
        Table("", [f"{files} files, {megabytes} MB", "ms"], [[name, taken] for name, taken in found.items()])
    )
    section.charts.append(Chart("unpack", section.title, "ms", list(found), {"": list(found.values())}))
    if peer := times.get("umoci unpack"):
        section.verdicts.append(
            Verdict(
                "`wasmoci unpack`",
                f"{found[OURS]:,.0f} ms",
                f"`umoci unpack`, {found['umoci unpack']:,.0f} ms",
                measure.ratio(times[OURS], peer),
            )
        )
    section.finish(options.json)


if __name__ == "__main__":
    main()

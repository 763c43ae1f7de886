"""Unpacks one image with wasmoci, and with umoci and skopeo beside it, in the same run.

    python benchmarks/bench_unpack.py [--megabytes 300] [--files 6000] [--rounds 3]

The image has three layers, a third of it hard to compress, and a few thousand files of all sizes. ``umoci unpack`` does the
same work: it verifies, decompresses and writes. ``skopeo copy`` to another layout only verifies and copies. Each is timed
as a process of its own, from start to end, on a warm page cache; the rounds are interleaved and the best of each counts.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.image.making import make_layout, member, tar


def make_image(directory: Path, megabytes: int, files: int) -> Path:
    """Write the layout; sizes are spread as in a distribution's image, most files small and a few large."""
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


def timed(command: list[str], target: Path) -> float:
    """Seconds that a command takes; what it made is removed afterwards."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).parent.parent)
    taken = time.perf_counter() - start
    shutil.rmtree(target)
    return taken


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Times the unpacking of an image beside umoci and skopeo.")
    parser.add_argument("--megabytes", type=int, default=300, help="size of the files (default: 300)")
    parser.add_argument("--files", type=int, default=6000, help="how many there are (default: 6000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wasmoci-bench-") as temporary:
        scratch = Path(temporary)
        layout = make_image(scratch, options.megabytes, options.files)
        packed = sum(path.stat().st_size for path in layout.rglob("*") if path.is_file())
        target = scratch / "target"
        commands = {
            "wasmoci unpack": [sys.executable, "-m", "wasmoci", "unpack", f"oci:{layout}:1", str(target)],
            "umoci unpack": ["umoci", "unpack", "--image", f"{layout}:1", str(target)],
            "skopeo copy": ["skopeo", "copy", "--quiet", "--insecure-policy", f"oci:{layout}:1", f"oci:{target}:1"],
        }
        if os.geteuid():
            commands["umoci unpack"].insert(2, "--rootless")
        usable = {name: command for name, command in commands.items() if shutil.which(command[0])}
        found: dict[str, list[float]] = {name: [] for name in usable}
        for _ in range(options.rounds):
            for name, command in usable.items():
                found[name].append(timed(command, target))
    best = {name: min(times) for name, times in found.items()}
    if options.json:
        print(json.dumps({"packed_bytes": packed, "seconds": best}, indent=2))
        return
    print(f"{options.files} files, {options.megabytes} MB, {packed / 1e6:.0f} MB packed, best of {options.rounds}:")
    for name in commands:
        print(f"  {name:15} {best[name]:6.2f} s" if name in best else f"  {name:15} not installed")


if __name__ == "__main__":
    main()

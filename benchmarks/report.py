"""Collects the results of a benchmark (tables, charts, ratios with targets), prints them, and writes them as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

Cell = str | float | int


@dataclass
class Table:
    """Rows under a caption; the first column contains their names."""

    caption: str
    columns: list[str]
    rows: list[list[Cell]] = field(default_factory=list)


@dataclass
class Chart:
    """A bar chart with a group for each label, or lines over numbers.

    Args:
        name: The picture's file name, without its suffix.
        title: Its title.
        unit: The unit of the values.
        labels: The names of the groups, or the numbers on the axis of lines.
        series: A value for each label, by name; None where there is none.
        lines: Whether they are lines, on logarithmic scales.
        logarithmic: Whether bars are on one.
    """

    name: str
    title: str
    unit: str
    labels: list[Any]
    series: dict[str, list[float | None]]
    lines: bool = False
    logarithmic: bool = False


@dataclass
class Verdict:
    """A line of the summary.

    Args:
        what: What was measured.
        ours: Our value, with its unit.
        peer: The peer and its value.
        ratio: The ratio of our value to the peer's.
        aim: The target for the ratio, as a maximum; None for none.
    """

    what: str
    ours: str
    peer: str
    ratio: float
    aim: float | None = None


@dataclass
class Section:
    """The results of one benchmark.

    Args:
        title: Its heading.
        method: What was done, in sentences.
        notes: Where we are slower, and why.
        missing: What could not be measured, and why.
    """

    title: str
    method: str
    notes: str = ""
    tables: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def finish(self, target: Path | None) -> None:
        """Print it, and write it to a file if one is given."""
        print(f"\n{self.title}\n")
        for table in self.tables:
            print(markdown(table), end="\n\n")
        for verdict in self.verdicts:
            aim = "" if verdict.aim is None else f" (aim: at most {verdict.aim:g})"
            print(f"{verdict.what}: {verdict.ours}, beside {verdict.peer}: {verdict.ratio:.2f} times{aim}")
        for line in self.missing:
            print(f"not measured: {line}")
        if target is not None:
            target.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, document: dict[str, Any]) -> Section:
        """Read what :meth:`finish` has written."""
        lists: dict[str, Any] = {
            "tables": [Table(**item) for item in document["tables"]],
            "charts": [Chart(**item) for item in document["charts"]],
            "verdicts": [Verdict(**item) for item in document["verdicts"]],
        }
        return cls(**{**document, **lists})


def markdown(table: Table) -> str:
    """Format a table as Markdown."""
    lines = ["| " + " | ".join(table.columns) + " |", "|---" + "|---:" * (len(table.columns) - 1) + "|"]
    lines += ["| " + " | ".join(map(shown, row)) + " |" for row in table.rows]
    return "\n".join(([f"{table.caption}:", ""] if table.caption else []) + lines)


def shown(cell: Cell) -> str:
    """Format a number with three significant digits."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int) or abs(cell) >= 100:
        return f"{cell:,.0f}"
    return f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}"

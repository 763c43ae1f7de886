"""Shared functions of the benchmarks: options, alternating measurements, timed processes, memory."""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import statistics
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

ROOT = Path(__file__).parent.parent


class Options(argparse.Namespace):
    """The command-line options of every benchmark."""

    quick: bool
    json: Path | None
    beside: Path | None


def options(description: str | None, configure: Callable[[argparse.ArgumentParser], None] = lambda _: None) -> Options:
    """Read the command line.

    Args:
        description: The script's docstring.
        configure: Describes more options.
    """
    parser = argparse.ArgumentParser(description=(description or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="measure only a little, as a test")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to a file as well")
    configure(parser)
    return parser.parse_args(namespace=Options())


def take_turns(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    beforehand: bool = True,
    tidy: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """Time each contender once in every round, so that other load affects all of them alike.

    Args:
        contenders: The functions to call, by name.
        rounds: The number of rounds.
        beforehand: Whether each is called once before the measurement, to fill caches.
        tidy: Called after each call, untimed.

    Returns:
        Seconds, in the order of the rounds.
    """
    for run in contenders.values() if beforehand else ():
        run()
        tidy()
    found: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    order = random.Random(0)  # noqa: S311  the same at each measurement
    for _ in range(rounds):
        # The order is shuffled in each round, so that each contender follows any other one.
        order.shuffle(names)
        for name in names:
            found[name].append(seconds(contenders[name]))
            tidy()
    return found


def seconds(run: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def ratio(ours: Sequence[float], peers: Sequence[float]) -> float:
    """Return the median of the ratios of our time to the peer's within each round."""
    return statistics.median(our / peer for our, peer in zip(ours, peers, strict=True))


def milliseconds(times: Sequence[float]) -> float:
    """The median."""
    return 1000 * statistics.median(times)


def command(
    *arguments: str | Path, variables: Mapping[str, str] | None = None, succeeds: bool = True
) -> Callable[[], None]:
    """Return a function that runs a command to its end, without input and with its output discarded.

    Args:
        arguments: The command and its arguments.
        variables: Additional environment variables.
        succeeds: Whether it has to succeed.
    """

    def run() -> None:
        subprocess.run(
            [str(argument) for argument in arguments],
            check=succeeds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, **(variables or {})},
        )

    return run


def works(run: Callable[[], object]) -> bool:
    """Return whether a command exists and succeeds here."""
    try:
        run()
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def descendants(pid: int) -> set[int]:
    """Return the processes that a process has started, directly or indirectly."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    new = [pid]
    while new:
        new = [child for parent in new for child in children.get(parent, ()) if child not in found]
        found.update(new)
    return found


def memory(pids: Iterable[int]) -> float:
    """Return the proportional set size of processes in MiB: a page that several share counts in part for each."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


def resident() -> float:
    """Return this process's resident memory in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / (1 << 20)


def descriptors() -> int:
    """Return the number of this process's open descriptors."""
    return len(list(Path("/proc/self/fd").iterdir()))

"""Times `wasmoci-runtime run`, `runc run` and `crun run`, and `podman run` over each, with a hello in Wasm and native.

Wasm containers have their module in the compile cache, except where "no cache" is stated. A crun with wasmtime, if it
is installed, compiles each time. The life of a native container is `create`, `start` and `delete`, through
`wasmoci-runtime` and with the native runtime alone. Podman has a separate storage, and no network for its containers.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import containers, measure
from benchmarks.report import Chart, Section, Table, Verdict
from tests.real.podman import Podman
from tests.support.guests import build

if TYPE_CHECKING:
    from collections.abc import Callable

CRUN = "crun run with wasmtime, Wasm"
LIMIT = 60  # milliseconds that passing on a native container may cost


def life(command: list[str], bundle: Path) -> Callable[[], None]:
    """Return the life of a container, whose end is awaited by polling its state."""

    def call(*arguments: str | Path) -> None:
        subprocess.run(
            [*command, *map(str, arguments)],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def run() -> None:
        name = f"wasmoci-bench-{os.getpid()}"
        pid = bundle / "pid"
        call("create", "--pid-file", pid, "--bundle", bundle, name)
        process = int(pid.read_text())
        call("start", name)
        while alive(process):
            time.sleep(0.0005)
        call("delete", name)

    return run


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def bare(section: Section, scratch: Path, rounds: int) -> None:
    """Measure the runtimes by themselves."""
    wasm, native = containers.wasm_bundle(scratch / "wasm"), containers.native_bundle(scratch / "native")
    usable = containers.usable_natives(native)
    section.missing += [f"{name}: it can't run a container here" for name in containers.NATIVE if name not in usable]
    commands = {f"{name} run, native": containers.runs(containers.native(name), native) for name in usable}
    for name in usable:
        commands[f"wasmoci-runtime run over {name}, native"] = containers.runs(containers.ours(name), native)
        commands[f"wasmoci-runtime run over {name}, Wasm"] = containers.runs(containers.ours(name), wasm)
        cold = ["env", "WASMOCI_CACHE=off", *containers.ours(name)]
        commands[f"wasmoci-runtime run over {name}, Wasm, no cache"] = containers.runs(cold, wasm)
    if crun := containers.crun_with_engine(wasm, b"Hello, World!\n"):
        commands[CRUN] = crun
    lives = {f"{name}, create, start and delete": life(containers.native(name), native) for name in usable}
    lives |= {f"wasmoci-runtime over {name}, the same": life(containers.ours(name), native) for name in usable}
    times = measure.take_turns({**commands, **lives}, rounds)
    section.tables.append(Table("", ["", "ms"], [[name, measure.milliseconds(found)] for name, found in times.items()]))
    section.charts.append(chart("runtime", "The runtimes by themselves", {name: times[name] for name in commands}))
    for name in usable:
        through, alone = times[f"wasmoci-runtime over {name}, the same"], times[f"{name}, create, start and delete"]
        more = 1000 * statistics.median(ours - peer for ours, peer in zip(through, alone, strict=True))
        section.verdicts.append(
            Verdict(
                f"a native container's life through `wasmoci-runtime`: {more:.0f} ms more",
                f"{measure.milliseconds(through):.0f} ms",
                f"{name} alone, {measure.milliseconds(alone):.0f} ms; aim: at most {LIMIT} ms more",
                measure.ratio(through, alone),
            )
        )
        ours = times[f"wasmoci-runtime run over {name}, Wasm"]
        peers = {f"`{name} run`, native": times[f"{name} run, native"]}
        if name == "crun" and CRUN in times:
            peers["`crun run` with wasmtime, which compiles"] = times[CRUN]
        for words, peer in peers.items():
            section.verdicts.append(
                Verdict(
                    "`wasmoci-runtime run` of Wasm",
                    f"{measure.milliseconds(ours):.0f} ms",
                    f"{words}, {measure.milliseconds(peer):.0f} ms",
                    measure.ratio(ours, peer),
                )
            )


def chart(name: str, title: str, times: dict[str, list[float]]) -> Chart:
    """Return a bar chart of medians."""
    return Chart(name, title, "ms", list(times), {"": [measure.milliseconds(found) for found in times.values()]})


def under_podman(section: Section, scratch: Path, rounds: int) -> None:
    """Measure the same images under Podman."""
    lacking = [name for name in ("podman", "buildah", "runc") if shutil.which(name) is None]
    if lacking:
        section.missing.append(f"podman run: {', '.join(lacking)} missing")
        return
    podman = Podman(scratch / "podman")
    try:
        wasm, native = "localhost/wasm:1", "localhost/native:1"
        annotations = {"run.oci.handler": "wasm"}
        podman.build(wasm, {"/app.wasm": build("hello")}, '--cmd=["/app.wasm"]', annotations=annotations)
        podman.build(native, {"/app": scratch / "native/rootfs/app"}, '--cmd=["/app"]')
        runc = Path(shutil.which("runc") or "runc")
        commands = {
            "podman run over runc, native": podman.command("run", "--rm", native, runtime=runc),
            "podman run over wasmoci-runtime, native": podman.command("run", "--rm", native),
            "podman run over wasmoci-runtime, Wasm": podman.command("run", "--rm", wasm),
        }
        crun = shutil.which("crun")
        if crun is not None:
            prefix = containers.ONE_HIERARCHY if containers.HYBRID else []
            commands["podman run over crun, native"] = [
                *prefix,
                *podman.command("run", "--rm", native, runtime=Path(crun)),
            ]
        runs = {name: measure.command(*command, variables=podman.environment) for name, command in commands.items()}
        times = measure.take_turns(runs, rounds)
    finally:
        podman.end()
    section.tables.append(Table("", ["", "ms"], [[name, measure.milliseconds(found)] for name, found in times.items()]))
    section.charts.append(chart("podman", "Under Podman", times))
    peer = times["podman run over runc, native"]
    for name in list(commands)[1:]:
        section.verdicts.append(
            Verdict(
                f"`{name}`",
                f"{measure.milliseconds(times[name]):.0f} ms",
                f"over runc, native, {measure.milliseconds(peer):.0f} ms",
                measure.ratio(times[name], peer),
            )
        )


def main() -> None:
    """Measure, and report."""
    options = measure.options(__doc__)
    section = Section("The OCI runtime", " ".join((__doc__ or "").split()))
    section.notes = (
        "A Wasm container is a native one in which Python starts, loads the engine, and maps the module. That, and the staging of its "
        "root, is what it takes longer than a native program that is a few kilobytes and needs neither."
    )
    if os.geteuid():
        section.missing.append("all of it: containers need root")
        section.finish(options.json)
        return
    rounds = 2 if options.quick else 15
    # Podman accepts no path for its state that is longer than 50 characters.
    with tempfile.TemporaryDirectory(prefix="wasmoci-") as temporary:
        bare(section, Path(temporary), rounds)
        (Path(temporary) / "podman").mkdir()
        under_podman(section, Path(temporary), rounds)
    section.finish(options.json)


if __name__ == "__main__":
    main()

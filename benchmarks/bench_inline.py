"""Runs a hello in this process with captured output, through wasmoci and by hand on raw wasmtime-py.

The peer does everything beforehand that can be done once: engine, linker, compiled module. For each run it creates a
store with the arguments, an empty standard input, the root as ``/`` and captured outputs, and calls ``_start``.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import wasmoci
from benchmarks import measure
from benchmarks.report import Chart, Section, Table, Verdict
from tests.support.bundles import write_bundle
from tests.support.guests import build

if TYPE_CHECKING:
    from collections.abc import Callable

EXPECTED = b"Hello, World!\n"
AIM = 1.5


def by_hand(wasm: Path, rootfs: Path, scratch: Path, *, files: bool) -> Callable[[], None]:
    """Return a run on raw wasmtime-py.

    Args:
        wasm: The guest.
        rootfs: Its root.
        scratch: The directory for its outputs, if they are files.
        files: Whether the outputs are files that are read afterwards, as in wasmtime-py's documentation, or
        functions, which are faster.
    """
    import wasmtime  # noqa: PLC0415  an engine, which may be missing

    engine = wasmtime.Engine()
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    module = wasmtime.Module.from_file(engine, str(wasm))
    outputs = scratch / "stdout", scratch / "stderr"

    def run() -> None:
        taken: tuple[list[bytes], list[bytes]] = [], []
        store = wasmtime.Store(engine)
        config = wasmtime.WasiConfig()
        config.argv = ["/app.wasm"]
        config.stdin_file = "/dev/null"
        config.preopen_dir(str(rootfs), "/")
        if files:
            config.stdout_file, config.stderr_file = map(str, outputs)
        else:
            config.stdout_custom, config.stderr_custom = taken[0].append, taken[1].append
        store.set_wasi(config)
        start = linker.instantiate(store, module).exports(store)["_start"]
        assert isinstance(start, wasmtime.Func)  # noqa: S101
        try:
            start(store)
        except wasmtime.ExitTrap as ended:
            if ended.code:
                raise
        stdout = outputs[0].read_bytes() if files else b"".join(taken[0])
        if stdout != EXPECTED:
            raise RuntimeError(f"the peer wrote {stdout!r}")

    return run


def with_wasmoci(bundle: Path | wasmoci.Bundle, engine: str) -> Callable[[], None]:
    """Ours."""

    def run() -> None:
        result = wasmoci.run(bundle, engine=engine)
        if result.check().stdout != EXPECTED:
            raise RuntimeError(f"the guest wrote {result.stdout!r}")

    return run


def main() -> None:
    """Measure, and report."""
    options = measure.options(__doc__)
    section = Section("A warm run in this process", " ".join((__doc__ or "").split()))
    if importlib.util.find_spec("wasmtime") is None:
        section.missing.append("all of it: wasmtime is missing (pip install wasmtime)")
        section.finish(options.json)
        return
    section.notes = (
        "Beyond the peer's work a run reads the spec's annotations, asks for settings, chooses and asks the engine, finds the program beneath "
        "the root by file descriptors, and keeps absolute symlinks inside it. What the guest writes it takes on the guest's own thread, which "
        "wasmtime leaves to another. "
        "On wasm3 the guest gets a thread with a stack of its own, and is set up anew by an interpreter that keeps nothing of a module."
    )
    with tempfile.TemporaryDirectory(prefix="wasmoci-bench-") as temporary:
        scratch = Path(temporary)
        wasm = build("hello")
        path = write_bundle(scratch / "bundle", wasm)
        bundle = wasmoci.Bundle.load(path)
        contenders = {
            "wasmoci.run, a loaded bundle": with_wasmoci(bundle, "wasmtime"),
            "wasmtime-py by hand": by_hand(wasm, path / "rootfs", scratch, files=False),
            "wasmoci.run, a bundle's directory": with_wasmoci(path, "wasmtime"),
            "wasmtime-py by hand, outputs in files": by_hand(wasm, path / "rootfs", scratch, files=True),
        }
        if any(status.name == "wasm3" and status.available for status in wasmoci.engines()):
            contenders["wasmoci.run on wasm3"] = with_wasmoci(bundle, "wasm3")
        times = measure.take_turns(contenders, 50 if options.quick else 2000)
    peer = times["wasmtime-py by hand"]
    table = Table("", ["", "ms", "beside wasmtime-py by hand"])
    table.rows = [[name, measure.milliseconds(found), measure.ratio(found, peer)] for name, found in times.items()]
    section.tables.append(table)
    values: list[float | None] = [measure.milliseconds(found) for found in times.values()]
    section.charts.append(Chart("inline", section.title, "ms", list(times), {"": values}))
    for name in ("wasmoci.run, a loaded bundle", "wasmoci.run, a bundle's directory"):
        shown = f"wasmtime-py by hand, {measure.milliseconds(peer):.2f} ms"
        factor = measure.ratio(times[name], peer)
        section.verdicts.append(
            Verdict(f"warm hello, {name}", f"{measure.milliseconds(times[name]):.2f} ms", shown, factor, AIM)
        )
    section.finish(options.json)


if __name__ == "__main__":
    main()

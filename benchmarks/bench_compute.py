"""Runs guests that only compute, through wasmoci and on the raw engine, and checks their results.

The sieve counts the primes below 4,000,000; the matrix product is of doubles and has a known trace; Collatz finds the
longest sequence from a start below 300,000. The whole run of a compiled module is measured. "By hand" means
wasmtime-py, and wasm3's own classes with the one function that the guests need to write their result. Times on wasm3
vary by a tenth from one run to the next, by hand as well, so it has many short rounds.
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wasmoci
from benchmarks import measure
from benchmarks.report import Chart, Section, Table, Verdict
from tests.support.bundles import write_bundle
from tests.support.guests import compile_c

if TYPE_CHECKING:
    from collections.abc import Callable

GUESTS = Path(__file__).parent / "guests"
RESULTS = {"sieve": b"283146\n", "matrix": b"537340000\n", "collatz": b"230631 443\n"}
ROUNDS = {
    "wasmtime": {"sieve": "10", "matrix": "30", "collatz": "3"},
    "wasm3": {"sieve": "2", "matrix": "3", "collatz": "1"},
}
TURNS = {"wasmtime": 15, "wasm3": 80}
AIM = 1.03


def raw_wasmtime(wasm: Path, rounds: str) -> Callable[[], bytes]:
    """A run by hand on wasmtime-py."""
    import wasmtime  # noqa: PLC0415  an engine, which may be missing

    engine = wasmtime.Engine()
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    module = wasmtime.Module.from_file(engine, str(wasm))

    def run() -> bytes:
        taken: list[bytes] = []
        store, config = wasmtime.Store(engine), wasmtime.WasiConfig()
        config.argv, config.stdout_custom = ["guest", rounds], taken.append
        store.set_wasi(config)
        start: Any = linker.instantiate(store, module).exports(store)["_start"]
        start(store)
        return b"".join(taken)

    return run


def raw_wasm3(wasm: Path, rounds: str) -> Callable[[], bytes]:
    """A run by hand on pywasm3, with a minimal WASI: arguments and one output."""
    wasm3: Any = importlib.import_module("wasm3")
    data = wasm.read_bytes()
    arguments = [b"guest\0", rounds.encode() + b"\0"]
    unused = {"fd_close": "i(i)", "fd_fdstat_get": "i(ii)", "fd_seek": "i(iIii)"}

    def run() -> bytes:
        environment = wasm3.Environment()
        runtime = environment.new_runtime(1 << 16)
        module = environment.parse_module(data)
        runtime.load(module)
        taken: list[bytes] = []

        def word(address: int) -> int:
            return int.from_bytes(runtime.get_memory(0)[address : address + 4], "little")

        def put(address: int, value: bytes) -> None:
            runtime.get_memory(0)[address : address + len(value)] = value

        def sizes(count: int, size: int) -> int:
            put(count, len(arguments).to_bytes(4, "little"))
            put(size, len(b"".join(arguments)).to_bytes(4, "little"))
            return 0

        def get(pointers: int, buffer: int) -> int:
            for index, text in enumerate(arguments):
                put(pointers + 4 * index, buffer.to_bytes(4, "little"))
                put(buffer, text)
                buffer += len(text)
            return 0

        def write(_fd: int, vectors: int, count: int, written: int) -> int:
            pieces = [(word(vectors + 8 * index), word(vectors + 8 * index + 4)) for index in range(count)]
            taken.extend(bytes(runtime.get_memory(0)[start : start + size]) for start, size in pieces)
            put(written, sum(size for _, size in pieces).to_bytes(4, "little"))
            return 0

        def link(name: str, kind: str, function: Callable[..., int]) -> None:
            module.link_function("wasi_snapshot_preview1", name, kind, function)

        link("args_sizes_get", "i(ii)", sizes)
        link("args_get", "i(ii)", get)
        link("fd_write", "i(iiii)", write)
        for name, kind in unused.items():
            link(name, kind, lambda *_: 0)
        link("proc_exit", "v(i)", lambda _code: 0)
        runtime.find_function("_start")()
        return b"".join(taken)

    return run


RAW = {"wasmtime": raw_wasmtime, "wasm3": raw_wasm3}


def checked(run: Callable[[], bytes | None], expected: bytes) -> Callable[[], None]:
    """Return a run that checks the guest's output."""

    def wrapped() -> None:
        if (found := run()) != expected:
            raise RuntimeError(f"the guest wrote {found!r}, not {expected!r}")

    return wrapped


def main() -> None:
    """Measure, and report."""
    options = measure.options(__doc__)
    section = Section("Guests that compute", " ".join((__doc__ or "").split()))
    section.missing.append(
        "wasmer's SDK by hand: it runs guests in sandboxes of its own, beside which nothing can be put"
    )
    table = Table("", ["", "wasmoci, ms", "by hand, ms", "ratio"])
    with tempfile.TemporaryDirectory(prefix="wasmoci-bench-") as scratch:
        for engine, rounds in ROUNDS.items():
            if importlib.util.find_spec(engine) is None:
                section.missing.append(f"{engine}: it isn't installed")
                continue
            for name, expected in RESULTS.items():
                wasm = compile_c(GUESTS / f"{name}.c", "clang", "-O2")
                bundle = wasmoci.Bundle.load(write_bundle(Path(scratch, f"{engine}-{name}"), wasm, args=[rounds[name]]))
                ours = checked(lambda bundle=bundle, engine=engine: wasmoci.run(bundle, engine=engine).stdout, expected)  # type: ignore[misc]
                by_hand = checked(RAW[engine](wasm, rounds[name]), expected)
                times = measure.take_turns({"ours": ours, "raw": by_hand}, 2 if options.quick else TURNS[engine])
                found = [measure.milliseconds(values) for values in times.values()]
                factor = measure.ratio(times["ours"], times["raw"])
                table.rows.append([f"{name} on {engine}", *found, factor])
                section.verdicts.append(
                    Verdict(f"{name} on {engine}", f"{found[0]:.0f} ms", f"by hand, {found[1]:.0f} ms", factor, AIM)
                )
    section.tables.append(table)
    labels = [str(row[0]) for row in table.rows]
    section.charts.append(
        Chart("compute", section.title, "ms", labels, {"wasmoci": column(table, 1), "by hand": column(table, 2)})
    )
    section.finish(options.json)


def column(table: Table, index: int) -> list[float | None]:
    """Return a table's column of numbers."""
    return [float(row[index]) for row in table.rows]


if __name__ == "__main__":
    main()

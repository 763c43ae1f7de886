"""Measures WASI calls per second on each engine through wasmoci, and by hand on wasmtime-py, with the same guest.

Guests that open files use wasmoci's WASI host, which is written in Python, on every engine; calls that need no file,
such as the clock, use wasmtime's own on wasmtime. Time counts from the entry function.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wasmoci
from benchmarks import measure
from benchmarks.report import Cell, Chart, Section, Table
from tests.support.bundles import write_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

ENGINES = ("wasmtime", "wasm3", "wasmer")
PEER = "wasmtime-py by hand"
ENTRIES = 10_000

GUEST = r"""
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

static uint8_t buffer[32768];

static __wasi_fd_t open_path(const char *path, __wasi_oflags_t oflags, __wasi_rights_t rights) {
  __wasi_fd_t fd;
  if (__wasi_path_open(3, 0, path, oflags, rights, 0, 0, &fd)) abort();
  return fd;
}

int main(int argc, char **argv) {
  if (argc != 3) abort();
  const char *what = argv[1];
  long count = atol(argv[2]);
  __wasi_size_t size;
  __wasi_timestamp_t now;
  if (!strcmp(what, "clock_time_get")) {
    while (count--) if (__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &now)) abort();
  } else if (!strcmp(what, "fd_write")) {
    __wasi_ciovec_t data = {buffer, 64};
    while (count--) if (__wasi_fd_write(1, &data, 1, &size)) abort();
  } else if (!strcmp(what, "fd_read")) {
    __wasi_iovec_t data = {buffer, 64};
    __wasi_fd_t fd = open_path("file", 0, __WASI_RIGHTS_FD_READ);
    while (count--) if (__wasi_fd_read(fd, &data, 1, &size) || size != 64) abort();
  } else if (!strcmp(what, "path_open+fd_close")) {
    while (count--) if (__wasi_fd_close(open_path("file", 0, __WASI_RIGHTS_FD_READ))) abort();
  } else if (!strcmp(what, "path_open+fd_close, nested")) {
    while (count--) if (__wasi_fd_close(open_path("a/b/c/file", 0, __WASI_RIGHTS_FD_READ))) abort();
  } else if (!strcmp(what, "path_filestat_get")) {
    __wasi_filestat_t stat;
    while (count--) if (__wasi_path_filestat_get(3, 1, "a/b/c/file", &stat)) abort();
  } else if (!strcmp(what, "fd_readdir")) {
    __wasi_fd_t fd = open_path("many", __WASI_OFLAGS_DIRECTORY, __WASI_RIGHTS_FD_READDIR);
    while (count > 0) {
      __wasi_dircookie_t cookie = 0;
      for (;;) {
        if (__wasi_fd_readdir(fd, buffer, sizeof buffer, cookie, &size)) abort();
        __wasi_size_t at = 0;
        __wasi_dirent_t entry;
        while (at + sizeof entry <= size) {
          memcpy(&entry, buffer + at, sizeof entry);
          at += sizeof entry + entry.d_namlen;
          if (at > size) break;
          cookie = entry.d_next;
          count--;
        }
        if (size < sizeof buffer) break;
      }
    }
  } else abort();
  return 0;
}
"""

#: The function, the number of calls, and the unit that is counted.
CALLS = {
    "clock_time_get": 10_000,
    "fd_write": 10_000,
    "fd_read": 10_000,
    "path_open+fd_close": 3_000,
    "path_open+fd_close, nested": 3_000,
    "path_filestat_get": 3_000,
    "fd_readdir": ENTRIES,
}


def compile_guest(directory: Path) -> bytes:
    """Compile the guest."""
    source, target = directory / "guest.c", directory / "guest.wasm"
    source.write_text(GUEST)
    subprocess.run(["clang", "--target=wasm32-wasi", "-O2", "-Wl,--strip-all", "-o", target, source], check=True)
    return target.read_bytes()


def populate(directory: Path) -> None:
    """Make the files that the guest uses."""
    (directory / "a/b/c").mkdir(parents=True)
    (directory / "a/b/c/file").write_text("")
    with (directory / "file").open("wb") as file:
        file.truncate(64 << 20)
    (directory / "many").mkdir()
    for number in range(ENTRIES):
        (directory / f"many/entry-{number}").touch()


def runner(engine: str, bundle: Path) -> Callable[[str, int], float]:
    """Return a function that runs the guest through wasmoci, and returns the seconds that it took."""
    stdio = wasmoci.Stdio(stdin=b"", stdout=wasmoci.Stream.NULL, stderr=wasmoci.Stream.NULL)

    def run(what: str, count: int) -> float:
        return wasmoci.run(bundle, engine=engine, args=[what, str(count)], stdio=stdio).check().duration

    return run


def wasmtime_runner(wasm: bytes, root: Path) -> Callable[[str, int], float]:
    """Return a function that runs the guest by hand on wasmtime-py, with wasmtime's own WASI."""
    wasmtime: Any = importlib.import_module("wasmtime")

    engine = wasmtime.Engine()
    module = wasmtime.Module(engine, wasm)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()

    def run(what: str, count: int) -> float:
        store = wasmtime.Store(engine)
        config = wasmtime.WasiConfig()
        config.argv = ["guest", what, str(count)]
        config.preopen_dir(str(root), "/")
        config.stdout_file = os.devnull
        store.set_wasi(config)
        start: Any = linker.instantiate(store, module).exports(store)["_start"]
        began = time.perf_counter()
        try:
            start(store)
        except wasmtime.ExitTrap as exit_:
            if exit_.code:
                raise
        return time.perf_counter() - began

    return run


def main() -> None:
    """Measure, and report."""
    options = measure.options(__doc__)
    section = Section("Calls of WASI", " ".join((__doc__ or "").split()))
    section.notes = (
        "The host in Python takes some microseconds for a call, where wasmtime's own takes a tenth of one for what needs no file, such as "
        "the clock. For files wasmtime's waits for a thread of its own, and is slower. What a guest on wasmtime writes to its output "
        "is taken by a function in Python, which by hand a file takes. On wasmer's SDK each call passes through a pipe to another process."
    )
    if not shutil.which("clang"):
        section.missing.append("all of it: clang with a libc for WASI is missing")
        section.finish(options.json)
        return
    available = {status.name for status in wasmoci.engines() if status.available}
    section.missing += [f"{engine}: it isn't installed" for engine in ENGINES if engine not in available]
    with tempfile.TemporaryDirectory(prefix="wasmoci-bench-") as scratch:
        bundle = write_bundle(Path(scratch, "bundle"), compile_guest(Path(scratch)))
        populate(bundle / "rootfs")
        runners = {engine: runner(engine, bundle) for engine in ENGINES if engine in available}
        if importlib.util.find_spec("wasmtime"):
            runners[PEER] = wasmtime_runner((bundle / "rootfs/app.wasm").read_bytes(), bundle / "rootfs")
        table = Table("Calls per second", ["", *runners])
        for what, most in CALLS.items():
            count = most // 10 if options.quick and what != "fd_readdir" else most
            times: dict[str, list[float]] = {name: [] for name in runners}
            for _ in range(1 if options.quick else 3):
                for name, run in runners.items():
                    times[name].append(run(what, count))
            row: list[Cell] = [count / statistics.median(found) for found in times.values()]
            table.rows.append([f"{what} (entries)" if what == "fd_readdir" else what, *row])
    section.tables.append(table)
    labels = [str(row[0]) for row in table.rows]
    series: dict[str, list[float | None]] = {
        name: [float(row[index + 1]) for row in table.rows] for index, name in enumerate(runners)
    }
    section.charts.append(Chart("wasi_calls", table.caption, "per second", labels, series, logarithmic=True))
    section.finish(options.json)


if __name__ == "__main__":
    main()

"""Calls of WASI per second: the host of wasmoci under wasm3, and wasmtime's own beside it, with the same guest.

Run it as a script. Each row is the best of several rounds; both sides take their turns within a round, so that what else
goes on on the machine hits both. Needs pywasm3, wasmtime and clang with a libc for WASI.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wasmoci.wasi import MODULES, Preopen, ProcExit, Wasi

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 3
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

#: What is called, how often, and what is counted.
CALLS = {
    "clock_time_get": 50_000,
    "fd_write": 50_000,
    "fd_read": 50_000,
    "path_open+fd_close": 10_000,
    "path_open+fd_close, nested": 10_000,
    "path_filestat_get": 10_000,
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


def wasm3_runner(wasm: bytes, root: Path, stdout: int) -> Callable[[str, int], float]:
    """Give what runs the guest on wasm3 and tells the seconds that it took."""
    wasm3: Any = importlib.import_module("wasm3")

    class Memory:
        def __init__(self, runtime: Any) -> None:
            self._runtime = runtime

        def view(self) -> memoryview:
            view: memoryview = self._runtime.get_memory(0)
            return view

    code = {"i32": "i", "i64": "I"}

    def run(what: str, count: int) -> float:
        environment = wasm3.Environment()
        runtime = environment.new_runtime(1 << 16)
        module = environment.parse_module(wasm)
        runtime.load(module)
        with Wasi(args=["guest", what, str(count)], preopens=[Preopen(root, "/")], stdout=stdout) as wasi:
            for name, function in wasi.functions().items():
                results = "".join(code[kind] for kind in function.results) or "v"
                signature = f"{results}({''.join(code[kind] for kind in function.params)})"
                module.link_function(MODULES[0], name, signature, function.call)
            wasi.bind(Memory(runtime))
            start = runtime.find_function("_start")
            began = time.perf_counter()
            try:
                start()
            except ProcExit as exit_:
                if exit_.code:
                    raise
            return time.perf_counter() - began

    return run


def wasmtime_runner(wasm: bytes, root: Path) -> Callable[[str, int], float]:
    """Give the same for wasmtime with its own WASI."""
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


def main() -> int:
    """Print the table."""
    missing = [name for name in ("wasm3", "wasmtime") if importlib.util.find_spec(name) is None]
    missing += [] if shutil.which("clang") else ["clang"]
    if missing:
        print(f"not run: {', '.join(missing)} missing")
        return 0
    with tempfile.TemporaryDirectory() as scratch, Path(os.devnull).open("wb") as devnull:
        root = Path(scratch, "root")
        root.mkdir()
        populate(root)
        wasm = compile_guest(Path(scratch))
        runners = [wasm3_runner(wasm, root, devnull.fileno()), wasmtime_runner(wasm, root)]
        print(f"{'':28}{'wasmoci.wasi on wasm3':>24}{'wasmtime':>16}{'ratio':>8}")
        for what, count in CALLS.items():
            best = [float("inf")] * len(runners)
            for _ in range(ROUNDS):
                for index, run in enumerate(runners):
                    best[index] = min(best[index], run(what, count))
            ours, theirs = (count / seconds for seconds in best)
            label = f"{what} (entries)" if what == "fd_readdir" else what
            print(f"{label:28}{ours:>20,.0f} /s{theirs:>14,.0f} /s{ours / theirs:>8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

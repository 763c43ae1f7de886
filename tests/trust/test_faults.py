"""A call of a guest's host that fails is never answered with success, wherever it fails, with whatever, on every engine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import usable
from tests.support.requirements import SMOKE
from tests.trust.injection import Injected, injected
from wasmoci.determinism import Determinism, applied
from wasmoci.dispatch import registry
from wasmoci.errors import EngineError
from wasmoci.result import ExitReason
from wasmoci.stdio import Stdio
from wasmoci.testing import bundle
from wasmoci.wasi import FUNCTIONS
from wasmoci.wasi.abi import Rights
from wasmoci.wasi.errno import FAILURES

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.oci.bundle import Bundle
    from wasmoci.result import ExecutionResult

pytestmark = pytest.mark.heavy

# What the guest calls, with arguments with which it succeeds; FD is a file that it has opened.
FD = "(i32.load (i32.const 0x100))"
CALLS = {
    "args_get": (0x400, 0x800),
    "args_sizes_get": (0x400, 0x404),
    "environ_get": (0x400, 0x800),
    "environ_sizes_get": (0x400, 0x404),
    "clock_res_get": (0, 0x400),
    "clock_time_get": (0, 0, 0x400),
    "fd_advise": (FD, 0, 0, 0),
    "fd_allocate": (FD, 0, 4),
    "fd_close": (FD,),
    "fd_datasync": (FD,),
    "fd_fdstat_get": (FD, 0x400),
    "fd_fdstat_set_flags": (FD, 0),
    "fd_fdstat_set_rights": (FD, Rights.FD_READ, 0),
    "fd_filestat_get": (FD, 0x400),
    "fd_filestat_set_size": (FD, 9),
    "fd_filestat_set_times": (FD, 0, 0, 2),
    "fd_pread": (FD, 0x200, 1, 0, 0x400),
    "fd_prestat_get": (3, 0x400),
    "fd_prestat_dir_name": (3, 0x400, 1),
    "fd_pwrite": (FD, 0x200, 1, 0, 0x400),
    "fd_read": (FD, 0x200, 1, 0x400),
    "fd_readdir": (3, 0x1000, 0x1000, 0, 0x400),
    "fd_renumber": (FD, 3),
    "fd_seek": (FD, 1, 0, 0x400),
    "fd_sync": (FD,),
    "fd_tell": (FD, 0x400),
    "fd_write": (1, 0x200, 1, 0x400),
    "path_create_directory": (3, 0x120, 3),
    "path_filestat_get": (3, 1, 0x110, 1, 0x400),
    "path_filestat_set_times": (3, 1, 0x110, 1, 0, 0, 2),
    "path_link": (3, 0, 0x110, 1, 3, 0x120, 3),
    "path_open": (3, 1, 0x110, 1, 0, Rights.FD_READ, 0, 0, 0x400),
    "path_readlink": (3, 0x118, 1, 0x800, 0x100, 0x400),
    "path_remove_directory": (3, 0x114, 1),
    "path_rename": (3, 0x110, 1, 3, 0x120, 3),
    "path_symlink": (0x110, 1, 3, 0x120, 3),
    "path_unlink_file": (3, 0x110, 1),
    "poll_oneoff": (0x2000, 0x2100, 1, 0x400),
    "proc_exit": (0,),
    "random_get": (0x400, 16),
    "sched_yield": (),
}
KINDS = (KeyboardInterrupt, SystemExit, RecursionError, Injected, MemoryError, TimeoutError)
HOSTS = ("wasmtime", "wasmtime with a mount", "wasmtime, deterministic", "wasm3", "wasmer")


def text(name: str) -> str:
    """A guest that opens a file and calls a function; it exits with 9 when it is told of an error."""
    signature = FUNCTIONS[name]
    arguments = [
        value if isinstance(value, str) else f"({kind}.const {value})"
        for value, kind in zip(CALLS[name], signature.params, strict=True)
    ]
    types = f"(param {' '.join(signature.params)})" + f" (result {' '.join(signature.results)})" * bool(
        signature.results
    )
    call = f"(call $f {' '.join(arguments)})"
    begin = f"""
        (if (call $open (i32.const 3) (i32.const 1) (i32.const 0x110) (i32.const 1) (i32.const 0)
             (i64.const {Rights.FILE}) (i64.const 0) (i32.const 0) (i32.const 0x100)) (then unreachable))"""
    return f"""(module
      (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (import "wasi_snapshot_preview1" "{name}" (func $f {types}))
      (memory (export "memory") 1)
      (data (i32.const 0x110) "f\\00\\00\\00d\\00\\00\\00l") (data (i32.const 0x120) "new")
      (data (i32.const 0x200) "\\00\\03\\00\\00\\04\\00\\00\\00") (data (i32.const 0x300) "text")
      (func (export "_start")
        {begin if opens(name) else ""}
        {f"(if {call} (then (call $exit (i32.const 9))))" if signature.results else call}))"""


def opens(name: str) -> bool:
    """Whether the guest for a function opens a file first."""
    return FD in CALLS[name]


class Host:
    """Runs guests with one host of one engine.

    Args:
        words: One of :data:`HOSTS`.
        directory: Where the bundles go.
    """

    def __init__(self, words: str, directory: Path) -> None:
        self.engine = words.split(maxsplit=1)[0].strip(",")
        usable(self.engine)
        self.has_processes = self.engine == "wasmer" and sys.version_info >= (3, 11)
        self._directory = directory
        self._mounted = "mount" in words
        self._determinism = Determinism() if "deterministic" in words else None
        self._number = 0
        (directory / "mounted").mkdir()

    def bundle(self, guest: str) -> Bundle:
        """A new one: a guest may change its files."""
        self._number += 1
        mounts: list[Any] = [(self._directory / "mounted", "/mounted")] if self._mounted else []
        return bundle(
            self._directory / f"{self._number}",
            guest,
            files={"f": "content"},
            directories=["d"],
            symlinks={"l": "f"},
            mounts=mounts,
        )

    def run(self, guest: str) -> ExecutionResult:
        """Run a guest in this process."""
        made = self.bundle(guest)
        handler = registry.default().load(self.engine)
        with applied(self._determinism):
            return handler.execute(made.spec, made.rootfs, stdio=Stdio.capture())


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Each way in which a guest gets a host that is written in Python."""
    # What a call-back can't tell its engine Python writes to the standard error; here it has been put there.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    return Host(request.param, tmp_path)


@pytest.mark.parametrize("name", CALLS)
def test_every_line(host: Host, name: str) -> None:
    """Whatever is raised at whichever line of a host function, the guest isn't told that all went well."""
    guest, skip = text(name), int(opens(name))
    with injected(Injected, skip=skip) as fault:
        result = host.run(guest)
    assert (result.reason, result.exit_code) == (ExitReason.EXITED, 0), f"the guest by itself: {result}"
    for at in points(fault.events, few=host.has_processes or SMOKE):
        for kind in KINDS if at == 1 and not host.has_processes else (KINDS[at % len(KINDS)],):
            judge(host, guest, kind, at, skip)


def points(events: int, *, few: bool) -> list[int]:
    """The events to raise at: the first and the last, by which a call is entered and answered, and some of what is between."""
    if few:
        return sorted({1, events // 2 + 1, events})
    return [at for at in range(1, events + 1) if at <= 6 or at > events - 6 or at % 11 == 0]


def judge(host: Host, guest: str, kind: type[BaseException], at: int, skip: int) -> None:
    """Have a fault in a guest's call, and see what becomes of the run."""
    with injected(kind, at, skip=skip) as fault:
        try:
            result = host.run(guest)
        except (kind, EngineError):
            return
    # Some errors of the system's are the guest's to hear of, or there is another way to do it.
    told = issubclass(kind, FAILURES) and (result.reason, result.exit_code) == (ExitReason.EXITED, 9)
    assert told or not fault.raised, f"{kind.__name__} at event {at}: {result}"

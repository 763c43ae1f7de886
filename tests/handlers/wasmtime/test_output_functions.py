"""What guests on wasmtime write, while their outputs are captured: it follows the descriptors, wherever the guest has them."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

from wasmoci.result import ExitReason
from wasmoci.wasi import Errno

if TYPE_CHECKING:
    from pathlib import Path

    from tests.handlers.wasmtime.conftest import Run

OPENING = """(import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))"""
NOT_OPENING = "(func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) unreachable)"
GUEST = """(module
  %(open)s
  (import "wasi_snapshot_preview1" "fd_renumber" (func $renumber (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") %(pages)s)
  (data (i32.const 16) "file") (data (i32.const 32) "one\\n") (data (i32.const 40) "two\\n")
  (data (i32.const 64) "\\20\\00\\00\\00\\04\\00\\00\\00") ;; "one"
  (data (i32.const 72) "\\28\\00\\00\\00\\04\\00\\00\\00") ;; "two"
  %(own)s
  (func $must (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))
  (func $open (result i32)
    (call $must (call $path_open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 1)
      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 0)))
    (i32.load (i32.const 0)))
  (func $one (param $fd i32) (result i32)
    (call $write (local.get $fd) (i32.const 64) (i32.const 1) (i32.const 8)))
  (func (export "_start") (local $fd i32)
    %(body)s))"""

CASES = {
    "both buffers": (
        "(call $must (call $write (i32.const 1) (i32.const 64) (i32.const 2) (i32.const 8)))",
        "one\ntwo\n",
        None,
        0,
    ),
    "no buffer": ("(call $exit (call $write (i32.const 1) (i32.const 64) (i32.const 0) (i32.const 8)))", "", None, 0),
    "count": (
        """(call $must (call $write (i32.const 1) (i32.const 64) (i32.const 2) (i32.const 8)))
        (call $exit (i32.load (i32.const 8)))""",
        "one\ntwo\n",
        None,
        8,
    ),
    "file": ("(call $must (call $one (call $open)))", "", "one\n", 0),
    "file's count": ("(call $must (call $one (call $open))) (call $exit (i32.load (i32.const 8)))", "", "one\n", 4),
    "closed": (
        "(call $must (call $close (i32.const 1))) (call $exit (call $one (i32.const 1)))",
        "",
        None,
        Errno.BADF,
    ),
    "closed by a wrong number": (
        "(drop (call $close (i32.const 99))) (call $exit (call $one (i32.const 1)))",
        "one\n",
        None,
        0,
    ),
    "moved": (
        """(local.set $fd (call $open)) (call $must (call $renumber (i32.const 1) (local.get $fd)))
        (call $must (call $one (local.get $fd))) (call $exit (call $one (i32.const 1)))""",
        "one\n",
        "",
        Errno.BADF,
    ),
    "moved to where it is": (
        "(call $must (call $renumber (i32.const 1) (i32.const 1))) (call $must (call $one (i32.const 1)))",
        "one\n",
        None,
        0,
    ),
    "replaced": (
        """(local.set $fd (call $open)) (call $must (call $renumber (local.get $fd) (i32.const 1)))
        (call $must (call $one (i32.const 1)))""",
        "",
        "one\n",
        0,
    ),
    "used again": (
        """(call $must (call $close (i32.const 1))) (local.set $fd (call $open))
        (call $must (call $one (local.get $fd)))""",
        "",
        "one\n",
        0,
    ),
    "unknown descriptor": ("(call $exit (call $one (i32.const 99)))", "", None, Errno.BADF),
    "input": ("(call $exit (call $one (i32.const 0)))", "", None, Errno.BADF),
}


def _guest(body: str, pages: int = 1) -> str:
    """A guest that imports ``path_open`` where it uses it, and so gets another host."""
    opens = "(call $open)" in body
    return GUEST % {
        "pages": pages, "body": body, "open": OPENING if opens else "", "own": "" if opens else NOT_OPENING,
    }  # fmt: skip


@pytest.mark.parametrize(("body", "stdout", "file", "exit_code"), CASES.values(), ids=CASES)
def test_descriptors(run: Run, tmp_path: Path, body: str, stdout: str, file: str | None, exit_code: int) -> None:
    """Output goes to where the descriptor leads at the time."""
    result = run(_guest(body))
    assert (result.exit_code, result.stdout, result.stderr) == (exit_code, stdout.encode(), b""), result.message
    written = tmp_path / "bundle/rootfs/file"
    assert (written.read_text() if written.exists() else None) == file


def test_large_write_to_file(run: Run, tmp_path: Path) -> None:
    """Of a large buffer as much is written as the count says."""
    body = """(i32.store (i32.const 68) (i32.const 3000000)) (call $must (call $one (call $open)))
        (i32.store (i32.const 64) (i32.const 8)) (i32.store (i32.const 68) (i32.const 4))
        (call $must (call $one (i32.const 1)))"""
    result = run(_guest(body, 64))
    assert result.stdout is not None
    written = int.from_bytes(result.stdout, "little")
    content = (tmp_path / "bundle/rootfs/file").read_bytes()
    assert len(content) == written >= 1 << 20
    assert content.startswith(b"one\n")


def test_buffers_larger_than_the_memory(run: Run) -> None:
    """Buffers that overlap are many times the guest's memory together; they are taken piece by piece."""
    body = """(local.set $fd (i32.const 100))
        (loop $next
          (i32.store (i32.add (i32.const 4096) (i32.mul (local.get $fd) (i32.const 8))) (i32.const 65536))
          (i32.store (i32.add (i32.const 4100) (i32.mul (local.get $fd) (i32.const 8))) (i32.const 4000000))
          (br_if $next (local.tee $fd (i32.sub (local.get $fd) (i32.const 1)))))
        (call $must (call $write (i32.const 1) (i32.const 4104) (i32.const 100) (i32.const 8)))
        (call $exit (i32.eq (i32.load (i32.const 8)) (i32.const 400000000)))"""
    tracemalloc.start()
    try:
        result = run(_guest(body, 64))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.exit_code == 1, result.message
    assert most < 64 << 20


@pytest.mark.parametrize(
    ("buffers", "count", "result"), [(65532, 1, 8), (2**32 - 8, 1, 8), (64, 2**31, 8), (80, 1, 8), (64, 1, 65534)]
)
def test_pointers(run: Run, buffers: int, count: int, result: int) -> None:
    """A pointer that leads out of the memory is a trap, whoever takes the output, and nothing is written."""
    body = f"""(i32.store (i32.const 80) (i32.const 32)) (i32.store (i32.const 84) (i32.const 65536))
        (drop (call $write (i32.const 1) (i32.const {buffers}) (i32.const {count}) (i32.const {result})))"""
    found = run(_guest(body))
    assert (found.reason, found.stdout) == (ExitReason.TRAPPED, b"")
    assert "pointer out of bounds" in found.message

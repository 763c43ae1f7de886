"""Outputs that the guest itself closes, or puts something else in the place of, on every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import wasmoci
from tests.support.guests import assembled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BADF, NOTCAPABLE = 8, 76
MODULE = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_renumber" (func $renumber (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_set_rights" (func $set_rights (param i32 i64 i64) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1) (data (i32.const 0) "\\10\\00\\00\\00\\02\\00\\00\\00") (data (i32.const 16) "x\\0a")
  (func $put (param $fd i32) (result i32) (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
  (func (export "_start")
    (if (call $put (i32.const 1)) (then unreachable))
    (if (call $put (i32.const 2)) (then unreachable))
    %s))"""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("(drop (call $close (i32.const 1))) (call $exit (call $put (i32.const 1)))", (BADF, b"x\n", b"x\n")),
        ("(drop (call $close (i32.const 2))) (call $exit (call $put (i32.const 2)))", (BADF, b"x\n", b"x\n")),
        ("(drop (call $close (i32.const 2))) (call $exit (call $put (i32.const 1)))", (0, b"x\nx\n", b"x\n")),
        (
            "(drop (call $renumber (i32.const 2) (i32.const 1))) (call $exit (call $put (i32.const 1)))",
            (0, b"x\n", b"x\nx\n"),
        ),
        (
            "(drop (call $renumber (i32.const 2) (i32.const 1))) (call $exit (call $put (i32.const 2)))",
            (BADF, b"x\n", b"x\n"),
        ),
        (
            "(drop (call $set_rights (i32.const 1) (i64.const 0) (i64.const 0))) (call $exit (call $put (i32.const 1)))",
            (BADF, b"x\n", b"x\n"),
        ),
    ],
    ids=["stdout", "stderr", "the other", "replaced", "moved", "no rights"],
)
def test_writes_tell_at_once(
    engine: str, make_bundle: Callable[..., Path], code: str, expected: tuple[int, bytes, bytes]
) -> None:
    """A write to what is closed is BADF, though an engine may let the guest run ahead with others."""
    result = wasmoci.run(make_bundle(assembled(MODULE % code)), engine=engine)
    assert (result.exit_code, result.stdout, result.stderr) == expected

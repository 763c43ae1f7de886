"""What any engine does when a function of the caller's takes a guest's output, and raises."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import pytest

from tests.handlers.test_wasm3_and_wasmer import assembled
from wasmoci import registry
from wasmoci.bundle import Bundle
from wasmoci.stdio import Stdio
from wasmoci.wasi import ProcExit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Writes a byte a hundred times, whatever comes of it.
STUBBORN = """(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1) (data (i32.const 200) "\\00\\02\\00\\00\\01\\00\\00\\00")
    (func (export "_start") (local i32)
      (loop (drop (call $write (i32.const {fd}) (i32.const 200) (i32.const 1) (i32.const 208)))
        (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 100))))))"""


@pytest.mark.parametrize("fd", [1, 2])
@pytest.mark.parametrize(
    "error",
    [
        BlockingIOError("not now"),
        BrokenPipeError("nobody"),
        ValueError("not this"),
        MemoryError("no room"),
        RuntimeError("no trap"),
        LookupError("no such thing"),
        ProcExit(0),
        SystemExit(3),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_it_raises_reaches_the_caller(
    engine: str, make_bundle: Callable[..., Path], error: BaseException, fd: int
) -> None:
    """It is no errno for the guest and no trap of its; it comes as it was raised, and the function isn't called again."""
    cause = Exception("why")
    calls = 0

    def refuse(_chunk: bytes) -> None:
        nonlocal calls
        calls += 1
        raise error from cause

    bundle = Bundle.load(make_bundle(assembled(STUBBORN.format(fd=fd))))
    with pytest.raises(type(error)) as caught:
        registry.default().load(engine).execute(
            bundle.spec, bundle.rootfs, stdio=Stdio(stdin=b"", stdout=refuse, stderr=refuse)
        )

    assert (caught.value, caught.value.__cause__, caught.value.__context__) == (error, cause, None)
    assert (calls, traceback.extract_tb(error.__traceback__)[-1].name) == (1, "refuse")

"""Tests that consecutive and concurrent runs don't affect each other."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

from wasmoci.testing.conformance.base import Conformance, guest_bytes
from wasmoci.testing.conformance.waiting_guest import Aside

if TYPE_CHECKING:
    from wasmoci.testing.conformance.base import Runner

MIB = 1 << 20
_RUNS = 12
_GROWTH = 48 * MIB  # half of what would remain if no run's memory were released


class Repetition(Conformance):
    """The same bundle is run repeatedly."""

    def test_second_run_begins_anew(self, run: Runner) -> None:
        """A second run starts with the module's initial globals and memory, and has its own output."""
        made = run.bundle("anew")
        outputs = [run.execute(made).stdout for _ in range(3)]
        assert outputs == [b"11"] * 3, (
            f"the outputs are {outputs}, each was to be b'11': a run has seen an earlier one's"
        )

    def test_changed_program_is_run_as_it_is_now(self, run: Runner) -> None:
        """A program is identified by its content, not by its path, size or time."""
        programs = [guest_bytes("start"), guest_bytes("args")]
        size = max(map(len, programs)) + 10
        made = run.bundle("start")
        program = made.rootfs / "app.wasm"
        outputs = []
        for wasm in programs:
            program.write_bytes(_padded(wasm, size))
            os.utime(program, (1e9, 1e9))
            outputs.append(run.execute(made).stdout)
        assert outputs == [b"start\nentry\n", b"/app.wasm\0"], (
            f"the outputs are {outputs}; a program of another content was run as what its path had before"
        )

    def test_tmpfs_begins_empty_again(self, run: Runner) -> None:
        """A tmpfs is empty at the start of each run."""
        mounts = [{"destination": "/scratch", "type": "tmpfs", "source": "tmpfs"}]
        first = run("files", "write", "/scratch/new", "text", mounts=mounts, directories=["/scratch"])
        second = run("files", "read", "/scratch/new", mounts=mounts, directories=["/scratch"])
        assert first.ok, "writing into a tmpfs failed"
        assert not second.ok, f"a run found {second.stdout!r} in its tmpfs, of an earlier run"

    def test_no_memory_is_left(self, run: Runner) -> None:
        """A guest's memory is released after its run."""
        made = run.bundle("anew")
        for _ in range(3):
            run.execute(made)
        before = _resident()
        for _ in range(_RUNS):
            run.execute(made)
        grown = _resident() - before
        assert grown < _GROWTH, f"{_RUNS} guests with 8 MiB each have left {grown / MIB:.0f} MiB in the process"

    def test_guest_that_waits_holds_up_no_other(self, run: Runner) -> None:
        """While one guest waits for its input, another one can run on another thread."""
        made = run.bundle("args", "x")
        with run.waiting() as guest:
            guest.answers()
            other = Aside(lambda: run.execute(made))
            at_once = other.ended(run.patience)
        other.ended()
        assert at_once, "a guest was held up until another one, which waited for its input, had ended"


def _padded(wasm: bytes, size: int) -> bytes:
    """Return the same module padded to a size by a custom section."""
    rest = size - len(wasm) - 3
    return wasm + bytes([0, rest & 0x7F | 0x80, rest >> 7, 1]) + b"_" * (rest - 1)


def _resident() -> int:
    gc.collect()
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")

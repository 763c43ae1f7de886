"""Tests files, pipes and sockets of the caller's as the guest's standard streams."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from wasmoci.result import ExitReason
from wasmoci.stdio import Stdio, Stream
from wasmoci.testing.conformance.base import Conformance, ended, parted
from wasmoci.testing.conformance.streams import EVERY_BYTE, LARGE

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.testing.conformance.base import Runner

_EPIPE = 64  # WASI's errno "pipe"


class FilesAndDescriptors(Conformance):
    """Files and descriptors are used unchanged."""

    def test_files_take_and_give(self, run: Runner, tmp_path: Path) -> None:
        """A path for the input is read, a path for an output is created or truncated, and written to."""
        given, taken = tmp_path / "given", tmp_path / "taken"
        given.write_bytes(EVERY_BYTE)
        taken.write_bytes(b"older and longer" * 100)
        result = run("cat", stdio=Stdio(stdin=given, stdout=taken, stderr=Stream.NULL))
        assert result.ok, f"the guest was expected to exit with 0: {ended(result)}"
        assert taken.read_bytes() == EVERY_BYTE, "the file that was to take the output has something else in it"

    def test_descriptors_take_and_give_and_stay_open(self, run: Runner, tmp_path: Path) -> None:
        """A descriptor of the caller's is used from its position, and stays open."""
        given, taken = tmp_path / "given", tmp_path / "taken"
        given.write_bytes(b"skipped" + LARGE)
        taken.write_bytes(b"before|")
        with given.open("rb", buffering=0) as source, taken.open("ab", buffering=0) as target:
            source.seek(len(b"skipped"))
            run("cat", stdio=Stdio(stdin=source.fileno(), stdout=target.fileno(), stderr=Stream.NULL))
            os.fstat(source.fileno())
            os.fstat(target.fileno())
            blocking = os.get_blocking(source.fileno()), os.get_blocking(target.fileno())
        assert blocking == (True, True), "a descriptor of the caller's was made non-blocking, and left so"
        wrong = parted(taken.read_bytes(), b"before|" + LARGE)
        assert not wrong, f"the descriptor was given {wrong}"

    def test_any_descriptor_gives(self, run: Runner) -> None:
        """A pipe and a socket are read to their end, like a file."""
        reading, writing = os.pipe()
        with open(reading, "rb") as source:  # noqa: PTH123  a descriptor has no path
            os.write(writing, EVERY_BYTE)
            os.close(writing)
            output = run.output("cat", stdio=Stdio.capture(source.fileno()))
        assert output == EVERY_BYTE, f"a pipe held every byte value, and the guest read {output!r}"
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(EVERY_BYTE)
            ours.shutdown(socket.SHUT_WR)
            output = run.output("cat", stdio=Stdio.capture(theirs.fileno()))
        assert output == EVERY_BYTE, f"a socket held every byte value, and the guest read {output!r}"

    def test_input_that_is_not_read_holds_nothing_up(self, run: Runner) -> None:
        """A guest that doesn't read its endless input ends, and so does the run; the input is unchanged."""
        made = run.bundle("args")
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ended_before = threading.enumerate()
            result = run.execute(made, stdio=Stdio.capture(theirs.fileno()))
            left = [thread.name for thread in threading.enumerate() if thread not in ended_before]
        assert result.ok, f"the guest was expected to exit with 0: {ended(result)}"
        assert not left, f"threads go on to read an input that nobody wants: {left}"

    @pytest.mark.parametrize("kind", ["path", "descriptor"])
    def test_one_file_takes_both_outputs(self, run: Runner, tmp_path: Path, kind: str) -> None:
        """A path or a descriptor for both outputs is one file, in the order of the writes."""
        taken = tmp_path / "taken"
        with taken.open("wb", buffering=0) as file:
            target = taken if kind == "path" else file.fileno()
            run("streams", stdio=Stdio(stdin=b"", stdout=target, stderr=target))
        output = taken.read_bytes()
        assert output == b"out 1\nerr 1\nout 2\nerr 2\n", f"a file for both outputs was given {output!r}"

    def test_reader_that_is_gone_is_the_guests_to_handle(self, run: Runner) -> None:
        """A write to a pipe without a reader returns an errno, soon enough to end the guest; the process isn't affected."""
        made = run.bundle("pour")
        reading, writing = os.pipe()
        os.close(reading)
        try:
            result = run.execute(made, stdio=Stdio(stdin=b"", stdout=writing, stderr=Stream.NULL))
        finally:
            os.close(writing)
        found = (result.reason, result.exit_code)
        assert found == (ExitReason.EXITED, _EPIPE), (
            f"the guest wrote 16 MiB to a closed pipe, and exits with the errno that it is told: {ended(result)}"
        )

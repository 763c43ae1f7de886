"""Tests the guest's standard streams: exact bytes, end of input, limits of captured output."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest

from wasmoci.stdio import Capture, Stdio, Stream
from wasmoci.testing.conformance.base import Conformance, ended, parted
from wasmoci.testing.conformance.waiting_guest import Aside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wasmoci.testing.conformance.base import Runner

EVERY_BYTE = bytes(range(256))
LARGE = EVERY_BYTE * 2048  # half a MiB: more than any pipe holds


class StandardStreams(Conformance):
    """Bytes pass unchanged, through any kind of stream."""

    @pytest.mark.parametrize(
        "data", [b"", EVERY_BYTE, b"no newline at the end", b"\r\n\0\xff\xfe"], ids=["none", "all", "text", "odd"]
    )
    def test_stdin_and_stdout_are_exact(self, run: Runner, data: bytes) -> None:
        """Every byte value passes unchanged, in both directions."""
        output = run.output("cat", stdio=Stdio.capture(data))
        assert output == data, f"the guest was given {data!r} and wrote {output!r}; it copies what it reads"

    def test_large_streams_are_whole(self, run: Runner) -> None:
        """More bytes than fit into a pipe pass in both directions."""
        wrong = parted(run.output("cat", stdio=Stdio.capture(LARGE)), LARGE)
        assert not wrong, f"a guest that copies wrote {wrong}"

    def test_large_stderr_is_whole(self, run: Runner) -> None:
        """More bytes than fit into a pipe pass on the standard error."""
        wrong = parted(run("complain").stderr or b"", b"!" * (256 << 10))
        assert not wrong, f"on stderr the guest wrote {wrong}"

    @pytest.mark.parametrize("stdin", [b"", Stream.NULL], ids=["no-bytes", "null"])
    def test_stdin_of_the_process_is_not_read(self, run: Runner, stdin: bytes | Stream) -> None:
        """Without an input the guest reads the end at once, and the process's own input isn't consumed."""
        source, given = os.pipe()
        os.write(given, b"the caller's own")
        os.close(given)
        with _in_place_of((0, source)):
            output = run.output("cat", stdio=Stdio(stdin=stdin, stdout=Capture(), stderr=Stream.NULL))
        left = os.read(source, 100)
        os.close(source)
        assert output == b"", f"the guest was given nothing, and has read {output!r}"
        assert left == b"the caller's own", "the run has read from the process's own standard input"

    def test_stdin_ends(self, run: Runner) -> None:
        """After its input the guest reads the end, and doesn't wait for more."""
        made = run.bundle("cat")
        guest = Aside(lambda: run.execute(made, stdio=Stdio.capture(b"all there is")))
        assert guest.ended(run.patience), "the guest still waits: behind what it was given its stdin has no end"

    def test_stdout_and_stderr_are_apart(self, run: Runner) -> None:
        """The outputs are separate, each in order."""
        result = run("streams")
        assert result.stdout == b"out 1\nout 2\n", f"stdout is {result.stdout!r}; expected what was written to it alone"
        assert result.stderr == b"err 1\nerr 2\n", f"stderr is {result.stderr!r}; expected what was written to it alone"

    def test_captures_are_bounded(self, run: Runner) -> None:
        """Output beyond the limit is dropped, the result says so, and the guest continues."""
        result = run("cat", stdio=Stdio.capture(LARGE, limit=1000))
        assert result.ok, f"the guest was held up by a bounded capture: {ended(result)}"
        wrong = parted(result.stdout or b"", LARGE[:1000])
        assert not wrong, f"expected the first 1000 bytes of stdout, captured were {wrong}"
        assert result.stdout_truncated, "stdout was cut, and the result doesn't say so"
        assert not result.stderr_truncated, "the result says that stderr was cut, which nothing was written to"

    def test_null_gives_and_takes_nothing(self, run: Runner) -> None:
        """Reads return the end at once, writes are discarded."""
        result = run("cat", stdio=Stdio.null())
        assert result.ok, f"with NULL for its streams the guest was expected to exit with 0: {ended(result)}"
        assert (result.stdout, result.stderr) == (None, None), "with NULL for its streams nothing is captured"

    def test_output_arrives_while_the_guest_runs(self, run: Runner) -> None:
        """Output is available while the guest still runs."""
        with run.waiting() as guest:
            assert guest.answers(), "the guest wrote and went on to wait, and its output didn't arrive"

    def test_inherited_streams_are_those_of_the_process(self, run: Runner, tmp_path: Path) -> None:
        """With INHERIT the guest has the descriptors 0, 1 and 2; Python's replacements for them aren't used."""
        made = run.bundle("cat")
        given, taken = tmp_path / "given", tmp_path / "taken"
        given.write_bytes(EVERY_BYTE)
        with (
            given.open("rb") as source,
            taken.open("wb") as target,
            _in_place_of((0, source.fileno()), (1, target.fileno())),
        ):
            run.execute(made, stdio=Stdio.inherit())
        assert taken.read_bytes() == EVERY_BYTE, "the guest didn't read descriptor 0 or didn't write to descriptor 1"


@contextlib.contextmanager
def _in_place_of(*pairs: tuple[int, int]) -> Iterator[None]:
    """Replace standard descriptors for the duration of the context."""
    with contextlib.ExitStack() as stack:
        for standard, other in pairs:
            kept = os.dup(standard)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, standard)
            os.dup2(other, standard)
        yield

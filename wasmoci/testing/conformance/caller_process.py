"""Tests that a run changes nothing in the process that it runs in."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from wasmoci.stdio import Stdio, Stream
from wasmoci.testing.conformance.base import Conformance
from wasmoci.testing.conformance.waiting_guest import Aside
from wasmoci.testing.leak_check import children, described, descriptors, threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wasmoci.testing.conformance.base import Runner

_RUNS = (("args", "x"), ("exit", "3"), ("trap", "unreachable"), ("streams",))
_left: dict[type, dict[str, list[str]]] = {}


class TheProcess(Conformance):
    """The process is unchanged, during a run and after it."""

    def test_working_directory_is_left_alone(self, run: Runner) -> None:
        """The working directory of the process stays the same."""
        _expect_the_same(run, os.getcwd, "the working directory of the process was changed")

    def test_environment_is_left_alone(self, run: Runner) -> None:
        """``os.environ`` of the process stays the same."""
        _expect_the_same(run, lambda: dict(os.environ), "the environment of the process was changed")

    def test_streams_are_left_alone(self, run: Runner) -> None:
        """``sys.stdout`` and the others stay the same, and so do the descriptors 0, 1 and 2."""

        def streams() -> object:
            objects = (id(sys.stdin), id(sys.stdout), id(sys.stderr))
            return objects, [os.fstat(number)[:3] for number in range(3)]

        _expect_the_same(run, streams, "sys.stdin, sys.stdout, sys.stderr or the descriptors behind them were patched")

    def test_nothing_is_printed(self, run: Runner, capfd: pytest.CaptureFixture[str]) -> None:
        """The engine's messages, such as that of a trap, are in the result; the process's own streams get nothing."""
        for guest in _RUNS:
            run(*guest)
        captured = capfd.readouterr()
        printed = captured.out + captured.err
        assert printed == "", f"a run with captured streams wrote to the process's own: {printed!r}"

    def test_signal_handlers_are_left_alone(self, run: Runner) -> None:
        """The handlers of all signals stay the same."""
        numbers = sorted(signal.valid_signals())
        before = [signal.getsignal(number) for number in numbers]
        run("return")  # on this thread: only the main one can set them
        assert [signal.getsignal(number) for number in numbers] == before, "a signal handler was changed by the run"

    def test_umask_is_left_alone(self, run: Runner) -> None:
        """The umask of the process stays the same."""

        def umask() -> str:
            lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
            return next(line for line in lines if line.startswith("Umask:"))

        _expect_the_same(run, umask, "the umask of the process was changed")


class Leaks(Conformance):
    """Nothing is left behind, however the guest ends."""

    @pytest.fixture
    def left(self, run: Runner) -> dict[str, list[str]]:
        """What runs have left, by kind; the runs are done once for all handlers of a class."""
        kind = type(run.handler)
        if kind not in _left:
            found = _left_by_runs(run, {"descriptors": descriptors, "threads": threads, "children": children})
            _left[kind] = {**found, "descriptors": [described(number) for number in found["descriptors"]]}
        return _left[kind]

    def test_no_descriptor_is_left_open(self, left: dict[str, list[str]]) -> None:
        """No descriptor of the process is left open."""
        assert not left["descriptors"], f"descriptors were left open by runs: {left['descriptors']}"

    def test_no_thread_is_left_running(self, left: dict[str, list[str]]) -> None:
        """No thread of Python's is left; an engine may keep its own thread pool."""
        assert not left["threads"], f"threads were left running by runs: {left['threads']}"

    def test_no_child_is_left(self, left: dict[str, list[str]]) -> None:
        """No process is left, not even a zombie."""
        assert not left["children"], f"child processes were left by runs: {left['children']}"

    def test_no_temporary_file_is_left(self, run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The temporary directory is empty, even after a run with a tmpfs."""
        scratch = tmp_path / "tmp"
        scratch.mkdir()
        monkeypatch.setenv("TMPDIR", str(scratch))
        monkeypatch.setattr(tempfile, "tempdir", str(scratch))
        tmpfs = [{"destination": "/t", "type": "tmpfs", "source": "tmpfs"}]
        looks = {"files": lambda: {entry.name for entry in scratch.iterdir()}}
        left = _left_by_runs(run, looks, mounts=tmpfs)["files"]
        assert not left, f"temporary files were left by runs: {left}"


class Concurrency(Conformance):
    """Several guests run at the same time."""

    def test_run_within_a_run(self, run: Runner) -> None:
        """A function that takes a guest's output may run another guest, and each ends by itself."""
        outer, inner = run.bundle("exit", "50"), run.bundle("exit", "20")
        codes: list[int] = []

        def take(_: bytes) -> None:
            codes.append(run.execute(inner).exit_code)

        def body() -> None:
            codes.append(run.execute(outer, stdio=Stdio(stdin=b"", stdout=take, stderr=Stream.NULL)).exit_code)

        ended = Aside(body).ended(run.patience)
        assert ended, (
            "a run waits for ever for the end of another one, which a function that takes its output has started"
        )
        assert codes == [20, 50], f"of a run within a run the exit codes are {codes}; expected 20, then 50"

    def test_run_within_an_event_loop(self, run: Runner) -> None:
        """The caller may be a coroutine, whether the engine is asynchronous or not."""
        made = run.bundle("args", "x")

        async def body() -> bytes | None:
            return run.execute(made).stdout

        output = asyncio.run(body())
        assert output == b"/app.wasm\0x\0", f"within an event loop the guest wrote {output!r}"

    def test_threads_run_guests_at_once(self, run: Runner) -> None:
        """Each thread gets the result of its own guest."""
        bundles = {number: run.bundle("args", str(number)) for number in range(6)}
        found: dict[int, bytes | None] = {}

        def body(number: int) -> None:
            found[number] = run.execute(bundles[number]).stdout

        guests = [Aside(partial(body, number)) for number in bundles]
        ended = [guest.ended(run.patience) for guest in guests]
        assert all(ended), "of several guests at once, some don't end"
        expected = {number: b"/app.wasm\0%d\0" % number for number in bundles}
        assert found == expected, f"of several guests at once, some got another's output: {found}"


def _expect_the_same(run: Runner, look: Callable[[], object], message: str) -> None:
    """Compare the state before a run, while its guest waits, and after it."""
    before = look()
    with run.waiting() as guest:
        guest.answers()
        during = look()
    after = look()
    assert during == before, f"{message} during the run"
    assert after == before, f"{message} by the run, and left so"


def _left_by_runs(run: Runner, looks: Mapping[str, Callable[[], set[str]]], **options: Any) -> dict[str, list[str]]:
    """Run guests once to load what the engine keeps; further runs must leave nothing behind."""
    made = [run.bundle(*guest, **options) for guest in _RUNS]
    for bundle in made:
        run.execute(bundle)
    before = {what: look() for what, look in looks.items()}
    for bundle in made * 2:
        run.execute(bundle)
    return {what: sorted(look() - before[what]) for what, look in looks.items()}

"""What a run does to the process that it runs in: nothing."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wasmoci.testing.conformance.base import Conformance

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from wasmoci.testing.conformance.base import Runner

_RUNS = (("args", "x"), ("exit", "3"), ("trap", "unreachable"), ("streams",))


class TheProcess(Conformance):
    """It is left as it was, during a run and after it."""

    def test_working_directory_is_left_alone(self, run: Runner) -> None:
        """Of the process."""
        _expect_the_same(run, os.getcwd, "the working directory of the process was changed")

    def test_environment_is_left_alone(self, run: Runner) -> None:
        """``os.environ`` of the process."""
        _expect_the_same(run, lambda: dict(os.environ), "the environment of the process was changed")

    def test_streams_are_left_alone(self, run: Runner) -> None:
        """``sys.stdout`` and its like, and the descriptors 0, 1 and 2."""

        def streams() -> object:
            objects = (id(sys.stdin), id(sys.stdout), id(sys.stderr))
            return objects, [os.fstat(number)[:3] for number in range(3)]

        _expect_the_same(run, streams, "sys.stdin, sys.stdout, sys.stderr or the descriptors behind them were patched")

    def test_signal_handlers_are_left_alone(self, run: Runner) -> None:
        """Of all signals."""
        numbers = sorted(signal.valid_signals())
        before = [signal.getsignal(number) for number in numbers]
        run("return")  # on this thread: only the main one can set them
        assert [signal.getsignal(number) for number in numbers] == before, "a signal handler was changed by the run"

    def test_umask_is_left_alone(self, run: Runner) -> None:
        """Of the process."""

        def umask() -> str:
            lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
            return next(line for line in lines if line.startswith("Umask:"))

        _expect_the_same(run, umask, "the umask of the process was changed")


class Leaks(Conformance):
    """Nothing is left behind, however the guest ends."""

    def test_no_descriptor_is_left_open(self, run: Runner) -> None:
        """Of the process."""
        _expect_no_more(
            run, lambda: {entry.name for entry in Path("/proc/self/fd").iterdir()}, "descriptors were left open"
        )

    def test_no_thread_is_left_running(self, run: Runner) -> None:
        """No thread of Python's; an engine may keep a pool of its own."""
        _expect_no_more(
            run, lambda: {str(thread.ident) for thread in threading.enumerate()}, "threads were left running"
        )

    def test_no_child_is_left(self, run: Runner) -> None:
        """No process, not even a zombie."""
        _expect_no_more(run, _children, "child processes were left")

    def test_no_temporary_file_is_left(self, run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """In the temporary directory, also after a run with a tmpfs."""
        scratch = tmp_path / "tmp"
        scratch.mkdir()
        monkeypatch.setenv("TMPDIR", str(scratch))
        monkeypatch.setattr(tempfile, "tempdir", str(scratch))
        tmpfs = [{"destination": "/t", "type": "tmpfs", "source": "tmpfs"}]
        _expect_no_more(
            run, lambda: {entry.name for entry in scratch.iterdir()}, "temporary files were left", mounts=tmpfs
        )


class Concurrency(Conformance):
    """Several guests at once."""

    def test_threads_run_guests_at_once(self, run: Runner) -> None:
        """Each thread gets the result of its own guest."""
        bundles = {number: run.bundle("args", str(number)) for number in range(6)}
        found: dict[int, bytes | None] = {}

        def body(number: int) -> None:
            found[number] = run.execute(bundles[number]).stdout

        threads = [threading.Thread(target=body, args=(number,), daemon=True) for number in bundles]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = {number: b"/app.wasm\0%d\0" % number for number in bundles}
        assert found == expected, f"of several guests at once, some failed or got another's output: {found}"


def _expect_the_same(run: Runner, look: Callable[[], object], message: str) -> None:
    """Look before a run, while its guest waits, and after it."""
    before = look()
    with run.waiting() as guest:
        guest.answers()
        during = look()
    after = look()
    assert during == before, f"{message} during the run"
    assert after == before, f"{message} by the run, and left so"


def _expect_no_more(run: Runner, look: Callable[[], set[str]], message: str, **options: Any) -> None:
    """Run guests once, so that the engine has what it keeps; then nothing more may come of any run."""
    made = [run.bundle(*guest, **options) for guest in _RUNS]
    for bundle in made:
        run.execute(bundle)
    before = look()
    for bundle in made * 2:
        run.execute(bundle)
    left = look() - before
    assert not left, f"{message} by runs: {sorted(left)}"


def _children() -> set[str]:
    tasks = Path("/proc/self/task").iterdir()
    return {child for task in tasks for child in (task / "children").read_text(encoding="ascii").split()}

"""``wasmoci.start``: a guest that runs while its caller does something else."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import wasmoci
from tests.conftest import usable
from tests.support.bundles import write_native_bundle
from tests.support.containers import listed
from tests.support.leak_check import nothing_left
from tests.support.requirements import require
from tests.support.waiting import ended, settled
from wasmoci.errors import EntrypointNotFound, InvalidBundle, UnsupportedWorkload
from wasmoci.isolation import warm_servers
from wasmoci.isolation.line_buffer import LineBuffer, LineBuffers
from wasmoci.result import ExitReason, GuestNotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """After each test there is nothing that wasn't there before."""
    for jailed in (False, True):
        warm_servers.DEFAULT.warm_up(jailed=jailed)
    with nothing_left():
        yield


@pytest.fixture
def server(make_bundle: Callable[..., Path], guest: Callable[..., Path]) -> Path:
    """A bundle whose guest does what it is told by its input."""
    return make_bundle(guest("serve"), directories=["/run"])


@pytest.fixture
def start(server: Path) -> Callable[..., wasmoci.RunningGuest]:
    """Starts that guest on wasm3, which starts the fastest."""
    usable("wasm3")

    def call(**options: object) -> wasmoci.RunningGuest:
        return wasmoci.start(server, engine="wasm3", **options)  # type: ignore[arg-type]

    return call


def test_a_conversation_on_each_engine(engine: str, server: Path) -> None:
    """A guest is started, talked to and ended by its input's end; the result has all of its output."""
    with wasmoci.start(server, engine=engine) as guest:
        assert guest.wait_for_line("ready").string == "ready"
        assert guest.poll() is None
        guest.write("say port 8080\ncry warning\n")
        assert guest.wait_for_line(re.compile(r"port (\d+)"))[1] == "8080"
        assert guest.wait_for_line("warn", stream="stderr").string == "warning"
        guest.close_stdin()
        result = guest.wait(timeout=60)
    assert (result.exit_code, result.reason, result.engine) == (0, ExitReason.EXITED, engine)
    assert (result.stdout, result.stderr) == (b"ready\nport 8080\ndone\n", b"warning\n")
    assert guest.poll() == result


@pytest.mark.parametrize("busy", ["", "loop\n"], ids=["waiting", "computing"])
def test_stopped_on_each_engine(engine: str, server: Path, busy: str) -> None:
    """SIGTERM ends a guest on any engine, whatever it does; the result says so."""
    with wasmoci.start(server, engine=engine) as guest:
        guest.wait_for_line("ready")
        guest.write(busy)
        result = guest.stop()
    assert (result.reason, result.exit_code, result.stdout) == (ExitReason.SIGNALED, 128 + signal.SIGTERM, b"ready\n")


def test_lines_are_read_once(start: Callable[..., wasmoci.RunningGuest]) -> None:
    """A line that was read, or passed over, isn't found again; the next one of the same text is."""
    with start() as guest:
        guest.write("say one\nsay two\nsay one\ncry one\n")
        assert guest.wait_for_line("two", stream="stdout").string == "two"
        assert guest.wait_for_line("one", stream="stdout").string == "one"
        assert guest.wait_for_line("one").string == "one"
        guest.write("part last")
        guest.close_stdin()
        assert guest.wait().stdout == b"ready\none\ntwo\none\nlastdone\n"
        assert list(guest.lines()) == ["lastdone"]


def test_lines_come_as_they_are_written(start: Callable[..., wasmoci.RunningGuest]) -> None:
    """Each answer arrives before the next question is asked."""
    with start() as guest:
        answers = guest.lines()
        assert next(answers) == "ready"
        for number in range(50):
            guest.write(f"say {number}\n".encode())
            assert next(answers) == str(number)
        guest.close_stdin()
        assert list(answers) == ["done"]


def test_guest_that_ends_early_fails_the_wait(start: Callable[..., wasmoci.RunningGuest]) -> None:
    """A wait doesn't go on when the guest has ended; the error has the end and the output so far."""
    with start() as guest:
        guest.write("say something\ncry no such luck\nexit 3\n")
        with pytest.raises(GuestNotReady) as caught:
            guest.wait_for_line("listening", timeout=100)
    error = caught.value
    assert error.result is not None
    assert (error.result.exit_code, error.stdout, error.stderr) == (3, b"ready\nsomething\n", b"no such luck\n")
    expected = "waiting for a line with 'listening': it has ended (exited, 3)\n"
    assert error.message.startswith(expected)
    assert error.message.endswith("its standard error ends with:\nno such luck")


@pytest.mark.parametrize(
    ("wait", "what"),
    [
        (
            lambda guest: guest.wait_for_line("never", timeout=0.05),
            "a line with 'never': it did not come within 0.05 s",
        ),
        (lambda guest: guest.wait_for_file("/run/never", timeout=0.05), "the file /run/never: it did not come within"),
        (lambda guest: guest.wait(timeout=0.05), "its end: it did not come within 0.05 s"),
        (lambda guest: list(guest.lines("stderr", timeout=0.05)), "another line: it did not come within 0.05 s"),
    ],
    ids=["line", "file", "end", "lines"],
)
def test_time_to_wait_is_over(
    start: Callable[..., wasmoci.RunningGuest], wait: Callable[[wasmoci.RunningGuest], object], what: str
) -> None:
    """What doesn't come in time fails with the output so far, and the guest goes on."""
    with start() as guest:
        guest.wait_for_line("ready")
        with pytest.raises(GuestNotReady, match=re.escape(f"waiting for {what}")) as caught:
            wait(guest)
        assert (caught.value.result, caught.value.stdout) == (None, b"ready\n")
        guest.write("say still here\n")
        guest.wait_for_line("still here")


def test_files_are_waited_for(server: Path, tmp_path: Path) -> None:
    """A file is found in the root and in what is bound into it, through links as the guest sees them."""
    usable("wasm3")
    (server / "rootfs/link").symlink_to("/run")
    (server / "rootfs/run/outside").symlink_to("/etc/passwd")
    (tmp_path / "bound").mkdir()
    with wasmoci.start(server, engine="wasm3", volumes=[f"{tmp_path}/bound:/bound"]) as guest:
        guest.write("make /run/here\nmake /bound/there\n")
        for path in ("/run/here", "/link/here", "/bound/there", "/"):
            guest.wait_for_file(path)
        with pytest.raises(GuestNotReady):
            guest.wait_for_file("/run/outside", timeout=0.03)  # a file of the host's alone


def test_files_that_nobody_else_sees(server: Path) -> None:
    """A path in a tmpfs, or one that isn't absolute, is refused and not waited for."""
    usable("wasm3")
    document = json.loads((server / "config.json").read_text())
    document["mounts"] = [{"destination": "/scratch", "type": "tmpfs"}]
    (server / "config.json").write_text(json.dumps(document))
    with wasmoci.start(server, engine="wasm3") as guest:
        with pytest.raises(UnsupportedWorkload, match="tmpfs mount at /scratch"):
            guest.wait_for_file("/scratch/x")
        with pytest.raises(UnsupportedWorkload, match="an absolute guest path was expected"):
            guest.wait_for_file("x")


def test_time_is_waited_for(start: Callable[..., wasmoci.RunningGuest]) -> None:
    """A guest that goes on passes, one that ends meanwhile fails at once."""
    with start() as guest:
        began = time.monotonic()
        guest.wait_for_time(0.05)
        assert time.monotonic() - began >= 0.05
        guest.write("exit 0\n")
        with pytest.raises(GuestNotReady, match=r"for 60 s: it has ended \(exited, 0\)"):
            guest.wait_for_time(60)


def test_limits_hold(start: Callable[..., wasmoci.RunningGuest]) -> None:
    """A time limit ends the guest, and its result says so."""
    with start(timeout=1) as guest:
        result = guest.wait()
    assert (result.reason, result.stdout) == (ExitReason.TIMED_OUT, b"ready\n")


def test_leaving_ends_the_guest(start: Callable[..., wasmoci.RunningGuest]) -> None:
    """The end of the block kills what still runs; an exception in it comes out as it is."""
    with pytest.raises(LookupError), start() as guest:
        raise LookupError
    result = guest.wait()
    assert (result.reason, result.exit_code) == (ExitReason.SIGNALED, 137)


def test_input_that_can_not_be_written(start: Callable[..., wasmoci.RunningGuest]) -> None:
    """A guest that doesn't read, one that has ended, and an input that isn't there."""
    with start() as guest:
        guest.write("loop\n")
        with pytest.raises(GuestNotReady, match=r"it did not read for 0\.05 s"):
            guest.write(b"x" * (1 << 20), timeout=0.05)
        guest.stop()
        with pytest.raises(GuestNotReady, match="it has closed its input, or ended"):
            guest.write("x")
        guest.close_stdin()
        with pytest.raises(ValueError, match="input is closed"):
            guest.write("x")
    with start(stdin=b"say given\n") as guest:
        with pytest.raises(ValueError, match="given at the start"):
            guest.write("x")
        assert guest.wait().stdout == b"ready\ngiven\ndone\n"


def test_guest_that_can_not_start(tmp_path: Path, make_bundle: Callable[..., Path], guest: Callable[..., Path]) -> None:
    """What is wrong with a workload is raised at the start of the block."""
    with pytest.raises(InvalidBundle), wasmoci.start(tmp_path / "none"):
        raise AssertionError
    with pytest.raises(EntrypointNotFound), wasmoci.start(make_bundle(guest("serve"), entry="/none")):
        raise AssertionError


def test_handle_that_was_not_entered(start: Callable[..., wasmoci.RunningGuest]) -> None:
    """Nothing runs before the block, and nothing can be waited for."""
    guest = start()
    assert (guest.poll(), guest.stdout) == (None, b"")
    with pytest.raises(ValueError, match="isn't started"):
        guest.wait_for_file("/")


def test_dies_with_its_caller(server: Path) -> None:
    """A caller that is killed takes the guest along."""
    usable("wasm3")
    script = """
import sys, time, wasmoci
with wasmoci.start(sys.argv[1], engine="wasm3") as guest:
    guest.wait_for_line("ready")
    print(guest.pid, flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script, str(server)], stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        pid = int(caller.stdout.readline())
        os.kill(pid, 0)
        caller.kill()
    assert ended(pid)


@pytest.fixture
def native(tmp_path: Path) -> Callable[..., Path]:
    """Writes a native bundle with a shell script."""
    require(shutil.which("runc") and os.getuid() == 0, "native containers need runc, and root: apt install runc")
    return lambda script: write_native_bundle(tmp_path / "native", script)


@pytest.fixture
def runc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has runc taken, which works here."""
    monkeypatch.setenv("WASMOCI_NATIVE_RUNTIME", "runc")


@pytest.mark.usefixtures("runc")
def test_native_conversation(native: Callable[..., Path]) -> None:
    """A native container is talked to and stopped by the same handle; one that handles the signal keeps its code."""
    script = "trap 'echo bye; exit 7' TERM; echo ready; while read -r line; do echo \"got $line\"; done"
    with wasmoci.start(native(script)) as guest:
        guest.wait_for_line("ready")
        guest.write("this\n")
        assert guest.wait_for_line("got").string == "got this"
        guest.send_signal(signal.SIGTERM)
        guest.close_stdin()
        result = guest.wait(timeout=60)
    assert (result.reason, result.exit_code) == (ExitReason.EXITED, 7)


@pytest.mark.usefixtures("runc")
def test_native_container_is_killed_after_its_grace(native: Callable[..., Path]) -> None:
    """A container that ignores the signal is killed when its grace is over."""
    with wasmoci.start(native("trap '' TERM; echo ready; while :; do sleep 60; done")) as guest:
        guest.wait_for_line("ready")
        result = guest.stop(grace=0.1)
    assert (result.reason, result.exit_code) == (ExitReason.SIGNALED, 137)


@pytest.mark.usefixtures("runc")
def test_native_container_dies_with_its_caller(native: Callable[..., Path]) -> None:
    """A caller that is killed takes the container along, and the runtime's state of it."""
    bundle = native("echo ready; exec sleep 987")
    script = """
import sys, time, wasmoci
with wasmoci.start(sys.argv[1]) as guest:
    guest.wait_for_line("ready")
    print(flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script, str(bundle)], stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        caller.stdout.readline()
        (container,) = _containers(bundle)
        caller.kill()
    assert settled(lambda: _containers(bundle), []) == []
    assert ended(container)


def _containers(bundle: Path) -> list[int]:
    return [found["pid"] for found in listed() if found["bundle"] == str(bundle)]


@pytest.mark.parametrize(
    ("chunks", "lines", "kept"),
    [
        ([b"ab\ncd\n"], ["ab", "cd"], b"ab\ncd\n"),
        ([b"a", b"b", b"\n", b"c"], ["ab", "c"], b"ab\nc"),
        ([b"a\r\n\n\xff\n"], ["a", "", "\ufffd"], b"a\r\n\n\xff\n"),
        ([b"1234567890123456789\n"], ["1234567890123456789"], b"1234567890"),
        ([b"123456\n", b"789012\n"], ["789012"], b"123456\n789"),
    ],
    ids=["at once", "in pieces", "odd", "long", "more than is kept"],
)
def test_output_is_cut_into_lines(chunks: list[bytes], lines: list[str], kept: bytes) -> None:
    """Lines are what stands between newlines, however it comes; what is too much for the bound is let go, the oldest first."""
    outputs = LineBuffers(10)
    for chunk in chunks:
        outputs.write("stdout", chunk)
    outputs.end()
    found = []
    while (line := outputs.take(None)) is not None:
        found.append(line)
    # A line is never lost for being longer than the bound while it is the only one.
    assert (found, outputs.stdout.kept) == (lines, kept)


def test_line_without_end_is_bounded() -> None:
    """What never ends a line doesn't fill the memory."""
    output = LineBuffer(10)
    for number in range(100):
        output.write(b"x" * 7, number)
    assert output.truncated
    assert len(output.kept) == 10


@pytest.mark.parametrize("name", ["both", "", 3])
def test_unknown_stream(name: object) -> None:
    """A stream that there isn't is named."""
    with pytest.raises(ValueError, match="expected one of 'stdout', 'stderr'"):
        LineBuffers(1).of(name)  # type: ignore[arg-type]

"""Standard streams: every kind of source and target, in this process and through a worker's."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.isolation.puppet import Puppet
from tests.support.leak_check import no_descriptor_left
from wasmoci import isolation
from wasmoci.isolation import Isolation
from wasmoci.isolation.warm_servers import Servers
from wasmoci.limits import Limits
from wasmoci.oci.spec import Process, Spec
from wasmoci.stdio import CAPTURE_LIMIT, Capture, Sink, Stdio, Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.result import ExecutionResult

pytestmark = pytest.mark.heavy

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(params=list(Isolation), ids=lambda where: where.value)
def run(request: pytest.FixtureRequest) -> Callable[..., ExecutionResult]:
    """Runs a puppet with streams, in this process and in another; no descriptor may be left."""

    def call(stdio: Stdio, *args: str) -> ExecutionResult:
        with no_descriptor_left(), contextlib.closing(Servers(eager=False)) as servers:  # those that all share stay
            return isolation.execute(
                Puppet(),
                Spec(process=Process(args=args)),
                Path("/"),
                stdio=stdio,
                limits=Limits(),
                isolation=request.param,
                servers=servers,
            )

    return call


BIG = bytes(range(256)) * 4096  # 1 MiB: more than a pipe holds


@pytest.mark.parametrize("data", [b"", BIG], ids=["empty", "big"])
@pytest.mark.parametrize("kind", ["bytes", "path", "descriptor", "pipe", "null"])
def test_stdin(run: Callable[..., ExecutionResult], tmp_path: Path, kind: str, data: bytes) -> None:
    """A guest reads all of its input, whatever that is made of, and then finds its end."""
    file = tmp_path / "input"
    file.write_bytes(data)
    if kind == "bytes":
        result = run(Stdio.capture(data), "echoes")
    elif kind == "path":
        result = run(Stdio.capture(file), "echoes")
    elif kind == "null":
        result, data = run(Stdio.capture(Stream.NULL), "echoes"), b""
    elif kind == "descriptor":
        with file.open("rb") as opened:
            result = run(Stdio.capture(opened.fileno()), "echoes")
            assert os.fstat(opened.fileno())
    else:
        ours, theirs = os.pipe()
        writer = threading.Thread(target=_write_all, args=(theirs, data))
        writer.start()
        try:
            result = run(Stdio.capture(ours), "echoes")
        finally:
            writer.join()
            os.close(ours)
    assert result.stdout == data


def _write_all(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def test_path_target_is_made_anew(run: Callable[..., ExecutionResult], tmp_path: Path) -> None:
    """A file that is named as a target holds the guest's output and nothing of before."""
    out, err = tmp_path / "out", tmp_path / "err"
    out.write_text("something long that was there before")
    result = run(Stdio(stdin=b"", stdout=out, stderr=err), "speaks", "to out", "to err")
    assert (out.read_bytes(), err.read_bytes()) == (b"to out", b"to err")
    assert (result.stdout, result.stderr) == (None, None)


def test_descriptor_target_stays_open(run: Callable[..., ExecutionResult], tmp_path: Path) -> None:
    """A descriptor is written to where it stands, and is the caller's to close."""
    with (tmp_path / "out").open("w+b", buffering=0) as file:
        file.write(b"head ")
        run(Stdio(stdin=b"", stdout=file.fileno(), stderr=Stream.NULL), "speaks", "tail", "")
        file.seek(0)
        assert file.read() == b"head tail"


@pytest.mark.parametrize("kind", ["path", "descriptor", "function"])
def test_one_target_for_both_keeps_the_order(run: Callable[..., ExecutionResult], tmp_path: Path, kind: str) -> None:
    """Both outputs may go to one place: nothing is lost, and what was said first comes first where the system can tell."""
    file = tmp_path / "both"
    chunks: list[bytes] = []
    if kind == "path":
        run(Stdio(stdin=b"", stdout=file, stderr=file), "speaks", "first,", "second")
    elif kind == "descriptor":
        with file.open("wb") as opened:
            run(Stdio(stdin=b"", stdout=opened.fileno(), stderr=opened.fileno()), "speaks", "first,", "second")
    else:
        run(Stdio(stdin=b"", stdout=chunks.append, stderr=chunks.append), "speaks", "first,", "second")
        file.write_bytes(b"".join(chunks))
    assert file.read_bytes() == b"first,second"


def test_function_gets_every_chunk(run: Callable[..., ExecutionResult]) -> None:
    """A function is called with bytes, until there are no more."""
    out: list[bytes] = []
    err: list[bytes] = []
    result = run(Stdio(stdin=BIG, stdout=out.append, stderr=err.append), "echoes")
    assert (b"".join(out), err) == (BIG, [])
    assert {type(chunk) for chunk in out} == {bytes}
    assert (result.stdout, result.stderr) == (None, None)


@pytest.mark.parametrize(
    ("limit", "kept", "truncated"),
    [(0, 0, True), (1, 1, True), (65536, 65536, True), (131071, 131071, True), (131072, 131072, False)],
)
def test_capture_has_a_bound(
    run: Callable[..., ExecutionResult],
    limit: int,
    kept: int,
    truncated: bool,  # noqa: FBT001
) -> None:
    """What passes the bound is dropped, the guest goes on, and the result says so."""
    result = run(Stdio.capture(limit=limit), "spams", "2")
    assert (result.stdout, result.stderr) == (b"x" * kept, b"y" * kept)
    assert (result.stdout_truncated, result.stderr_truncated) == (truncated, truncated)
    assert result.exit_code == 0


def test_captures_are_apart(run: Callable[..., ExecutionResult]) -> None:
    """Two captures are two, though they look the same; each has its own bound."""
    result = run(Stdio(stdin=b"", stdout=Capture(3), stderr=Capture(4)), "speaks", "abcdef", "abcdef")
    assert (result.stdout, result.stderr) == (b"abc", b"abcd")


def test_default_bound_is_16_mib() -> None:
    """A result can't grow without end by default."""
    assert (Capture().limit, CAPTURE_LIMIT) == (16 << 20, 16 << 20)


@pytest.mark.parametrize("where", ["inline", "process"])
def test_inherit_is_the_process_own(where: str) -> None:
    """Inherited streams are the descriptors 0, 1 and 2, whatever was done to sys.stdin and its like."""
    script = f"""
import io, sys
from pathlib import Path
sys.stdout, sys.stderr, sys.stdin = io.StringIO(), io.StringIO(), io.StringIO("wrong")
from tests.isolation.puppet import Puppet
from wasmoci import isolation
from wasmoci.limits import Limits
from wasmoci.oci.spec import Process, Spec
from wasmoci.stdio import Stdio
for args in (("echoes",), ("speaks", "out", "err")):
    isolation.execute(Puppet(), Spec(process=Process(args=args)), Path("/"), stdio=Stdio.inherit(),
        limits=Limits(), isolation=isolation.Isolation({where!r}))
sys.exit(len(sys.stdout.getvalue()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], input=b"in ", capture_output=True, check=False, cwd=REPOSITORY
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"in out", b"err")


def test_file_that_is_missing_is_an_os_error(run: Callable[..., ExecutionResult], tmp_path: Path) -> None:
    """A caller's own file that can't be opened is the caller's error, as open gives it, and nothing is left open."""
    with pytest.raises(FileNotFoundError):
        run(Stdio(stdin=b"x", stdout=tmp_path / "missing" / "out", stderr=Stream.NULL), "echoes")


def test_exception_of_a_function_reaches_the_caller(run: Callable[..., ExecutionResult]) -> None:
    """A function that raises ends the run with its own exception."""

    def refuse(_chunk: bytes) -> None:
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        run(Stdio(stdin=b"", stdout=refuse, stderr=Stream.NULL), "spams", "9")


def test_description_can_be_used_again(run: Callable[..., ExecutionResult]) -> None:
    """A Stdio holds nothing of a run."""
    stdio = Stdio.capture(b"again")
    assert [run(stdio, "echoes").stdout for _ in range(2)] == [b"again", b"again"]


@pytest.mark.parametrize(
    "fields",
    [{"stdin": "text"}, {"stdin": None}, {"stdin": 1.5}, {"stdout": "file"}, {"stdout": None}, {"stderr": b"bytes"}],
)
def test_wrong_kind_is_refused_at_once(fields: dict[str, Any]) -> None:
    """What can't be a stream is refused when it is said, and not in the middle of a run."""
    with pytest.raises(TypeError, match="expected a Stream"):
        Stdio(**fields)


def test_bound_below_zero_is_refused() -> None:
    """A capture can't keep less than nothing."""
    with pytest.raises(ValueError, match="limit"):
        Capture(-1)


def test_sink_waits_for_a_descriptor_that_does_not_block() -> None:
    """Whoever shares a descriptor may have made it non-blocking: nothing is lost by that."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    received = bytearray()

    def read() -> None:
        while chunk := os.read(ours, 65536):
            received.extend(chunk)

    reader = threading.Timer(0.05, read)
    reader.start()
    try:
        Sink(descriptor=theirs).write(BIG)
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)
    assert received == BIG


def test_bytes_become_a_file_when_they_are_read() -> None:
    """An engine that takes them as they are costs no descriptor; another one gets one, the same each time."""
    with no_descriptor_left(), Stdio.capture(BIG).open() as streams:
        with no_descriptor_left():
            assert streams.content == BIG
        assert streams.stdin == streams.stdin
        assert os.read(streams.stdin, 300) == BIG[:300]


def test_what_was_opened_is_closed_when_the_rest_fails(tmp_path: Path) -> None:
    """No descriptor is left by streams of which one can't be opened."""
    stdio = Stdio(stdin=Stream.NULL, stdout=tmp_path / "out", stderr=tmp_path / "no" / "directory")
    with no_descriptor_left(), pytest.raises(FileNotFoundError), stdio.open():
        raise AssertionError

"""An engine that is no sandbox by itself runs in the jail, is chosen by nobody but who names it, and is refused where there is no jail."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import wasmoci
from tests.conftest import usable
from tests.support.waiting import wait_for
from tests.trust import bombs
from wasmoci.errors import InvalidModule, JailUnavailable, UnsupportedModule, UnsupportedWorkload
from wasmoci.isolation import Isolation
from wasmoci.isolation.jail import support
from wasmoci.isolation.jail.support import Support
from wasmoci.testing import bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.heavy

ISOLATIONS = [None, *(isolation.value for isolation in Isolation)]
ILL_TYPED = '(module (func (export "_start") (drop (i32.add (i64.const 1) (i32.const 1)))))'


def assembled(text: str) -> bytes:
    """A module in the text format as a binary one, which nobody has validated."""
    import wasmtime  # noqa: PLC0415  it takes a moment

    return bytes(wasmtime.wat2wasm(text))


@pytest.fixture
def no_jail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Landlock."""
    lacking = Support(landlock=0, seccomp=True, problem="this kernel has no Landlock")
    monkeypatch.setattr(support, "support", lambda: lacking)


@pytest.fixture(params=["cold", "warm"])
def running(
    request: pytest.FixtureRequest,
    guest: Callable[..., Path],
    make_bundle: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[tuple[int, str]]:
    """The process of a guest on wasm3 that sleeps, and what its caller has in its environment."""
    usable("wasm3")
    secret = secrets.token_hex(16)
    monkeypatch.setenv("WASMOCI_TESTS_SECRET", secret)
    (tmp_path / "data").mkdir()
    made = make_bundle(guest("sleep"), args=["60"])
    if request.param == "warm":
        for _ in range(3):
            wasmoci.run(make_bundle(guest("hello")), engine="wasm3")
    with wasmoci.start(made, engine="wasm3", volumes=[f"{tmp_path / 'data'}:/data:ro"]) as started:
        yield started.pid, secret


def status_of(process: int) -> dict[str, str]:
    """What the kernel says of a process."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def memory_of(process: int) -> Iterator[bytes]:
    """All that a process can read of its memory."""
    with Path(f"/proc/{process}/mem").open("rb") as memory:
        for line in Path(f"/proc/{process}/maps").read_text(encoding="utf-8").splitlines():
            place, rights, *_ = line.split()
            if rights.startswith("r") and "[v" not in line:
                start, end = (int(word, 16) for word in place.split("-"))
                memory.seek(start)
                with contextlib.suppress(OSError):
                    yield memory.read(end - start)


def test_process_has_no_rights(running: tuple[int, str]) -> None:
    """No capability, no way to one, a filter for system calls, namespaces of its own."""
    process, _ = running
    status = status_of(process)
    kept = {name: status[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Threads")}
    assert int(kept.pop("Threads")) <= 2
    nothing = "0" * 16
    assert kept | {"CapBnd": nothing} == {
        "CapEff": nothing,
        "CapPrm": nothing,
        "CapBnd": nothing,
        "CapAmb": nothing,
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }
    if os.geteuid() == 0:
        for kind in ("mnt", "user"):
            assert Path(f"/proc/{process}/ns/{kind}").readlink() != Path(f"/proc/self/ns/{kind}").readlink()


def test_process_sees_the_guests_files_alone(running: tuple[int, str]) -> None:
    """Its root has the guest's root, one mount, and what is empty: a directory, and a file to put over others."""
    process, _ = running
    root = Path(f"/proc/{process}/root")
    # And what the compile cache has of the module, if another run has put it there.
    assert {path.name for path in root.iterdir()} - {"2"} == {"0", "1", "empty", "nothing"}
    assert not (root / "2").exists() or (root / "2").is_file()
    assert sorted(path.name for path in (root / "0").iterdir()) == ["app.wasm"]
    assert list((root / "empty").iterdir()) == []


def test_process_has_nothing_of_its_caller(running: tuple[int, str]) -> None:
    """No variable, and no descriptor of the caller's; nor is anything of the environment in its memory."""
    process, secret = running
    assert Path(f"/proc/{process}/environ").read_bytes() == b""
    kinds = sorted(
        str(path.readlink()).partition(":")[0] for path in Path(f"/proc/{process}/fd").iterdir() if path.is_symlink()
    )
    assert kinds.count("socket") == 1, kinds  # to its caller
    assert set(kinds) <= {"pipe", "socket", "/0", "/1", "/empty", "/dev/null"}
    assert all(secret.encode() not in piece for piece in memory_of(process))


def test_process_ends_with_its_caller(guest: Callable[..., Path], make_bundle: Callable[..., Path]) -> None:
    """Its caller may be killed at any moment."""
    usable("wasm3")
    made = make_bundle(guest("sleep"), args=["60"])
    program = (
        "import sys, time, wasmoci\n"
        f"with wasmoci.start({str(made)!r}, engine='wasm3') as started:\n"
        "    print(started.pid, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        process = int(caller.stdout.readline())
        assert status_of(process)["Seccomp"] == "2"
        caller.send_signal(signal.SIGKILL)
    wait_for("its end", lambda: not Path(f"/proc/{process}").exists())


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_module_that_reads_beyond_its_memory(isolation: str | None, tmp_path: Path) -> None:
    """wasm3 isn't given it, wherever it is to run."""
    usable("wasm3")
    made = bundle(tmp_path / "bundle", assembled(bombs.overlays_wasm3()))
    with pytest.raises(UnsupportedModule, match="needs multi-value"):
        wasmoci.run(made, engine="wasm3", isolation=isolation)


@pytest.mark.parametrize("order", [("wasmtime", "wasm3"), ("wasmtime", "wasmer", "wasm3")])
def test_invalid_module_is_tried_on_no_other_engine(order: tuple[str, ...], tmp_path: Path) -> None:
    """What wasmtime calls invalid is invalid."""
    for name in order:
        usable(name)
    made = bundle(tmp_path / "bundle", assembled(ILL_TYPED))
    dispatcher = wasmoci.Dispatcher(engines=order)
    with pytest.raises(InvalidModule, match="wasmtime refuses it: type mismatch"):
        dispatcher.run(made)
    explanation = wasmoci.explain(made)
    assert "type mismatch" in explanation.problem
    told = {candidate.engine: candidate.reason for candidate in explanation.engines}
    assert told["wasm3"] == "it isn't asked, as wasmtime calls the module invalid"


def test_it_is_chosen_where_it_is_named(guest: Callable[..., Path], make_bundle: Callable[..., Path]) -> None:
    """By the caller, the spec, the user's environment, or as the first of a list; and runs in the jail each time."""
    for name in ("wasm3", "wasmtime"):
        usable(name)
    plain = make_bundle(guest("hello"))
    named = make_bundle(guest("hello"), annotations={"run.oci.handler": "wasm3"})
    assert wasmoci.explain(plain).runs_on == "wasmtime"
    assert wasmoci.Dispatcher(engines=("wasmtime", "wasm3")).run(wasmoci.Bundle.load(plain)).engine == "wasmtime"
    assert wasmoci.Dispatcher(engines=("wasm3", "wasmtime")).run(wasmoci.Bundle.load(plain)).engine == "wasm3"
    for explanation in (wasmoci.explain(plain, engine="wasm3"), wasmoci.explain(named)):
        assert (explanation.runs_on, explanation.isolation) == ("wasm3", "jail")
    reasons = {candidate.engine: candidate.reason for candidate in wasmoci.explain(plain).engines}
    assert reasons["wasm3"].startswith("it could, but is no sandbox by itself")


@pytest.mark.usefixtures("no_jail")
def test_without_a_jail_it_is_refused(guest: Callable[..., Path], make_bundle: Callable[..., Path]) -> None:
    """Unless the caller says where else it is to run."""
    usable("wasm3")
    made = make_bundle(guest("hello"))
    with pytest.raises(
        JailUnavailable, match="wasm3 is no sandbox by itself, and there is no jail on this machine"
    ) as caught:
        wasmoci.run(made, engine="wasm3")
    assert "'process'" in str(caught.value.hint)
    assert "no jail on this machine" in wasmoci.explain(made, engine="wasm3").problem
    for isolation in ("process", "inline"):
        assert wasmoci.run(made, engine="wasm3", isolation=isolation).exit_code == 0


def test_engine_that_starts_processes_is_not_jailed(
    guest: Callable[..., Path], make_bundle: Callable[..., Path]
) -> None:
    """It couldn't start them there."""
    usable("wasmer")
    made = make_bundle(guest("hello"))
    if sys.version_info < (3, 11):
        assert wasmoci.run(made, engine="wasmer", isolation="jail").exit_code == 0
    else:
        with pytest.raises(UnsupportedWorkload, match="wasmer runs guests in processes that it starts"):
            wasmoci.run(made, engine="wasmer", isolation="jail")


@pytest.mark.parametrize("engine", ["wasm3", "wasmtime"])
def test_jail_gives_a_guest_its_mounts(
    engine: str, guest: Callable[..., Path], make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    """Also where directories on the way to one aren't there, of which a process in the jail can make none."""
    usable(engine)
    (tmp_path / "data").mkdir()
    made = make_bundle(guest("cat"))
    volumes = [f"{tmp_path / 'data'}:/on/the/way/data:ro"]
    for isolation in ("jail", "process"):
        found = wasmoci.run(made, engine=engine, isolation=isolation, stdin=b"in", volumes=volumes)
        assert (found.exit_code, found.stdout, found.stderr) == (0, b"in", b"")

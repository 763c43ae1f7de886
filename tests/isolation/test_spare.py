"""Workers of the jail that the warm server has forked ahead: the next run gets one, whatever becomes of it nothing is lost or left."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import wasmoci
from tests.conftest import usable
from tests.support.leak_check import nothing_left
from tests.support.requirements import require
from tests.support.waiting import ended, wait_for
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.dispatch.request import Request
from wasmoci.handlers.wasm3 import Wasm3Handler
from wasmoci.isolation.handler_import import reference_of
from wasmoci.isolation.jail import root
from wasmoci.isolation.jail.support import support
from wasmoci.isolation.warm_servers import Servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MS_BIND, _MNT_DETACH = 0x1000, 2
REPOSITORY = Path(__file__).parents[2]
TOLD = "the root's own"


@pytest.fixture
def servers() -> Iterator[Servers]:
    """Servers of one test, which are gone after it; that of the jail has wasm3 loaded."""
    usable("wasm3")
    require(not support().problem, support().problem)
    with nothing_left(), contextlib.closing(Servers(eager=True)) as found:
        found.warm_up([reference_of(Wasm3Handler())], jailed=True)
        yield found


@pytest.fixture
def bundle(make_bundle: Callable[..., Path], guest: Callable[..., Path]) -> wasmoci.Bundle:
    """A guest that shows a file of its root."""
    path = make_bundle(guest("cat"), args=["/data/told"])
    (path / "rootfs" / "data").mkdir()
    (path / "rootfs" / "data" / "told").write_text(TOLD, encoding="utf-8")
    return wasmoci.Bundle.load(path)


def run(servers: Servers, bundle: wasmoci.Bundle) -> tuple[int, int, str]:
    """Run a guest in the jail: its process, the server's, and what it wrote."""
    asked = Request(bundle, engine="wasm3", stdio=wasmoci.Stdio.capture(), isolation=wasmoci.Isolation.JAIL)
    launched = Dispatcher(servers=servers).launch(asked)
    with launched as running:
        server = int(Path(f"/proc/{running.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])
        result = running.wait().check()
        return running.pid, server, (result.stdout or b"").decode()


def children_of(pid: int) -> set[int]:
    """The children of a process, which has one thread."""
    return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()}


def spare_of(server: int) -> int:
    """The process id of a server's spare, when nothing runs."""
    wait_for("a spare", lambda: len(children_of(server)) == 1)
    (spare,) = children_of(server)
    return spare


def uses_spare(servers: Servers, bundle: wasmoci.Bundle, server: int) -> bool:
    """Whether a run, which shows what it should, is given the process that waits, ready or not."""
    spare = spare_of(server)
    process, _, told = run(servers, bundle)
    assert told == TOLD
    return process == spare


def test_a_run_has_the_process_that_waits(servers: Servers, bundle: wasmoci.Bundle) -> None:
    """One that is ready serves the next run, and another one comes in its place."""
    _, server, _ = run(servers, bundle)
    for _ in range(2):
        wait_for("a spare that is ready", lambda: uses_spare(servers, bundle, server))


def test_a_process_that_dies_while_it_waits_costs_no_run(servers: Servers, bundle: wasmoci.Bundle) -> None:
    """The next run has another process."""
    _, server, _ = run(servers, bundle)
    wait_for("a spare that is ready", lambda: uses_spare(servers, bundle, server))
    spare = spare_of(server)
    os.kill(spare, signal.SIGKILL)
    assert ended(spare)
    process, again, told = run(servers, bundle)
    assert (process == spare, again, told) == (False, server, TOLD)


@pytest.mark.parametrize("number", [signal.SIGKILL, None], ids=["killed", "closed"])
def test_it_ends_with_its_server(servers: Servers, bundle: wasmoci.Bundle, number: int | None) -> None:
    """Nothing is left, however the server ends."""
    _, server, _ = run(servers, bundle)
    spare = spare_of(server)
    if number is None:
        servers.close()
        assert not Path(f"/proc/{spare}").exists()
    else:
        os.kill(server, number)
    assert ended(spare)


def test_what_is_mounted_while_it_waits_is_seen(servers: Servers, bundle: wasmoci.Bundle, tmp_path: Path) -> None:
    """A guest has the mounts of when it begins."""
    require(root.may_mount(), "mounting takes CAP_SYS_ADMIN")
    _, server, _ = run(servers, bundle)
    wait_for("a spare that is ready", lambda: uses_spare(servers, bundle, server))
    other, place = tmp_path / "other", Path(bundle.path, "rootfs", "data")
    other.mkdir()
    (other / "told").write_text("mounted", encoding="utf-8")
    libc = ctypes.CDLL(None, use_errno=True)
    spare_of(server)
    assert libc.mount(bytes(other), bytes(place), None, ctypes.c_ulong(_MS_BIND), None) == 0
    try:
        assert run(servers, bundle)[2] == "mounted"
    finally:
        assert libc.umount2(bytes(place), _MNT_DETACH) == 0
    assert run(servers, bundle)[2] == TOLD


def test_mounts_that_change_are_noticed() -> None:
    """Whoever may not mount finds only what was mounted before it waited, so that is watched."""
    script = """
import ctypes, os
from wasmoci.isolation import spare
from wasmoci.isolation.jail import root
libc = ctypes.CDLL(None)
proc = os.open("/proc/self", os.O_PATH)
root._enter_user_namespace(proc, root._NEWNS)
root.may_mount = lambda: False
mounts = spare._Mounts()
seen = [mounts.have_changed()]
assert libc.mount(b"x", b"/proc", b"tmpfs", ctypes.c_ulong(0), None) == 0
seen += [mounts.have_changed(), mounts.have_changed()]
print(*seen)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    require("PermissionError" not in done.stderr, "user namespaces can't be made here")
    assert (done.stdout, done.stderr) == ("False True False\n", "")

"""Time and random bytes that are the same at every run, on every engine."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

import wasmoci
from wasmoci import determinism
from wasmoci.dispatch import registry
from wasmoci.wasi import VirtualClocks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DEFAULT = b"time 946684800\nrandom cd072cd8be6f9f62\npassed 3600 s, time 946688400\n"


@pytest.mark.parametrize("isolation", ["inline", "process"])
@pytest.mark.parametrize("args", [[], ["files"]], ids=["plain", "files"])
def test_same_on_all_engines(
    guest: Callable[..., Path], make_bundle: Callable[..., Path], engine: str, isolation: str, args: list[str]
) -> None:
    """Every engine gives a guest the same, in this process and in a worker; an hour's sleep takes no time."""
    bundle = make_bundle(guest("chance"), args=args)
    with wasmoci.deterministic():
        result = wasmoci.run(bundle, engine=engine, isolation=isolation, timeout=60 if isolation == "process" else None)
    assert result.check().stdout == DEFAULT


def test_chosen(guest: Callable[..., Path], make_bundle: Callable[..., Path], engine: str) -> None:
    """Time and seed are the caller's."""
    with wasmoci.deterministic(time=1.5, seed=1):
        result = wasmoci.run(make_bundle(guest("chance")), engine=engine)
    assert result.check().stdout == b"time 1\nrandom f5b165224a58b791\npassed 3600 s, time 3601\n"


def test_waiting_for_a_clock(guest: Callable[..., Path], make_bundle: Callable[..., Path], engine: str) -> None:
    """A guest that waits for a clock without sleeping goes on."""
    with wasmoci.deterministic():
        result = wasmoci.run(make_bundle(guest("chance"), args=["wait"]), engine=engine, timeout=60)
    assert result.check().stdout == b"time 946684800\nrandom cd072cd8be6f9f62\npassed 0 s, time 946684800\n"


def test_ends_with_its_context(guest: Callable[..., Path], make_bundle: Callable[..., Path], engine: str) -> None:
    """A run behind the context, and one on a thread that knows nothing of it, get the host's time."""
    bundle = make_bundle(guest("chance"), args=["wait"])
    results = []
    with wasmoci.deterministic():
        thread = threading.Thread(target=lambda: results.append(wasmoci.run(bundle, engine=engine)))
        thread.start()
        thread.join()
    results.append(wasmoci.run(bundle, engine=engine))
    for result in results:
        assert not result.check().stdout.startswith(b"time 946684800\n")


def test_engine_without(
    guest: Callable[..., Path], make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """An engine that can't is refused by the name of what it lacks."""
    handler = registry.default().load(engine)
    monkeypatch.setattr(handler, "capabilities", handler.capabilities - {wasmoci.Capability.DETERMINISM}, raising=False)
    bundle = make_bundle(guest("chance"))
    with wasmoci.deterministic(), pytest.raises(wasmoci.UnsupportedWorkload, match=f"{engine} .* needs: determinism"):
        wasmoci.run(bundle, engine=engine)


@pytest.mark.parametrize("choice", [{"time": -1}, {"time": float("nan")}, {"time": 1e30}, {"tick": -1.0}])
def test_refused(choice: dict[str, float]) -> None:
    """A time that no clock can tell is refused."""
    with pytest.raises(ValueError, match="expected seconds, 0 or more"):
        determinism.Determinism(**choice)  # type: ignore[arg-type]


def test_clocks_do_not_overflow() -> None:
    """A clock at the end of its range starts again; a guest can't make the host fail."""
    clocks = VirtualClocks(start=(1 << 64) - 1, tick=1)
    assert [clocks.realtime(), clocks.realtime()] == [(1 << 64) - 1, 0]
    clocks.sleep((1 << 64) - 1)
    assert clocks.monotonic() == 1

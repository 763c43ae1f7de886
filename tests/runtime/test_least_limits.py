"""Limits that are too small for an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from wasmoci.errors import UnsupportedWorkload
from wasmoci.runtime import least_limits

if TYPE_CHECKING:
    from tests.runtime.containers import Runtime

MIB = 1 << 20
LEAST = {"wasmtime": (3, 13), "wasm3": (3, 13), "wasmer": (9, 39)}
"""Processes, and MiB of memory."""


@pytest.fixture(autouse=True)
def _no_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(least_limits, "_SWAPS", "/dev/null")


@pytest.mark.parametrize("engine", LEAST)
def test_the_least_number_of_processes_works(runtime: Runtime, engine: str) -> None:
    """With as many as are asked for a guest runs, whatever the number of processors; with one less it is said."""
    least, _ = LEAST[engine]

    def run(limit: int) -> tuple[int, bytes, bytes]:
        extra = {"linux": {"resources": {"pids": {"limit": limit}}}}
        done = runtime.run("hello", annotations={"run.oci.handler": engine}, extra=extra)
        return done.returncode, done.stdout, done.stderr

    assert run(least) == (0, b"Hello, World!\n", b"")
    status, _, told = run(least - 1)
    assert (status, f"and {engine} needs at least {least}".encode() in told) == (126, True)


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("handler", ["wasm", "wasmer"])
def test_hardly_any_process(runtime: Runtime, handler: str, limit: int) -> None:
    """Never a traceback, nor an engine's panic."""
    extra = {"linux": {"resources": {"pids": {"limit": limit}}}}
    done = runtime.run("hello", annotations={"run.oci.handler": handler}, extra=extra)
    assert done.returncode == 126
    assert f"may have {limit} processes and threads (linux.resources.pids.limit)".encode() in done.stderr
    assert b"panicked" not in done.stderr


@pytest.mark.parametrize(
    ("resources", "engine", "told"),
    [
        ({"memory": {"limit": 8 * MIB}}, "wasmtime", "8 MiB of memory (linux.resources.memory.limit), and wasmtime"),
        ({"memory": {"limit": 8 * MIB}}, None, "and an engine needs at least 12 MiB"),
        ({"memory": {"limit": 32 * MIB}}, "wasmer", "and wasmer needs at least 39 MiB"),
        ({"unified": {"memory.max": str(4 * MIB)}}, "wasm3", "4 MiB"),
        ({"unified": {"pids.max": "1"}}, "other", "1 processes"),
        ({"memory": {"limit": 32 * MIB}}, "wasmtime", ""),
        ({"memory": {"limit": -1}, "pids": {"limit": 0}, "unified": {"pids.max": "max"}}, "wasmtime", ""),
        ({}, "wasmtime", ""),
    ],
)
def test_what_is_too_little(resources: dict[str, Any], engine: str | None, told: str) -> None:
    """It is said by the limit's name, with the least that works."""
    if not told:
        least_limits.check(resources, engine)
        return
    with pytest.raises(UnsupportedWorkload) as found:
        least_limits.check(resources, engine)
    assert told in found.value.message


def test_swap_is_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the host has swap and the container may use it, nobody knows what is too little."""
    monkeypatch.setattr(least_limits, "_host_swaps", lambda: True)
    least_limits.check({"memory": {"limit": 8 * MIB}}, "wasmtime")
    with pytest.raises(UnsupportedWorkload):
        least_limits.check({"memory": {"limit": 8 * MIB, "swap": 8 * MIB}}, "wasmtime")

"""An engine that promises nothing works in the jail if it can, and else says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.requirements import require
from tests.trust import third_party
from wasmoci import Limits, Stdio, isolation
from wasmoci.errors import EngineCrashed, JailUnavailable, UnsupportedWorkload
from wasmoci.isolation.jail.support import support
from wasmoci.isolation.warm_servers import Servers
from wasmoci.testing import bundle
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wasmoci import ExecutionResult
    from wasmoci.errors import WasmociError

pytestmark = pytest.mark.heavy

MODULE = '(module (memory (export "memory") 1) (func (export "_start")))'
WAY_OUT = "choose another engine, or the isolation 'process'"


@pytest.fixture(params=["cold", "warm"])
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    """What gives the process: one that is started, or one that is forked, for which the handler was loaded before."""
    require(not support().problem, support().problem)
    made = Servers(eager=request.param == "warm")
    yield made
    made.close()


def run(handler: third_party.ThirdParty, directory: Path, servers: Servers) -> ExecutionResult:
    """Run a guest where it belongs."""
    made = bundle(directory / "bundle", MODULE)
    stdio, limits = Stdio.capture(), Limits()
    module = Module.read(made.rootfs / "app.wasm")
    place = isolation.choose(handler, module, stdio, limits)
    assert place is isolation.Isolation.JAIL
    return isolation.execute(
        handler, made.spec, made.rootfs, stdio=stdio, limits=limits, isolation=place, servers=servers
    )


@pytest.mark.parametrize("kind", [third_party.ThirdParty, third_party.ImportsLate, third_party.StartsThread])
def test_engine_that_needs_nothing_of_the_host(
    kind: type[third_party.ThirdParty], tmp_path: Path, servers: Servers
) -> None:
    """It works, each time."""
    for name in ("first", "second", "third"):
        assert run(kind(), tmp_path / name, servers).ok


REFUSED = {
    third_party.LoadsTooLittle: (EngineCrashed, "No module named 'colorsys'"),
    third_party.ReadsFile: (EngineCrashed, "No such file|Permission denied"),
    third_party.StartsProcess: (EngineCrashed, "PermissionError|FileNotFoundError"),
    third_party.SaysThatItStartsProcesses: (UnsupportedWorkload, "runs guests in processes that it starts"),
    third_party.KeepsThread: (JailUnavailable, "keeps threads of its own"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_engine_that_needs_something_of_the_host(
    kind: type[third_party.ThirdParty], tmp_path: Path, servers: Servers
) -> None:
    """It doesn't get it, and the error says what to do, each time."""
    error: type[WasmociError]
    error, message = REFUSED[kind]
    for name in ("first", "second", "third"):
        with pytest.raises(error, match=message) as raised:
            run(kind(), tmp_path / name, servers)
        assert WAY_OUT in (raised.value.hint or "")

"""Our own handlers keep the contract, by the kit that everybody has."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

import pytest

from tests.conftest import usable
from wasmoci.errors import UnsupportedWorkload
from wasmoci.result import ExitReason
from wasmoci.stdio import Stdio, Stream
from wasmoci.testing import HandlerConformance
from wasmoci.testing.conformance.base import Runner, made
from wasmoci.wasi import Errno

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wasmoci.handlers.contract import EngineHandler
    from wasmoci.isolation import Isolation
    from wasmoci.limits import Limits
    from wasmoci.oci.bundle import Bundle
    from wasmoci.result import ExecutionResult

pytestmark = pytest.mark.heavy

_EIO = 29  # of WASI


class _Ours(HandlerConformance):
    engine_name: str

    @pytest.fixture
    def subject(self) -> EngineHandler:
        """The handler, where its engine is installed."""
        usable(self.engine_name)
        module = importlib.import_module(f"wasmoci.handlers.{self.engine_name}")
        return made(getattr(module, f"{self.engine_name.capitalize()}Handler"))


class TestWasmtime(_Ours):
    """On wasmtime."""

    engine_name = "wasmtime"


class TestWasmer(_Ours):
    """On wasmer, by the back end that is for this Python."""

    engine_name = "wasmer"


class TestWasm3(_Ours):
    """On wasm3."""

    engine_name = "wasm3"


class _InTheJail(Runner):
    """Each of its runs has a process of its own already."""

    def in_worker(
        self,
        made: Bundle,
        limits: Limits,
        stdio: Stdio | None = None,
        isolated: Isolation | None = None,  # noqa: ARG002  it is the jail anyway
    ) -> ExecutionResult:
        """See :meth:`Runner.in_worker`."""
        return self.execute(made, stdio=stdio, limits=limits)


class TestWasm3InTheJail(HandlerConformance):
    """On wasm3 as it runs where nobody says otherwise: a guest can do in the jail what it can do anywhere."""

    @pytest.fixture
    def subject(self) -> EngineHandler:
        """The handler, each guest of which runs in the jail."""
        usable("wasm3")
        return made(importlib.import_module("tests.handlers.jailed").JailedWasm3)

    @pytest.fixture
    def run(self, subject: EngineHandler, tmp_path: Path) -> Runner:
        """Runs core modules of the kit in the jail."""
        return _InTheJail(subject, tmp_path, self.patience)

    def test_functions_take_the_output(self, run: Runner) -> None:
        """Each stream comes in order; between processes nothing keeps the order of two of them."""
        taken: dict[str, bytes] = {"stdout": b"", "stderr": b""}

        def take(stream: str) -> Callable[[bytes], None]:
            def write(data: bytes) -> None:
                taken[stream] += data

            return write

        result = run("streams", stdio=Stdio(stdin=b"", stdout=take("stdout"), stderr=take("stderr")))
        assert result.ok
        assert taken == {"stdout": b"out 1\nout 2\n", "stderr": b"err 1\nerr 2\n"}


class TestWasmtimeInTheJail(TestWasm3InTheJail):
    """On wasmtime where a caller wants one wall more."""

    @pytest.fixture
    def subject(self) -> EngineHandler:
        """The handler, each guest of which runs in the jail."""
        usable("wasmtime")
        return made(importlib.import_module("tests.handlers.jailed").JailedWasmtime)

    def test_components_run(self, run: Runner) -> None:  # type: ignore[override]
        """They don't: wasmtime's own WASI needs procfs, to be given no directory with anything of the kernel's in it."""
        with pytest.raises(UnsupportedWorkload, match="mountinfo can't be read"):
            run("component")

    def test_reader_that_is_gone_is_the_guests_to_handle(self, run: Runner) -> None:
        """In a worker process wasmtime writes to the pipe by itself, and says ``io`` of it, as it does in any worker."""
        reading, writing = os.pipe()
        os.close(reading)
        try:
            result = run("pour", stdio=Stdio(stdin=b"", stdout=writing, stderr=Stream.NULL))
        finally:
            os.close(writing)
        assert (result.reason, result.exit_code) == (ExitReason.EXITED, Errno.IO)

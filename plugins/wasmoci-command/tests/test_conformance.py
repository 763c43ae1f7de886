"""The contract of a handler, on the program wasmtime: all of it, but for what the README says that it can't."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from wasmoci_command.wasmtime import WasmtimeProgram

from wasmoci import EngineUnavailable, ExitReason, Stdio
from wasmoci.stdio import Stream
from wasmoci.testing import HandlerConformance

if TYPE_CHECKING:
    from wasmoci.handlers.contract import EngineHandler


class TestWasmtime(HandlerConformance):
    """The kit, with four of its tests for what the program does instead."""

    handler = WasmtimeProgram
    tells_of_refusals = False

    @pytest.fixture
    def subject(self) -> EngineHandler:
        """The handler under test."""
        try:
            return WasmtimeProgram()
        except EngineUnavailable as error:
            if os.environ.get("WASMOCI_REQUIRE_ALL") == "1":
                raise
            pytest.skip(str(error))

    @pytest.mark.parametrize("code", [0, 1, 2, 7, 63, 64, 100, 124, 125])
    def test_exit_codes_arrive(self, run: Any, code: int) -> None:
        """Those that the program tells."""
        result = run("exit", str(code))
        assert (result.reason, result.exit_code) == (ExitReason.EXITED, code)

    @pytest.mark.parametrize("code", [126, 134, 255, 256, 65536])
    def test_exit_codes_are_not_cut_to_8_bits(self, run: Any, code: int) -> None:
        """Of the others it tells that there was one."""
        result = run("exit", str(code))
        assert (result.reason, result.exit_code) == (ExitReason.EXITED, 255)
        assert "above 125" in result.message

    def test_reader_that_is_gone_is_the_guests_to_handle(self, run: Any) -> None:
        """The program tells its guest of it by another errno."""
        input_output_error = 29
        reading, writing = os.pipe()
        os.close(reading)
        try:
            result = run("pour", stdio=Stdio(stdin=b"", stdout=writing, stderr=Stream.NULL))
        finally:
            os.close(writing)
        assert (result.reason, result.exit_code) == (ExitReason.EXITED, input_output_error)

    def test_absolute_symlinks_lead_within_the_root(self, run: Any) -> None:
        """The program refuses them to the guest."""
        not_permitted = 63
        result = run("files", "read", "/link", files={"/etc/name": "here"}, symlinks={"/link": "/etc/name"})
        assert (result.reason, result.exit_code) == (ExitReason.EXITED, not_permitted)

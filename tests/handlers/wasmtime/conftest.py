"""Running guests on the handler for wasmtime."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.support.guests import build
from tests.support.requirements import require
from wasmoci.limits import Limits
from wasmoci.oci.bundle import Bundle
from wasmoci.stdio import Stdio

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wasmoci.handlers.base import BaseHandler
    from wasmoci.result import ExecutionResult

NO_LIMITS = Limits()


class Run(Protocol):
    """Runs a guest in a bundle of its own; more arguments are those of ``make_bundle``."""

    def __call__(
        self,
        guest: str | Path | bytes,
        *args: str,
        stdin: bytes = b"",
        stdio: Stdio | None = None,
        limits: Limits = NO_LIMITS,
        **bundle: object,
    ) -> ExecutionResult:
        """Run it to its end."""


@pytest.fixture(scope="session")
def handler() -> BaseHandler:
    """The handler; one for all tests, so that each guest is compiled once."""
    require(importlib.util.find_spec("wasmtime"), "these tests need wasmtime: pip install wasmtime")
    from wasmoci.handlers.wasmtime import WasmtimeHandler  # noqa: PLC0415  an engine, which may be missing

    return WasmtimeHandler()


@pytest.fixture
def run(handler: BaseHandler, make_bundle: Callable[..., Path]) -> Run:
    """Runs a guest: the name of one of ``tests/guests``, a module in the text format, or its bytes."""

    def run(
        guest: str | Path | bytes,
        *args: str,
        stdin: bytes = b"",
        stdio: Stdio | None = None,
        limits: Limits = NO_LIMITS,
        **options: object,
    ) -> ExecutionResult:
        if isinstance(guest, str):
            guest = guest.encode() if guest.lstrip().startswith("(") else build(guest)
        bundle = Bundle.load(make_bundle(guest, args=args, **options))
        streams = Stdio.capture(stdin) if stdio is None else stdio
        return handler.execute(bundle.spec, bundle.rootfs, stdio=streams, limits=limits)

    return run

"""Compares engines by what the conformance kit finds: ``python -m wasmoci.testing.report [--json] [ENGINE...]``.

All named engines, or all usable ones, are run through the kit. Nothing in the report depends on the machine's speed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
from collections import Counter
from typing import TYPE_CHECKING

import attrs
import pytest

from wasmoci.dispatch import registry
from wasmoci.errors import WasmociError
from wasmoci.handlers.capabilities import Capability
from wasmoci.host.temporary_directory import temporary_directory
from wasmoci.testing.conformance.base import guest_bytes
from wasmoci.testing.conformance.modules import FEATURES
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from collections.abc import Sequence

_TESTS = """from wasmoci.dispatch import registry
from wasmoci.testing import HandlerConformance


class TestEngine(HandlerConformance):
    handler = registry.default().load({name!r})
"""
_TITLE = """# Engines compared

What the [conformance kit](testing.md) finds. Made by `python -m wasmoci.testing.report`, not by hand.
"""


@attrs.define
class Measured:
    """The kit's results for one engine.

    Args:
        engine: Its name.
        capabilities: The capabilities that it claims.
        features: Whether the engine supports each Wasm feature that the kit has a module for.
        outcomes: The number of passed, failed and skipped tests of each class of the kit.
        skipped: The skipped tests, with the reason.
        failed: The failed tests, with the message.
    """

    engine: str
    capabilities: list[str]
    features: dict[str, bool]
    outcomes: dict[str, Counter[str]] = attrs.field(factory=dict)
    skipped: dict[str, str] = attrs.field(factory=dict)
    failed: dict[str, str] = attrs.field(factory=dict)

    @pytest.hookimpl
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """Record the result of a test of the kit."""
        if call.excinfo is None and call.when != "call":
            return
        test = item.name.partition("[")[0]
        outcome = "passed"
        if call.excinfo is not None:
            is_skip = call.excinfo.errisinstance(pytest.skip.Exception)
            outcome = "skipped" if is_skip else "failed"
            (self.skipped if is_skip else self.failed)[test] = str(call.excinfo.value).partition("\n")[0]
        part = getattr(item, "function").__qualname__.partition(".")[0]  # noqa: B009  an Item in general has none
        self.outcomes.setdefault(part, Counter())[outcome] += 1


def measure(engine: str) -> Measured:
    """Run the kit on a registered engine.

    Args:
        engine: Its name.

    Raises:
        EngineError: It can't be used.
    """
    handler = registry.default().load(engine)
    found = Measured(
        engine,
        sorted(capability.value for capability in handler.capabilities),
        {guest.removeprefix("needs_").replace("_", "-"): _takes(engine, guest) for guest in FEATURES},
    )
    # Without pytest's fault handler, which would replace an engine's own handler for traps.
    with temporary_directory("wasmoci-") as directory, contextlib.redirect_stdout(sys.stderr):
        # A unique name, because pytest caches modules by name.
        path = directory / f"test_{re.sub(r'[^0-9A-Za-z]', '_', engine)}.py"
        path.write_text(_TESTS.format(name=engine), encoding="utf-8")
        options = [
            "-q",
            "--tb=short",
            f"--rootdir={directory}",
            "-c",
            "/dev/null",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:faulthandler",
        ]
        pytest.main([*options, "--import-mode=importlib", str(path)], plugins=[found])
    return found


def markdown(engines: Sequence[Measured]) -> str:
    """Format the report as a page of the documentation."""
    head = f"| | {' | '.join(engine.engine for engine in engines)} |\n|---|{'---|' * len(engines)}\n"
    capabilities = "".join(
        _row(f"`{item.value}`", ["yes" if item.value in engine.capabilities else "no" for engine in engines])
        for item in Capability
    )
    features = "".join(
        _row(f"`{name}`", ["yes" if engine.features[name] else "refused" for engine in engines])
        for name in engines[0].features
    )
    parts = dict.fromkeys(part for engine in engines for part in engine.outcomes)
    outcomes = "".join(_row(part, [_counts(engine.outcomes.get(part)) for engine in engines]) for part in parts)
    sections = [
        _TITLE,
        f"## What they claim\n\n{head}{capabilities}",
        f"## Tests of the contract\n\n{head}{outcomes}",
        f"## Wasm features\n\nA module that needs the feature is run, or refused before it runs.\n\n{head}{features}",
    ]
    for title, tests in (("Skipped", "skipped"), ("Failed", "failed")):
        lines = [
            f"- {engine.engine}: `{test}`: {reason}\n"
            for engine in engines
            for test, reason in sorted(getattr(engine, tests).items())
        ]
        if lines:
            sections.append(f"## {title}\n\n{''.join(lines)}")
    return "\n".join(sections)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; return 1 if a test failed."""
    parser = argparse.ArgumentParser(prog="python -m wasmoci.testing.report", description=__doc__)
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help="the engines (default: all that are usable)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    usable = [status.name for status in registry.default().statuses() if status.available]
    try:
        engines = [measure(name) for name in options.engines or usable]
    except WasmociError as error:
        parser.error(str(error))
    if not engines:
        parser.error("no engine is usable; install one with: pip install 'wasmoci[all]'")
    shown = json.dumps([attrs.asdict(engine) for engine in engines], indent=2) + "\n"
    sys.stdout.write(shown if options.json else markdown(engines))
    return 1 if any(engine.failed for engine in engines) else 0


def _takes(engine: str, guest: str) -> bool:
    try:
        registry.default().load(engine).validate(Module.from_bytes(guest_bytes(guest)))
    except WasmociError:
        return False
    return True


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |\n"


def _counts(counts: Counter[str] | None) -> str:
    return (
        ", ".join(f"{counts[name]} {name}" for name in ("passed", "failed", "skipped") if counts[name])
        if counts
        else ""
    )


if __name__ == "__main__":
    sys.exit(main())

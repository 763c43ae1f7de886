"""``wasmoci engines``: lists the registered engines and their capabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasmoci.api import engines
from wasmoci.cli.options import add_json
from wasmoci.cli.output import say_json, say_lines, table
from wasmoci.handlers.capabilities import Capability
from wasmoci.isolation.jail.support import support

if TYPE_CHECKING:
    import argparse

    from wasmoci.dispatch.registry import EngineStatus


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print the engines."""
    statuses = engines()
    if options.json:
        say_json([status.to_dict() for status in statuses])
    else:
        say_lines(table([("ENGINE", "VERSION", "FROM", "RUNS", "CAN DO"), *(_row(status) for status in statuses)]))
    return 0


def _row(status: EngineStatus) -> tuple[str, str, str, str, str]:
    if not status.available:
        return (status.name, "-", status.distribution or "-", "-", f"not usable: {status.reason}")
    able = ", ".join(sorted(capability.value for capability in status.capabilities))
    return (status.name, status.engine_version or "-", status.distribution or "-", _place(status), able)


def _place(status: EngineStatus) -> str:
    """Return where the engine's guests run by default."""
    if Capability.SANDBOXED in status.capabilities:
        return "inline"
    return "nowhere: no jail" if support().problem else "in the jail"

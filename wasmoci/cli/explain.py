"""``wasmoci explain``: what a run would do, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasmoci.cli.options import add_choice, add_json
from wasmoci.cli.output import say, say_json

if TYPE_CHECKING:
    import argparse

HELP = "Say what a run would do with a bundle, and why; nothing of it runs."


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options and arguments."""
    add_choice(parser)
    add_json(parser)
    parser.add_argument("bundle", metavar="BUNDLE", help="the bundle's directory")


def run(options: argparse.Namespace) -> int:
    """Print the explanation."""
    from wasmoci.api import explain  # noqa: PLC0415

    explanation = explain(
        options.bundle,
        engine=options.engine,
        timeout=options.timeout,
        memory=options.memory,
        isolation=options.isolation,
    )
    if options.json:
        say_json(explanation.to_dict())
    else:
        say(explanation)
    return 0

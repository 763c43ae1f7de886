"""``wasmoci explain``: what a run would do, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasmoci.cli.image_options import WORKLOAD_HELP, add_image, image_options, tidy
from wasmoci.cli.options import add_choice, add_json
from wasmoci.cli.output import say, say_json

if TYPE_CHECKING:
    import argparse

HELP = "Say what a run would do with a bundle or an image, and why; nothing of it runs."


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options and arguments."""
    add_choice(parser)
    add_json(parser)
    add_image(parser)
    parser.add_argument("bundle", metavar="BUNDLE|IMAGE", help=WORKLOAD_HELP)


def run(options: argparse.Namespace) -> int:
    """Print the explanation."""
    from wasmoci.dispatcher import Dispatcher  # noqa: PLC0415
    from wasmoci.explanation import explain_bundle  # noqa: PLC0415
    from wasmoci.isolation import Isolation  # noqa: PLC0415
    from wasmoci.limits import Limits  # noqa: PLC0415
    from wasmoci.workload import opened  # noqa: PLC0415

    with tidy(), opened(options.bundle, image=lambda: image_options(options)) as bundle:
        explanation = explain_bundle(
            bundle,
            Dispatcher(),
            engine=options.engine,
            limits=Limits(time=options.timeout, memory=options.memory),
            isolation=None if options.isolation is None else Isolation(options.isolation),
        )
    if options.json:
        say_json(explanation.to_dict())
    else:
        say(explanation)
    return 0

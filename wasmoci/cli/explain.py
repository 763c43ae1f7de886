"""``wasmoci explain``: explains what a run would do, without running anything."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from wasmoci.cli.image_options import WORKLOAD_HELP, add_image, add_native, image_options, tidy
from wasmoci.cli.options import add_choice, add_compile_timeout, add_json, run_options, settled
from wasmoci.cli.output import say, say_json, say_lines
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.dispatch.explanation import explain_bundle
from wasmoci.dispatch.opening import opened
from wasmoci.dispatch.request import Request
from wasmoci.runtime.container_lookup import find

if TYPE_CHECKING:
    import argparse

    from wasmoci.runtime.container_lookup import Container


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options and arguments."""
    add_choice(parser)
    add_compile_timeout(parser)
    add_json(parser)
    add_image(parser)
    add_native(parser)
    parser.add_argument(
        "--runtime-root", metavar="DIR", help="where the native runtime keeps its containers (default: the usual ones)"
    )
    parser.add_argument(
        "bundle", metavar="BUNDLE|IMAGE|CONTAINER", help=f"{WORKLOAD_HELP}, or a container's id or the beginning of one"
    )


def run(options: argparse.Namespace) -> int:
    """Print the explanation."""
    container = _container(options)
    if container is not None:
        options.bundle = str(container.bundle)
    asked = run_options(options, native=options.native)
    with tidy(), opened(asked, image=lambda: image_options(options)) as bundle:
        explanation = explain_bundle(
            Request.of(asked, bundle, asked.streams), Dispatcher(settings=settled(options)), made=container is not None
        )
    if options.json:
        what = {} if container is None else {"container": attrs.asdict(container, value_serializer=_plain)}
        say_json({**explanation.to_dict(), **what})
    else:
        if container is not None:
            say(container)
        say_lines(explanation)
    return 0


def _container(options: argparse.Namespace) -> Container | None:
    """Return the container with an id; None if the argument is a bundle or may be an image."""
    if os.path.lexists(options.bundle):
        return None
    return find(options.bundle, options.runtime_root)


def _plain(_instance: object, _field: object, value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value

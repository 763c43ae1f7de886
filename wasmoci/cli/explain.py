"""``wasmoci explain``: explains what a run would do, without running anything."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from wasmoci.cli.image_options import WORKLOAD_HELP, add_image, add_native, image_options, tidy
from wasmoci.cli.options import add_choice, add_compile_timeout, add_json, run_options, settled
from wasmoci.cli.output import say, say_json, say_lines
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.dispatch.explanation import explain_bundle, remembered
from wasmoci.dispatch.opening import opened
from wasmoci.dispatch.request import Request
from wasmoci.oci.bundle import Bundle
from wasmoci.oci.json_reader import MAX_SIZE, read_file
from wasmoci.runtime.container_lookup import find

if TYPE_CHECKING:
    import argparse

    from wasmoci.dispatch.explanation import Explanation
    from wasmoci.runtime.container_lookup import Container

_CONFIG = "config.json"
_LAYOUT = "oci-layout"
"""The file that makes a directory an image's."""
_STANDARD_INPUT = "-"


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
        "bundle",
        metavar="BUNDLE|IMAGE|CONTAINER",
        help=f"{WORKLOAD_HELP}, a config.json, - for one on standard input, or a container's id or the beginning of one",
    )


def run(options: argparse.Namespace) -> int:
    """Print the explanation."""
    container = _container(options)
    explanation = _explanation(options, container)
    if options.json:
        what = {} if container is None else {"container": attrs.asdict(container, value_serializer=_plain)}
        say_json({**explanation.to_dict(), **what})
    else:
        if container is not None:
            say(container)
        say_lines(explanation)
    return 0


def _explanation(options: argparse.Namespace, container: Container | None) -> Explanation:
    if container is not None:
        if container.record and not os.path.lexists(container.bundle / _CONFIG):
            why = container.record.get("error") or f"its bundle {container.bundle} is gone, so no more can be told"
            return remembered(str(container.bundle), container.record["classification"], why)
        options.bundle = str(container.bundle)
    options.bundle = _described(options.bundle) or options.bundle
    asked = run_options(options, native=options.native)
    with tidy(), opened(asked, image=lambda: image_options(options)) as bundle:
        request = Request.of(asked, bundle, asked.streams)
        return explain_bundle(request, Dispatcher(settings=settled(options)), made=container is not None)


def _described(name: str) -> Bundle | None:
    """The bundle of a ``config.json``: of that file, of standard input, or of a directory whose root file system is gone."""
    if name == _STANDARD_INPUT:
        return Bundle.described(sys.stdin.buffer.read(MAX_SIZE + 1), source="standard input", directory=Path.cwd())
    if name.endswith(".json") and os.path.isfile(name):  # noqa: PTH113
        path = Path(name)
    elif os.path.isfile(os.path.join(name, _CONFIG)) and not os.path.lexists(os.path.join(name, _LAYOUT)):  # noqa: PTH113, PTH118
        path = Path(name, _CONFIG)
    else:
        return None
    described = Bundle.described(read_file(str(path)), source=str(path), directory=path.parent.absolute())
    # What is whole is opened as for a run, with all that is checked then.
    is_whole = path.name == _CONFIG and described.rootfs.is_dir() and not name.endswith(".json")
    return None if is_whole else described


def _container(options: argparse.Namespace) -> Container | None:
    """Return the container with an id; None if the argument is a bundle or may be an image."""
    if options.bundle == _STANDARD_INPUT or os.path.lexists(options.bundle):
        return None
    return find(options.bundle, options.runtime_root)


def _plain(_instance: object, _field: object, value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value

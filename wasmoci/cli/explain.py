"""``wasmoci explain``: what a run would do, and why."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from wasmoci.cli.image_options import WORKLOAD_HELP, add_image, add_native, image_options, tidy
from wasmoci.cli.options import add_choice, add_compile_timeout, add_json, run_options, settled
from wasmoci.cli.output import say, say_json, say_lines

if TYPE_CHECKING:
    import argparse

    from wasmoci.dispatch.explanation import Explanation
    from wasmoci.oci.bundle import Bundle
    from wasmoci.runtime.container_lookup import Container

HELP = "Say what a run would do with a bundle, an image or a container of the runtime, and why; nothing of it runs."

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
        "--runtime-root", metavar="DIR", help="where the native runtime keeps a container; by default the usual places"
    )
    parser.add_argument(
        "bundle",
        metavar="BUNDLE|IMAGE|CONTAINER",
        help=f"{WORKLOAD_HELP}, a config.json, - for one on standard input, or the id of a container, or its beginning",
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
    from wasmoci.dispatch.dispatcher import Dispatcher  # noqa: PLC0415
    from wasmoci.dispatch.explanation import explain_bundle, remembered  # noqa: PLC0415
    from wasmoci.dispatch.opening import opened  # noqa: PLC0415
    from wasmoci.dispatch.request import Request  # noqa: PLC0415

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
    from wasmoci.oci.bundle import Bundle  # noqa: PLC0415
    from wasmoci.oci.json_reader import MAX_SIZE, read_file  # noqa: PLC0415

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
    """The container that is meant; None where it is a bundle, or is to be looked for among images."""
    if options.bundle == _STANDARD_INPUT or os.path.lexists(options.bundle):
        return None
    from wasmoci.runtime.container_lookup import find  # noqa: PLC0415

    return find(options.bundle, options.runtime_root)


def _plain(_instance: object, _field: object, value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value

"""``wasmoci cache``: shows, prunes or fills the compile cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasmoci.cli.image_options import WORKLOAD_HELP, add_image, human, image_options, tidy
from wasmoci.cli.options import add_choice, add_compile_timeout, add_json, count, run_options, settled, size
from wasmoci.cli.output import say, say_json, say_lines, table
from wasmoci.compiled.directories import MODULES, Unusable, find, limit
from wasmoci.compiled.inspection import look, prune
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.dispatch.opening import opened
from wasmoci.dispatch.request import Request
from wasmoci.errors import InvalidInput, UnsupportedWorkload
from wasmoci.handlers.contract import Keeping, Precompiling
from wasmoci.isolation import preparation
from wasmoci.oci.classification import Kind

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

_NOTHING_KEPT = 1  # the exit status


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    commands = parser.add_subparsers(title="commands", metavar="info|prune|warm", required=True)
    info = commands.add_parser("info", help="show where it is and its entries", allow_abbrev=False)
    add_json(info)
    info.set_defaults(action=_info)
    prune = commands.add_parser(
        "prune",
        help="remove damaged entries, files of dead processes, and entries beyond the limit",
        allow_abbrev=False,
    )
    prune.add_argument("--size", metavar="SIZE", type=size, help="the limit (default: the cache's own)")
    prune.add_argument("--all", "-a", action="store_true", help="remove everything")
    add_json(prune)
    prune.set_defaults(action=_prune)
    warm = commands.add_parser(
        "warm", help="compile a bundle or an image for runs with the same options", allow_abbrev=False
    )
    add_choice(warm)
    add_compile_timeout(warm)
    warm.add_argument("--fuel", metavar="N", type=count, help="for runs with a fuel limit")
    add_image(warm)
    add_json(warm)
    warm.add_argument("bundle", metavar="BUNDLE|IMAGE", help=WORKLOAD_HELP)
    warm.set_defaults(action=_warm)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    status: int = options.action(options)
    return status


def _info(options: argparse.Namespace) -> int:
    report = look()
    if options.json:
        say_json({**report._asdict(), "size": report.size})
    elif report.directory is None:
        say(f"there is no compile cache: {report.problem}")
    else:
        say(f"{report.directory}: {len(report.entries)} entries, {human(report.size)} of {human(report.limit)}")
        if report.entries:
            say_lines(table(_rows(report.entries)))
    return 0


def _rows(entries: Iterable[dict[str, object]]) -> Iterable[tuple[str, ...]]:
    yield "ENGINE", "MODULE", "SIZE", "CONFIGURATION"
    for entry in entries:
        module = str(entry["module"] or "?")[:12]
        yield str(entry["engine"] or "?"), module, human(int(str(entry["size"]))), str(entry["configuration"] or "")


def _prune(options: argparse.Namespace) -> int:
    try:
        base = find()
        if base is None:
            if options.json:
                say_json({"directory": None, "entries": 0, "size": 0})
            else:
                say("there is no compile cache: it is switched off")
            return 0
        pruned = prune(base, 0 if options.all else options.size or limit())
    except Unusable as problem:
        raise InvalidInput(f"the compile cache can't be used: {problem}") from None
    if options.json:
        say_json({"directory": str(base / MODULES), **pruned._asdict()})
    else:
        say(f"{pruned.entries} entries removed ({human(pruned.size)})")
    return 0


def _warm(options: argparse.Namespace) -> int:
    asked = run_options(options, fuel=options.fuel)
    with tidy(), opened(asked, image=lambda: image_options(options)) as bundle:
        dispatcher = Dispatcher(settings=settled(options))
        request = Request.of(asked, bundle, asked.streams)
        classification = dispatcher.classify(request)
        if classification.kind is not Kind.WASM:
            raise UnsupportedWorkload(f"{options.bundle}: is native; a Wasm workload was expected")
        selection = dispatcher.select(request, classification)
        handler = selection.handler
        if not isinstance(handler, Precompiling):
            raise UnsupportedWorkload(f"{handler.name} has no compiled code that could be cached")
        module, limits = selection.workload.module, selection.workload.limits
        preparation.prepare(handler, module, limits, dispatcher.settings.bounds)
        file = handler.precompile(module, limits)
        if file is None and isinstance(handler, Keeping):
            file = handler.kept(module, limits)
    if options.json:
        say_json({"engine": handler.name, "module": module.digest, "file": None if file is None else str(file)})
    elif file is None:
        say(f"{handler.name}: nothing could be stored")
    else:
        say(f"{handler.name}: {file}")
    return _NOTHING_KEPT if file is None else 0

"""``wasmoci build``: builds an image from a WebAssembly module."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from wasmoci.cli.image_options import tidy
from wasmoci.cli.options import add_compile_timeout, settled
from wasmoci.cli.output import complain, say, tell
from wasmoci.dispatch.registry import Registry
from wasmoci.errors import ImageError, InvalidReference, WasmociError
from wasmoci.image import Copy, Platform, Store, build, build_artifact, import_image, parse_target, push
from wasmoci.image.content.label_allow_list import annotations_of
from wasmoci.image.content.reference import local_name
from wasmoci.isolation import preparation

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from wasmoci.image import BuiltImage, Image
    from wasmoci.isolation.compile_bounds import Bounds
    from wasmoci.wasm.module import Module


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options and arguments."""
    parser.add_argument(
        "--tag", "-t", metavar="NAME", help="the image's name in the local store, an archive or a layout"
    )
    parser.add_argument(
        "--output", "-o", metavar="TARGET", help="write to oci:DIR[:TAG] or oci-archive:FILE[:TAG] instead of the store"
    )
    parser.add_argument(
        "--copy",
        metavar="SRC:DST",
        action="append",
        default=[],
        help="copy a file or directory of the host to a guest path; may be repeated",
    )
    parser.add_argument("--destination", metavar="PATH", help="the module's guest path (default: its name at the root)")
    parser.add_argument(
        "--entrypoint", metavar="ARGS", type=_words, help="words, or a JSON array (default: the module's guest path)"
    )
    parser.add_argument(
        "--cmd",
        metavar="ARGS",
        type=_words,
        default=(),
        help="the default arguments: words or a JSON array",
    )
    for option, short, help_text in (
        ("--env", "-e", "a variable"),
        ("--label", None, "a label"),
        ("--annotation", None, "an annotation of the manifest"),
    ):
        parser.add_argument(
            *(name for name in (option, short) if name),
            metavar="NAME=VALUE",
            action="append",
            type=_pair,
            default=[],
            help=f"{help_text}; may be repeated",
        )
    parser.add_argument("--workdir", "-w", metavar="PATH", default="/", help="the working directory (default: /)")
    parser.add_argument("--user", "-u", metavar="USER[:GROUP]", default="", help="the user to run as (default: root)")
    parser.add_argument(
        "--platform", metavar="OS/ARCH", default="wasi/wasm", help="the image's platform (default: wasi/wasm)"
    )
    parser.add_argument(
        "--variant",
        choices=("compat", "compat-smart", "none"),
        default="compat",
        help="the annotation module.wasm.image/variant (default: compat)",
    )
    parser.add_argument(
        "--compression", choices=("gzip", "zstd", "none"), default="gzip", help="of the layer (default: gzip)"
    )
    parser.add_argument(
        "--artifact", action="store_true", help="build an artifact of the CNCF's layout, without a file system"
    )
    add_compile_timeout(parser)
    parser.add_argument("module", metavar="FILE.wasm", type=Path, help="the module")


def run(options: argparse.Namespace) -> int:
    """Build the image; print its name and which engines run it."""
    if options.tag is None and options.output is None:
        raise InvalidReference("the image needs a name or a target", hint="add --tag NAME or --output TARGET")
    name = None
    if options.tag is not None:
        name = str(local_name(options.tag))
    target = None if options.output is None else parse_target(options.output)
    if target is not None and target.transport not in ("oci", "oci-archive"):
        raise InvalidReference(f"{target}: expected oci:DIR[:TAG] or oci-archive:FILE[:TAG]")
    with tidy(), _built(options) as built:
        _warn(built.image)
        if target is None:
            import_image(built.image, Store(), name)
            say(f"{name} {built.image.digest}")
        else:
            if not target.selector and name is not None:
                target = type(target)(target.transport, target.location, name)
            push(built.image, target)
            say(f"{target} {built.image.digest}")
        _tell_engines(built.module, settled(options).bounds)
    return 0


def _warn(image: Image) -> None:
    """Warn about labels and annotations that seem to control how the image runs, but are ignored."""
    for name in annotations_of(image).left_out:
        if name.startswith(("run.oci.", "module.wasm.")):
            complain(
                f"{name!r} of an image reaches no container; an image says that it is Wasm, and not what runs it",
                kind="warning",
            )


def _built(options: argparse.Namespace) -> AbstractContextManager[BuiltImage]:
    if options.artifact:
        return build_artifact(options.module, annotations=dict(options.annotation))
    return build(
        options.module,
        copies=tuple(Copy(*_copy(text)) for text in options.copy),
        destination=options.destination,
        entrypoint=options.entrypoint,
        cmd=options.cmd,
        env=dict(options.env),
        labels=dict(options.label),
        annotations=dict(options.annotation),
        workdir=options.workdir,
        user=options.user,
        platform=Platform.parse(options.platform),
        variant=None if options.variant == "none" else options.variant,
        compression=options.compression,
    )


def _tell_engines(module: Module, bounds: Bounds) -> None:
    """Print which of the installed engines can run it, and why the others can't."""
    registry = Registry()
    fit, unfit = [], []
    for name in registry.names():
        try:
            preparation.validate(registry.load(name), module, bounds)
        except WasmociError as error:
            unfit.append(f"  {name}: {error.message}")
        else:
            fit.append(name)
    tell(f"engines here that run it: {', '.join(fit) or 'none'}")
    for line in unfit:
        tell(line)


def _copy(text: str) -> tuple[Path, str]:
    source, colon, destination = text.rpartition(":")
    if not colon or not source:
        raise ImageError(f"copy {text!r}: expected SRC:DST")
    return Path(source), destination


def _words(text: str) -> tuple[str, ...]:
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
            raise argparse.ArgumentTypeError(f"invalid argument {text!r}: a JSON array of strings was expected")
        return tuple(found)
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"invalid argument {text!r}: NAME=VALUE was expected")
    return name, value

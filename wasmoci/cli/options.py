"""Options that several sub-commands have, and what their values look like."""

from __future__ import annotations

import math
import re
from argparse import ArgumentTypeError

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.dispatch.settings import Settings
from wasmoci.options import RunOptions
from wasmoci.stdio import Stdio
from wasmoci.text import quantities

if TYPE_CHECKING:
    import argparse
    from typing import Any


KEEP = -1.0
"""Of ``--compile-timeout``, where it wasn't given: what the settings say stays."""

REMAINDER = "..."
"""``argparse.REMAINDER``"""

_SIZE = r"([0-9]+(?:\.[0-9]+)?)([kKMGT]?)(i?)(B?)"
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}


def refusal(message: str) -> argparse.ArgumentTypeError:
    """What a type of :mod:`argparse` raises for a value that isn't one; a right command line needs no argparse."""
    return ArgumentTypeError(message)


def size(text: str) -> int:
    """A number of bytes: ``65536``, ``64k``, ``64Mi``, ``1GiB``; without ``i`` a unit counts by 1000, as in Kubernetes."""
    match = re.fullmatch(_SIZE, text)
    if match is None or (match[3] and not match[2]):
        raise refusal(f"{text!r} is no size; bytes, or a number with k, Ki, M, Mi, G or Gi, expected")
    value = int(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2]])
    if value <= 0:
        raise refusal(f"{text!r} is not more than 0 bytes")
    return value


def seconds(text: str) -> float:
    """A time in seconds."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise refusal(f"invalid duration {text!r}: a number of seconds above 0 was expected")
    return value


def count(text: str) -> int:
    """A number of instructions."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise refusal(f"{text!r} is no count; a whole number above 0 was expected")
    return int(text)


def add_choice(parser: argparse.ArgumentParser) -> None:
    """The options on which the choice of an engine depends."""
    parser.add_argument(
        "--engine", metavar="NAME", help="the engine, which means Wasm or an error; by default one is chosen"
    )
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=seconds, help="end the guest this long after its program began"
    )
    parser.add_argument(
        "--memory", metavar="SIZE", type=size, help="limit the guest's memory: bytes, or as 64Mi, 64M, 1Gi"
    )
    parser.add_argument(
        "--isolation",
        choices=("inline", "process", "jail"),
        help="run the guest in this process, in one of its own, or in one without any rights, which means Wasm or an error; by default"
        " where its limits hold, and in the jail on an engine that is no sandbox by itself",
    )


def compile_time(text: str) -> float | None:
    """A time in seconds, or none."""
    try:
        return quantities.seconds(text)
    except ValueError as error:
        raise refusal(f"invalid duration {text!r}: {error} was expected") from None


def add_compile_timeout(parser: argparse.ArgumentParser) -> None:
    """The option that bounds validating and compiling."""
    parser.add_argument(
        "--compile-timeout",
        metavar="SECONDS",
        type=compile_time,
        default=KEEP,
        help="give up when validating and compiling the module takes longer; 'none' for no limit (default: 60)",
    )


def settled(options: argparse.Namespace) -> Settings:
    """The user's settings, with the options over them."""
    settings = Settings.load()
    return (
        settings if options.compile_timeout == KEEP else attrs.evolve(settings, compile_timeout=options.compile_timeout)
    )


def run_options(options: argparse.Namespace, **more: Any) -> RunOptions:
    """What was asked of a run; its streams are the command's own.

    Args:
        options: What :func:`add_choice` has read, and the options for images.
        **more: The arguments of :func:`wasmoci.run` that not every command has.
    """
    return RunOptions(
        options.bundle,
        engine=options.engine,
        timeout=options.timeout,
        memory=options.memory,
        isolation=options.isolation,
        platform=options.platform,
        stdio=Stdio.inherit(),
        **more,
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option for output that programs read."""
    parser.add_argument("--json", action="store_true", help="print JSON")

"""Options that several sub-commands share, and the parsers of their values."""

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
"""The value of ``--compile-timeout`` where it isn't given: the setting applies."""

REMAINDER = "..."
"""``argparse.REMAINDER``"""

_SIZE = r"([0-9]+(?:\.[0-9]+)?)([kKMGT]?)(i?)(B?)"
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}


def refusal(message: str) -> argparse.ArgumentTypeError:
    """Return argparse's exception for an invalid value; a valid command line needs no argparse."""
    return ArgumentTypeError(message)


def size(text: str) -> int:
    """Parse a size in bytes: ``65536``, ``64k``, ``64Mi``, ``1GiB``; a unit without ``i`` is a power of 1000."""
    match = re.fullmatch(_SIZE, text)
    if match is None or (match[3] and not match[2]):
        raise refusal(f"invalid size {text!r}: bytes, or a number with k, Ki, M, Mi, G or Gi, was expected")
    value = int(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2]])
    if value <= 0:
        raise refusal(f"invalid size {text!r}: more than 0 bytes was expected")
    return value


def seconds(text: str) -> float:
    """Parse a time in seconds."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise refusal(f"invalid duration {text!r}: a number of seconds above 0 was expected")
    return value


def count(text: str) -> int:
    """Parse a number of instructions."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise refusal(f"invalid count {text!r}: a whole number above 0 was expected")
    return int(text)


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Add the options that determine the choice of an engine."""
    parser.add_argument(
        "--engine",
        metavar="NAME",
        help="the engine; a native workload is an error then (default: chosen automatically)",
    )
    parser.add_argument("--timeout", metavar="SECONDS", type=seconds, help="end the guest this long after its start")
    parser.add_argument(
        "--memory", metavar="SIZE", type=size, help="limit the guest's memory: bytes, or as 64Mi, 64M, 1Gi"
    )
    parser.add_argument(
        "--isolation",
        choices=("inline", "process", "jail"),
        help="run the guest in this process, in a worker process, or in one without privileges; a native "
        "workload is an error then (default: inline where it can enforce the limits; jail on an engine without a sandbox)",
    )


def compile_time(text: str) -> float | None:
    """Parse a time in seconds, or ``none``."""
    try:
        return quantities.seconds(text)
    except ValueError as error:
        raise refusal(f"invalid duration {text!r}: {error} was expected") from None


def add_compile_timeout(parser: argparse.ArgumentParser) -> None:
    """Add the option that limits the time for validating and compiling."""
    parser.add_argument(
        "--compile-timeout",
        metavar="SECONDS",
        type=compile_time,
        default=KEEP,
        help="the time limit for validating and compiling the module; 'none' for no limit (default: 60)",
    )


def settled(options: argparse.Namespace) -> Settings:
    """Return the user's settings, overridden by the options."""
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
    """Add the option for machine-readable output."""
    parser.add_argument("--json", action="store_true", help="print JSON")

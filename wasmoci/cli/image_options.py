"""Options that the sub-commands for images share, the progress bar, and cleaning up after signals."""

from __future__ import annotations

import contextlib
import math
import signal
import sys
from pathlib import Path

from wasmoci import image
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.cli.options import refusal, seconds, size
from wasmoci.text.escape import one_line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import Any

    from wasmoci.image.content.model import Descriptor

REFERENCE_HELP = (
    "oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], docker://NAME, containers-storage:NAME, "
    "a name in the local store, or the path of a layout or an archive"
)
WORKLOAD_HELP = f"the bundle's directory, or an image: {REFERENCE_HELP}"
_BAR = 24
_KILO = 1000


def add_platform(parser: argparse.ArgumentParser) -> None:
    """Add the option for the platform to take from an index."""
    parser.add_argument(
        "--platform",
        metavar="OS/ARCH[/VARIANT]",
        help="the image to take from an index (default: one for Wasm, else one for this machine); "
        "wasi/* accepts only Wasm",
    )


def add_registry(parser: argparse.ArgumentParser, *, pulls: bool = True) -> None:
    """Add the options for registries."""
    group = parser.add_argument_group("registries")
    group.add_argument("--creds", metavar="USER:PASSWORD", help="the credentials for the registry in the image's name")
    group.add_argument("--authfile", metavar="FILE", type=Path, help="search for credentials in this file only")
    group.add_argument("--ca-file", metavar="FILE", type=Path, help="trust these certificate authorities as well (PEM)")
    group.add_argument("--insecure", action="store_true", help="don't verify the certificate of the registry's host")
    group.add_argument("--plain-http", action="store_true", help="use HTTP")
    if pulls:
        group.add_argument(
            "--mirror",
            metavar="HOST[/PREFIX]",
            action="append",
            default=[],
            help="try this registry first; may be repeated",
        )
        group.add_argument("--mirror-creds", metavar="USER:PASSWORD", help="the credentials for the mirrors")
    group.add_argument("--retries", metavar="N", type=_natural, default=3, help="the number of retries (default: 3)")


def registry_options(options: argparse.Namespace) -> image.RegistryOptions:
    """Return the options of :func:`add_registry`."""
    mirror_creds = getattr(options, "mirror_creds", None)
    return image.RegistryOptions(
        plain_http=options.plain_http,
        insecure=options.insecure,
        ca_file=options.ca_file,
        credential=None if options.creds is None else image.Credential.parse(options.creds),
        authfile=options.authfile,
        mirrors=tuple(getattr(options, "mirror", ())),
        retries=options.retries,
        mirror_credential=None if mirror_creds is None else image.Credential.parse(mirror_creds),
        limits=image.TransferLimits(**{name: value for name, value in options.limit if name in _TRANSFER}),
    )


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add the options for the limits of unpacking and transferring an image."""
    parser.add_argument(
        "--limit",
        metavar="NAME=N",
        action="append",
        type=_limit,
        default=[],
        help="limit the unpacked image (size=SIZE, file=SIZE, entries=N, ratio=N), or the transfer from a registry "
        "(blob=SIZE, pull=SIZE, documents=SIZE, layers=N, redirects=N, rate=SIZE, time=SECONDS); may be repeated",
    )


def unpack_limits(options: argparse.Namespace) -> image.UnpackLimits:
    """Return the limits from :func:`add_limits`."""
    return image.UnpackLimits(**{name: value for name, value in options.limit if name in _UNPACK})


def add_image(parser: argparse.ArgumentParser, *, pulls: bool = True) -> None:
    """Add the options for images to a sub-command that takes one.

    Args:
        parser: The sub-command's.
        pulls: Whether it pulls images from registries.
    """
    add_platform(parser)
    add_limits(parser)
    add_registry(parser, pulls=pulls)


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add the option to hide the progress of a transfer."""
    parser.add_argument("--quiet", "-q", action="store_true", help="show no progress")


def add_native(parser: argparse.ArgumentParser) -> None:
    """Add the option that permits an image's program to run natively."""
    parser.add_argument(
        "--native", action="store_true", help="permit an image's program to run natively, confined as by Podman"
    )


def image_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options from :func:`add_image` as arguments for :func:`wasmoci.image.as_bundle`."""
    return {
        "limits": unpack_limits(options),
        "registry": registry_options(options),
    }


def _limit(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    read = (_UNPACK | _TRANSFER).get(name)
    if read is None:
        raise refusal(
            f"invalid limit {text!r}: NAME=N was expected, with one of the names {', '.join(_UNPACK | _TRANSFER)}"
        )
    return name, read(value)


def _natural(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise refusal(f"invalid number {text!r}: a whole number was expected")
    return int(text)


def _positive(text: str) -> int:
    if not _natural(text):
        raise refusal(f"invalid number {text!r}: more than 0 was expected")
    return int(text)


_UNPACK: dict[str, Callable[[str], float]] = {
    "size": size,
    "file": size,
    "entries": _positive,
    "ratio": _positive,
    "layers": _positive,
}
_TRANSFER: dict[str, Callable[[str], float]] = {
    "blob": size,
    "pull": size,
    "documents": size,
    "layers": _positive,
    "redirects": _positive,
    "rate": size,
    "time": seconds,
}


@contextlib.contextmanager
def tidy() -> Iterator[None]:
    """Turn signals that end the process into exceptions meanwhile, so that nothing incomplete is left behind."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Bar:
    """A line on the terminal about blobs that arrive or leave; nothing where the standard error is none."""

    def __init__(self) -> None:
        self._blobs: dict[str, tuple[int, int]] = {}
        self._shown = sys.stderr is not None and sys.stderr.isatty()
        self._width = 0

    def __call__(self, blob: Descriptor, count: int) -> None:
        """Take note of how far a blob is."""
        self._blobs[blob.digest] = (count, blob.size)
        if not self._shown:
            return
        known = list(self._blobs.values())
        done, total = sum(count for count, _ in known), sum(size for _, size in known)
        filled = _BAR * done // total if total else _BAR
        text = f"\r[{'#' * filled}{' ' * (_BAR - filled)}] {human(done)} of {human(total)}, {len(known)} blobs"
        sys.stderr.write(text.ljust(self._width))
        sys.stderr.flush()
        self._width = len(text)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown and self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()


def human(count: float) -> str:
    """Format a number of bytes for display."""
    if count < _KILO:
        return f"{count:.0f} B"
    units = ("kB", "MB", "GB", "TB")
    power = min(int(math.log(count, _KILO)), len(units))
    return f"{count / _KILO**power:.1f} {units[power - 1]}"


def short(digest: str) -> str:
    """Shorten a digest for display."""
    return one_line(digest.partition(":")[2][:12])

"""The values of options."""

from __future__ import annotations

import argparse

import pytest

from wasmoci.cli.options import count, seconds, size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("65536", 65536),
        ("64k", 64_000),
        ("64K", 64_000),
        ("64Ki", 65_536),
        ("64M", 64_000_000),
        ("64MB", 64_000_000),
        ("64Mi", 64 << 20),
        ("64MiB", 64 << 20),
        ("1GiB", 1 << 30),
        ("1.5Gi", 3 << 29),
        ("2T", 2 * 10**12),
        ("10B", 10),
    ],
)
def test_size(text: str, expected: int) -> None:
    """Sizes are written as in Kubernetes."""
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "64m", "1 Mi", "Mi", "1i", "1e6", "nan", "0.1", "1PiB", "\u0661"])
def test_bad_size(text: str) -> None:
    """What is no size is refused."""
    with pytest.raises(argparse.ArgumentTypeError):
        size(text)


@pytest.mark.parametrize(("text", "expected"), [("5", 5.0), ("0.25", 0.25), ("1e-3", 0.001)])
def test_seconds(text: str, expected: float) -> None:
    """Times are numbers of seconds."""
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "5s"])
def test_bad_seconds(text: str) -> None:
    """An invalid duration is refused."""
    with pytest.raises(argparse.ArgumentTypeError):
        seconds(text)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "x", "²"])
def test_bad_count(text: str) -> None:
    """What is no count is refused."""
    with pytest.raises(argparse.ArgumentTypeError):
        count(text)

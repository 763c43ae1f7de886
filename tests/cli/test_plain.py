"""A command line that is read without argparse means the same with it."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wasmoci._startup import plain_arguments
from wasmoci.cli import run
from wasmoci.cli.parsing import parser

PARSER = parser(["run"])
WORDS = [
    *("--engine", "--timeout", "--memory", "--isolation", "--fuel", "--env", "-e", "--volume", "-v", "--workdir", "-w"),
    *("--read-only", "--platform", "--limit", "--creds", "--ca-file", "--insecure", "--mirror", "--retries", "--plain-http"),
    *("wasmtime", "5", "1.5", "64Mi", "inline", "process", "A=1", "A=", "/a:/b:ro", "/", "size=1G", "bundle", "", "-", "--", "x y"),
    *("--engine=wasm3", "--memory=1Gi", "--env=-x", "--env=", "-eA=1", "-e=A", "--read-only=1", "--eng", "-1", "--version", "-h"),
]  # fmt: skip


def by_argparse(argv: list[str]) -> dict[str, Any] | None:
    """What argparse makes of a command line; None where it ends the command."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        try:
            found = vars(PARSER.parse_args(["run", *argv]))
        except SystemExit:
            return None
    return {name: value for name, value in found.items() if name not in ("command", "version")}


def by_hand(argv: list[str]) -> dict[str, Any] | None:
    """What is made of it without; None where argparse has to be asked."""
    found = plain_arguments.read(run.configure, argv)
    return None if found is None else vars(found)


@pytest.mark.parametrize(
    "argv",
    [
        ["bundle"],
        ["--engine", "wasmtime", "bundle", "--verbose", "-x", "a"],
        ["-e", "A=1", "--env", "B=2", "-v", "/a:/b", "--workdir=/srv", "--read-only", "image"],
        ["--timeout", "5", "--memory", "64Mi", "--fuel", "7", "--isolation", "process", "--retries", "0", "bundle"],
        ["--limit", "size=1G", "--limit", "entries=7", "--mirror", "a", "--ca-file", "/ca", "docker://a/b"],
    ],
)
def test_usual_command_lines_need_no_argparse(argv: list[str]) -> None:
    """The options of the documentation are read by hand, and as argparse reads them."""
    assert by_hand(argv) is not None
    assert by_hand(argv) == by_argparse(argv)


@given(st.lists(st.sampled_from(WORDS), max_size=7))
@settings(max_examples=400, deadline=None)
def test_both_agree(argv: list[str]) -> None:
    """Whatever is read by hand, argparse reads as the same."""
    found = by_hand(argv)
    assert found is None or found == by_argparse(argv)


@pytest.mark.parametrize(
    "argv", [[], ["--engine"], ["--timeout", "-5", "b"], ["--isolation", "no", "b"], ["--", "b"], ["-h"]]
)
def test_wrong_and_rare_ones_are_left_to_it(argv: list[str]) -> None:
    """What is wrong is told by argparse."""
    assert by_hand(argv) is None

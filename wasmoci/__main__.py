"""Runs the command: ``python -m wasmoci``."""

from __future__ import annotations

from wasmoci.cli import program

program()

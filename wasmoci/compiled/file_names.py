"""What the files of the compile cache are called: an entry's name, and one of these."""

from __future__ import annotations

CODE, RECORD = ".code", ".json"
PART = ".part"
"""Of a file that is being written."""
LOCK = ".lock"
"""Held by whoever makes an entry."""

"""The suffixes of the files in the compile cache, which follow an entry's name."""

from __future__ import annotations

CODE, RECORD = ".code", ".json"
PART = ".part"
"""A file that is being written."""
LOCK = ".lock"
"""The lock of a process that compiles the entry."""

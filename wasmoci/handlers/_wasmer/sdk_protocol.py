"""Defines the constants that both sides of the SDK's process use."""

from __future__ import annotations

import struct

LENGTH = struct.Struct("<QQ")
"""Begins a request: bytes of its JSON object, and of the module that follows."""

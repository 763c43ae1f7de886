"""Handles files, processes and users of the host safely where other users can't be trusted.

The names below are loaded when they are first used, because few guests need a temporary directory.
"""

from __future__ import annotations

from wasmoci._startup import lazy
from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wasmoci.host.temporary_directory import discard as discard
    from wasmoci.host.temporary_directory import guest_temporary_directory as guest_temporary_directory

__getattr__, __dir__, __all__ = lazy.attach(__name__, {"temporary_directory": ("discard", "guest_temporary_directory")})

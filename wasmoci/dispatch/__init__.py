"""Decides what runs a bundle, by the registered engines, the user's settings and the caller's arguments.

The names below are loaded when they are first used, because a run needs no explanation.
"""

from __future__ import annotations

from wasmoci._startup import lazy
from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wasmoci.dispatch.dispatcher import Dispatcher as Dispatcher
    from wasmoci.dispatch.explanation import Explanation as Explanation
    from wasmoci.dispatch.explanation import explain_bundle as explain_bundle

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    {
        "dispatcher": ("Dispatcher",),
        "explanation": ("Explanation", "explain_bundle"),
    },
)

"""Creates the configuration with which Podman, containerd, CRI-O, Docker and Kubernetes use ``wasmoci-runtime``.

There is one module for each program, which only computes its file's content; :mod:`wasmoci.integration.files` writes it. The names
below are loaded when they are first used, because a run needs none of them.
"""

from __future__ import annotations

from wasmoci._startup import lazy
from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wasmoci.integration.annotation_hints import Missing as Missing
    from wasmoci.integration.annotation_hints import missing as missing
    from wasmoci.integration.annotation_hints import misspelt as misspelt
    from wasmoci.integration.configuration_plan import FORCED_PROGRAM as FORCED_PROGRAM
    from wasmoci.integration.configuration_plan import PROGRAM as PROGRAM
    from wasmoci.integration.configuration_plan import Plan as Plan
    from wasmoci.integration.configuration_plan import Request as Request
    from wasmoci.integration.files import Outcome as Outcome
    from wasmoci.integration.files import install as install
    from wasmoci.integration.targets import TARGETS as TARGETS
    from wasmoci.integration.targets import plan as plan

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    {
        "annotation_hints": ("Missing", "missing", "misspelt"),
        "files": ("Outcome", "install"),
        "configuration_plan": ("FORCED_PROGRAM", "PROGRAM", "Plan", "Request"),
        "targets": ("TARGETS", "plan"),
    },
)

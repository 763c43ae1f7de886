"""Helpers for tests: bundles from a single call, and the conformance kit for engine handlers.

::

    from wasmoci.testing import HandlerConformance, bundle

    made = bundle(tmp_path / "bundle", Path("app.wasm"), args=["--name", "x"], files={"/etc/name": "x"})
    wasmoci.run(made).check()

    class TestMyHandler(HandlerConformance):
        handler = MyHandler

Only the kit needs pytest. The names below are loaded when they are first used: the plug-in is part of every session of pytest.
"""

from __future__ import annotations

from wasmoci._startup import lazy
from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wasmoci.testing.building import Builder as Builder
    from wasmoci.testing.bundles import assemble as assemble
    from wasmoci.testing.bundles import bundle as bundle
    from wasmoci.testing.changes import Changes as Changes
    from wasmoci.testing.compilers import CompileFailed as CompileFailed
    from wasmoci.testing.compilers import Compiler as Compiler
    from wasmoci.testing.compilers import CompilerMissing as CompilerMissing
    from wasmoci.testing.conformance import HandlerConformance as HandlerConformance
    from wasmoci.testing.engine_choice import check_names as check_names
    from wasmoci.testing.engine_choice import choose_engines as choose_engines
    from wasmoci.testing.engine_choice import load_handlers as load_handlers
    from wasmoci.testing.guest_run import GuestRun as GuestRun
    from wasmoci.testing.reports import compare_runs as compare_runs
    from wasmoci.testing.reports import sections as sections
    from wasmoci.testing.snapshots import GuestSnapshot as GuestSnapshot
    from wasmoci.testing.workbench import Workbench as Workbench

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    {
        "building": ("Builder",),
        "bundles": ("assemble", "bundle"),
        "changes": ("Changes",),
        "compilers": ("CompileFailed", "Compiler", "CompilerMissing"),
        "conformance": ("HandlerConformance",),
        "engine_choice": ("check_names", "choose_engines", "load_handlers"),
        "guest_run": ("GuestRun",),
        "reports": ("compare_runs", "sections"),
        "snapshots": ("GuestSnapshot",),
        "workbench": ("Workbench",),
    },
)

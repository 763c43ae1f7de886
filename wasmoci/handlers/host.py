"""For the handler of an engine that calls Python, whose guests get :mod:`wasmoci.wasi`: what is the same for all of them.

::

    class Handler(BaseHandler):
        def provides(self, module, name):
            return host.provides(module, name)

        def run(self, workload):
            return host.with_wasi(workload, lambda wasi: ...)   # link, bind, workload.started(), call; host.exited(0, ...)
"""

from wasmoci.handlers._host import (
    NO_MEMORY,
    check_memories,
    check_signatures,
    exited,
    functions_to_call,
    imported_functions,
    max_pages,
    provides,
    trapped,
    with_wasi,
)

__all__ = [
    "NO_MEMORY",
    "check_memories",
    "check_signatures",
    "exited",
    "functions_to_call",
    "imported_functions",
    "max_pages",
    "provides",
    "trapped",
    "with_wasi",
]

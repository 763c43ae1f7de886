"""Lists the interfaces that a component may import, and refuses others."""

from __future__ import annotations

import re

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import UnsupportedModule

if TYPE_CHECKING:
    from wasmoci.wasm.module import Module

_INTERFACE = r"(wasi:[a-z0-9-]+)/([a-z0-9-]+)@0\.2\.\d+"
_NETWORK = "wasi:http"
_PROVIDED = {
    "wasi:cli": {
        "environment", "exit", "stdin", "stdout", "stderr",
        "terminal-input", "terminal-output", "terminal-stdin", "terminal-stdout", "terminal-stderr",
    },
    "wasi:clocks": {"monotonic-clock", "wall-clock"},
    "wasi:filesystem": {"preopens", "types"},
    "wasi:io": {"error", "poll", "streams"},
    "wasi:random": {"random", "insecure", "insecure-seed"},
    "wasi:sockets": {
        "instance-network", "ip-name-lookup", "network", "tcp", "tcp-create-socket", "udp", "udp-create-socket",
    },
}  # fmt: skip
# wasmtime counts nothing of what these have it hold.
_HOLDING_DESCRIPTORS = ("wasi:filesystem/types", "wasi:sockets/", "wasi:http/")
_HOLDING_NOTHING = {
    "environment",
    "exit",
    "wall-clock",
    "insecure-seed",
}  # no resource, and no more bytes than there are
_SHOWN = 8  # names that a message lists


def check_imports(module: Module) -> None:
    """Refuse a component with an import that isn't provided.

    Interfaces of ``wasi:http`` are let through: each of their functions traps when it is called, as there is no network.

    Raises:
        UnsupportedModule: It does; the message names the imports.
    """
    unknown = [item.name for item in module.imports if not _is_provided(item.name)]
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise UnsupportedModule(
            f"{module.source}: imports {', '.join(unknown[:_SHOWN])}{more}, which wasmtime doesn't provide",
            hint="a component gets WASI 0.2 (wasi:cli/command) and nothing else; was it built for another world?",
        )


def needs_network(module: Module) -> bool:
    """Return whether a component imports ``wasi:http``."""
    return any(item.name.startswith(_NETWORK) for item in module.imports)


def holds_descriptors(module: Module) -> bool:
    """Return whether a component can make the engine use descriptors of the process."""
    return any(item.name.startswith(_HOLDING_DESCRIPTORS) for item in module.imports)


def holds_memory(module: Module) -> bool:
    """Return whether a component can make the engine use memory outside its linear memory."""
    matches = [re.fullmatch(_INTERFACE, item.name) for item in module.imports]
    return not all(match is not None and match[2] in _HOLDING_NOTHING for match in matches)


def _is_provided(name: str) -> bool:
    match = re.fullmatch(_INTERFACE, name)
    return match is not None and (match[1] == _NETWORK or match[2] in _PROVIDED.get(match[1], ()))

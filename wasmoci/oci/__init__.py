"""Reads OCI bundles: the runtime spec, whether it asks for Wasm, the program, and the files that a guest sees.

The names below are loaded when they are first used: an engine's process in a container makes its spec without a document.
"""

from __future__ import annotations

from wasmoci._startup import lazy
from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wasmoci.oci.json_reader import Node as Node
    from wasmoci.oci.json_reader import parse_object as parse_object
    from wasmoci.oci.json_reader import read_file as read_file
    from wasmoci.oci.json_writer import copied as copied
    from wasmoci.oci.json_writer import write_file as write_file

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    {
        "json_reader": ("Node", "parse_object", "read_file"),
        "json_writer": ("copied", "write_file"),
    },
)

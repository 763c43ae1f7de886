"""A native program where an annotation has a Wasm one run: which annotation it is, and what leaves the program alone."""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import InvalidModule
from wasmoci.oci.classification import is_native
from wasmoci.oci.program import GuestProgram

if TYPE_CHECKING:
    from wasmoci.oci.bundle import Bundle
    from wasmoci.oci.classification import Classification

_SMART = {"wasm": "wasm-smart", "compat": "compat-smart"}
"""The values that ask for Wasm, each with the one that leaves it to the program."""


def read(bundle: Bundle, classification: Classification) -> GuestProgram:
    """Read the program of what was decided to be Wasm; see :meth:`GuestProgram.read`.

    Raises:
        WasmociError: It can't be run on any engine.
    """
    try:
        return GuestProgram.read(bundle.spec, bundle.rootfs)
    except InvalidModule as error:
        explain(error, bundle, classification)
        raise


def explain(error: InvalidModule, bundle: Bundle, classification: Classification) -> None:
    """Have the refusal of a native program tell why it is taken for Wasm. In the message and not a hint: engines show one line.

    Args:
        error: The refusal.
        bundle: What was to run.
        classification: What was decided about it.
    """
    if not is_native(bundle.spec, bundle.rootfs):
        return
    key, value = classification.annotation, classification.value
    if key is None or value is None:
        told = classification.reason
    elif value in _SMART:
        told = f"the annotation {key}={value} has it run as Wasm, and with {key}={_SMART[value]} its program decides"
    else:
        told = f"the annotation {key}={value} has it run as Wasm; without it, it is native"
    error.restate(f"{error.message}; {told}", hint=None)

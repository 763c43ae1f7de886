"""Refuses native workloads when the caller asked for Wasm, and those of images unless the caller permits them."""

from __future__ import annotations

from wasmoci import integration
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import NativeRefused

if TYPE_CHECKING:
    from wasmoci.dispatch.request import Request
    from wasmoci.oci.bundle import Bundle
    from wasmoci.oci.classification import Classification

_SHOWN = 10
"""The number of ignored annotations in a message, as an image may have any number of them."""


def check(request: Request, classification: Classification, *, asked: str) -> None:
    """Check that a native workload may run.

    Args:
        request: What is to be run.
        classification: Why it is native.
        asked: What the caller asked for that means Wasm, in words; empty for nothing.

    Raises:
        NativeRefused: The caller asked for Wasm; or it is an image's, and nobody said that it may.
    """
    bundle = request.bundle
    name = bundle.path if bundle.image is None else bundle.image.reference
    found = f"{name}: the workload is native, as {classification.reason}"
    if asked:
        raise explain(NativeRefused(f"{found}; {asked} means Wasm"), bundle, classification)
    if bundle.image is not None and not request.native:
        error = NativeRefused(f"{found}; a native program of an image isn't run without a word of the caller's")
        explain(error, bundle, classification)
        word = "if you trust the image, allow it: --native, or native=True"
        error.hint = f"{error.hint}; {word}" if error.hint else word
        raise error


def asked_for(request: Request) -> str:
    """Describe what the caller asked for that requires Wasm; empty for nothing."""
    if request.engine is not None:
        return f"the engine {request.engine!r}"
    if request.isolation is not None and request.wasm is None:
        return f"the isolation {request.isolation.value!r}"
    return "the platform" if request.wasm else ""


def explain(error: NativeRefused, bundle: Bundle, classification: Classification) -> NativeRefused:
    """Add missing or misspelt annotations to a refusal as a hint; return the refusal."""
    hints = [
        f"the annotation {found!r} may be meant to be {meant!r}" for found, meant in integration.misspelt(bundle.spec)
    ]
    lack = integration.missing(bundle, classification)
    if lack is not None:
        hints.append(f"{lack.reason}: {lack.fixes[0].what}: {lack.fixes[0].line}")
    if bundle.image is not None:
        left_out = [name for name in bundle.image.left_out if name.startswith(("run.oci.", "module.wasm."))]
        if left_out:
            more = f" and {len(left_out) - _SHOWN} more" if len(left_out) > _SHOWN else ""
            shown = ", ".join(map(repr, left_out[:_SHOWN]))
            hints.append(f"of the image's own annotations these don't count: {shown}{more}")
    if hints:
        error.hint = "; ".join([*hints, error.hint] if error.hint else hints)
    return error

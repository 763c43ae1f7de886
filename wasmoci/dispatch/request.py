"""Defines the request to a dispatcher: a bundle, streams and options."""

from __future__ import annotations

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.isolation import Isolation
from wasmoci.limits import NO_LIMITS, Limits
from wasmoci.stdio import INHERIT

if TYPE_CHECKING:
    from wasmoci.oci.bundle import Bundle
    from wasmoci.options import GuestOptions
    from wasmoci.stdio import Stdio


@attrs.frozen
class Request:
    """A bundle that is to be run, and how; what each part means is said at :meth:`wasmoci.Dispatcher.run`."""

    bundle: Bundle
    engine: str | None = None
    stdio: Stdio = INHERIT
    limits: Limits = NO_LIMITS
    isolation: Isolation | None = None
    wasm: bool | None = None
    native: bool = False

    @classmethod
    def of(cls, options: GuestOptions, bundle: Bundle, stdio: Stdio) -> Request:
        """What a caller asks for.

        Args:
            options: The caller's words.
            bundle: The workload, loaded and changed as the options say.
            stdio: Its streams.
        """
        limits = Limits(options.timeout, options.memory, options.fuel)
        isolation = None if options.isolation is None else Isolation(options.isolation)
        wasm = asks_for_wasm(options.platform) or None
        return cls(bundle, options.engine, stdio, limits, isolation, wasm, options.native)

    @property
    def means_wasm(self) -> bool:
        """Whether the workload has to be Wasm."""
        return bool(self.wasm) or self.engine is not None or (self.isolation is not None and self.wasm is None)

    @property
    def effective_limits(self) -> Limits:
        """The caller's limits, with the spec's memory limit where they have none."""
        memory = self.bundle.spec.memory_limit
        return (
            self.limits
            if self.limits.memory is not None or memory is None
            else attrs.evolve(self.limits, memory=memory)
        )


def asks_for_wasm(platform: object) -> bool:
    """Whether a platform that a caller names, as ``wasi/wasm`` or as :class:`wasmoci.image.Platform`, can only be one for Wasm."""
    if platform is None:
        return False
    system, _, architecture = str(platform).lower().partition("/")
    return system.startswith("wasi") or architecture.startswith("wasm")

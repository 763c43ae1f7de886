"""Reads a container's program once per run, and shares it among the modules that need it."""

from __future__ import annotations

import contextvars

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.oci.entrypoint import Entrypoint
from wasmoci.oci.filesystem import GuestFiles, plan

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.oci.spec import Spec
    from wasmoci.wasm.module import Module


@attrs.frozen(kw_only=True)
class GuestProgram:
    """The program that a spec runs.

    Args:
        spec: The spec that it was read for.
        entrypoint: Program, arguments, environment.
        module: The module or component, as it is in its file.
        files: What the guest sees of the host's files; no tmpfs has its directory yet.
    """

    spec: Spec
    entrypoint: Entrypoint
    module: Module
    files: GuestFiles

    @classmethod
    def read(cls, spec: Spec, rootfs: Path) -> GuestProgram:
        """Read the program of a spec.

        Args:
            spec: The spec.
            rootfs: Its root file system, a host path.

        Raises:
            WasmociError: No engine can run it.
        """
        entrypoint = Entrypoint.of(spec)
        files = plan(spec, rootfs)
        with files.materialise() as made:
            module = entrypoint.load(made)
        entrypoint.check_function(module)
        return cls(spec=spec, entrypoint=entrypoint, module=module, files=files)

    def is_of(self, spec: Spec, rootfs: Path) -> bool:
        """Return whether it was read for this spec and this root file system."""
        return self.spec is spec and self.files.rootfs == rootfs


in_hand: contextvars.ContextVar[GuestProgram | None] = contextvars.ContextVar("in_hand", default=None)
"""The program of the current run, so that the handler doesn't read again what the dispatcher has read."""

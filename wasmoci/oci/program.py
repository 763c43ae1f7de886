"""A container's program, read from its files: once for a run, whoever of those that have a part in the run needs it."""

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
    """What a spec has run.

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
            WasmociError: It can't be run on any engine.
        """
        entrypoint = Entrypoint.of(spec)
        files = plan(spec, rootfs)
        with files.materialise() as made:
            module = entrypoint.load(made)
        entrypoint.check_function(module)
        return cls(spec=spec, entrypoint=entrypoint, module=module, files=files)

    def is_of(self, spec: Spec, rootfs: Path) -> bool:
        """Whether it was read for this very spec, in this root."""
        return self.spec is spec and self.files.rootfs == rootfs


in_hand: contextvars.ContextVar[GuestProgram | None] = contextvars.ContextVar("in_hand", default=None)
"""The program of the run that is on: whoever decided over it has read it, so that the handler doesn't do so again."""

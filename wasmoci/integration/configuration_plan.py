"""What is asked for, and what is to be done for it."""

from __future__ import annotations

from pathlib import Path

import attrs

from wasmoci.errors import IntegrationError

PROGRAM = "wasmoci-runtime"
"""The OCI runtime."""
FORCED_PROGRAM = "wasmoci-wasm"
"""The same program under the name by which it takes every container for Wasm; installed next to it."""

ANNOTATIONS = ("module.wasm.image/variant", "module.wasm.image/variant.*", "run.oci.handler")
"""The annotations that have to arrive; the second is a pattern, as its end is a container's name. No other of ``run.oci.`` is let
through: crun acts on them."""

HEADER = "# Written by `wasmoci config {target}`; what is changed here is lost when it is called again."


@attrs.frozen(kw_only=True)
class Request:
    """What is asked for.

    Args:
        runtime: Where :data:`PROGRAM` is on the machine that is configured: an absolute path.
        name: What the runtime is to be called.
        default: Whether it is to be the runtime of all containers that name none.
        root: The directory below which the machine's files are; None for this machine's own.
        home: The home directory of the user whose configuration it is to be; None for that of the whole machine.
        systemd_cgroup: Whether cgroups are made by systemd; None for what the configuration says of runc.
        config_version: The version of a new configuration file of containerd; None for 2, which all releases read.
        example: Whether Kubernetes' example pod is wanted.
    """

    runtime: Path
    name: str = "wasmoci"
    default: bool = False
    root: Path | None = None
    home: Path | None = None
    systemd_cgroup: bool | None = None
    config_version: int | None = None
    example: bool = True

    @property
    def forced_runtime(self) -> Path:
        """Where :data:`FORCED_PROGRAM` is."""
        return self.runtime.with_name(FORCED_PROGRAM)

    @property
    def forced_name(self) -> str:
        """What :data:`FORCED_PROGRAM` is to be called."""
        return f"{self.name}-wasm"

    def place(self, system: str, user: str | None) -> Path:
        """Where a configuration file is.

        Args:
            system: The machine's own, an absolute path.
            user: A user's own, relative to the home directory; None where a user has none.

        Raises:
            IntegrationError: A user's own is asked for, and there is no such thing.
        """
        path = Path(system)
        if self.home is not None:
            if user is None:
                raise IntegrationError(
                    f"a user has no configuration of their own beside {system}",
                    hint="leave out --user, and run it as root",
                )
            path = self.home / user
        return path if self.root is None else self.root / path.relative_to("/")


@attrs.frozen(kw_only=True)
class Plan:
    """What is to be done.

    Args:
        fragment: What makes the target use the runtime, in its own notation, as somebody would add it by hand.
        path: The file that is to have it; None where there is none, as for Kubernetes.
        root: The directory that :attr:`path` must not leave through a symbolic link; None for any.
        before: What the file has now; None when it isn't there.
        after: What it is to have.
        notes: What to know of it and to do afterwards, a sentence each.
        warnings: What in the files that are there lets a pod's author do more than is good, a sentence each.
    """

    fragment: str
    path: Path | None = None
    root: Path | None = None
    before: str | None = None
    after: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

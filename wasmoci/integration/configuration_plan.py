"""Defines the classes for a requested configuration and for the change that it results in."""

from __future__ import annotations

from pathlib import Path

import attrs

from wasmoci.errors import IntegrationError

PROGRAM = "wasmoci-runtime"
"""The OCI runtime."""
FORCED_PROGRAM = "wasmoci-wasm"
"""The same program under the name by which it treats every container as Wasm; installed next to it."""

ANNOTATIONS = ("module.wasm.image/variant", "module.wasm.image/variant.*", "run.oci.handler")
"""The annotations that have to reach the runtime; the second one is a pattern, as it ends in a container's name. No
other ``run.oci.`` annotation is permitted, because crun acts on them."""

HEADER = "# Written by `wasmoci config {target}`; what is changed here is lost when it is called again."


@attrs.frozen(kw_only=True)
class Request:
    """The requested configuration.

    Args:
        runtime: The path of :data:`PROGRAM` on the machine that is configured, absolute.
        name: The name for the runtime.
        default: Whether it becomes the default runtime.
        root: The machine's root directory; None for this machine.
        home: The home directory of the user whose configuration is changed; None for that of the whole machine.
        systemd_cgroup: Whether systemd creates the cgroups; None to take the setting of runc.
        config_version: The version of a new configuration file of containerd; None for 2, which all releases read.
        example: Whether to include an example of a pod for Kubernetes.
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
        """The path of :data:`FORCED_PROGRAM`."""
        return self.runtime.with_name(FORCED_PROGRAM)

    @property
    def forced_name(self) -> str:
        """The name for :data:`FORCED_PROGRAM`."""
        return f"{self.name}-wasm"

    def place(self, system: str, user: str | None) -> Path:
        """Return the path of a configuration file.

        Args:
            system: The path for the machine, absolute.
            user: The path for a user, relative to the home directory; None where users have none.

        Raises:
            IntegrationError: A user's file is requested, but users have none.
        """
        path = Path(system)
        if self.home is not None:
            if user is None:
                raise IntegrationError(
                    f"users have no configuration of their own besides {system}",
                    hint="leave out --user, and run it as root",
                )
            path = self.home / user
        return path if self.root is None else self.root / path.relative_to("/")


@attrs.frozen(kw_only=True)
class Plan:
    """The change to be made.

    Args:
        fragment: The configuration in the target's own notation, as a person would add it.
        path: The file to change; None where there is none, as for Kubernetes.
        root: The directory that symbolic links must not lead :attr:`path` out of; None for any.
        before: The current content of the file; None when it doesn't exist.
        after: The new content.
        notes: Notes and next steps, a sentence each.
        warnings: What in the existing files gives authors of pods too much control, a sentence each.
    """

    fragment: str
    path: Path | None = None
    root: Path | None = None
    before: str | None = None
    after: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

"""Lists the programs that can be configured to use ``wasmoci-runtime``, with a module for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasmoci.integration import containerd, crio, docker, kubernetes, podman

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wasmoci.integration.configuration_plan import Plan, Request

TARGETS: Mapping[str, Callable[[Request], Plan]] = {
    "podman": podman.plan,
    "containerd": containerd.plan,
    "cri-o": crio.plan,
    "docker": docker.plan,
    "kubernetes": kubernetes.plan,
}
"""What can be configured, and what decides about it."""


def plan(target: str, request: Request) -> Plan:
    """Decide what is to be in a target's configuration; nothing is written.

    Args:
        target: One of :data:`TARGETS`.
        request: What is asked for.

    Raises:
        IntegrationError: The configuration that is there can't be read, or not be changed without losing something.
    """
    return TARGETS[target](request)

"""The configuration that makes Podman, containerd, CRI-O, Docker and Kubernetes use ``wasmoci-runtime``.

One file for each of them (:class:`Target`), which only decides what is to be in its file; :mod:`wasmoci.integration.files`
alone writes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol, cast

from wasmoci.integration.files import Outcome, install
from wasmoci.integration.plan import FORCED_PROGRAM, PROGRAM, Plan, Request

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FORCED_PROGRAM", "PROGRAM", "TARGETS", "Outcome", "Plan", "Request", "install", "plan"]

TARGETS: Mapping[str, str] = {
    "podman": "podman",
    "containerd": "containerd",
    "cri-o": "crio",
    "docker": "docker",
    "kubernetes": "kubernetes",
}
"""What can be configured, and the module that knows how."""


class Target(Protocol):
    """What the module of a target has."""

    def plan(self, request: Request) -> Plan:
        """Decide what is to be in the target's configuration."""


def plan(target: str, request: Request) -> Plan:
    """Decide what is to be in a target's configuration; nothing is written.

    Args:
        target: One of :data:`TARGETS`.
        request: What is asked for.

    Raises:
        IntegrationError: The configuration that is there can't be read, or not be changed without losing something.
    """
    module = cast("Target", importlib.import_module(f"wasmoci.integration.{TARGETS[target]}"))
    return module.plan(request)

"""Creates the configuration with which Podman, containerd, CRI-O, Docker and Kubernetes use ``wasmoci-runtime``.

There is one module for each target (:class:`Target`), which only computes its file's content;
:mod:`wasmoci.integration.files` writes it.
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
"""The targets, and their modules."""


class Target(Protocol):
    """The interface of a target's module."""

    def plan(self, request: Request) -> Plan:
        """Compute the target's configuration."""


def plan(target: str, request: Request) -> Plan:
    """Compute a target's configuration; nothing is written.

    Args:
        target: One of :data:`TARGETS`.
        request: The requested settings.

    Raises:
        IntegrationError: The existing configuration can't be read, or can't be changed without losing something.
    """
    module = cast("Target", importlib.import_module(f"wasmoci.integration.{TARGETS[target]}"))
    return module.plan(request)

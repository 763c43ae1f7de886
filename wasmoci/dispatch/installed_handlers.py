"""Lists the handlers that installed distributions register, by stevedore, without importing them."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from stevedore import NamedExtensionManager


class _Handlers(NamedExtensionManager[Any]):
    """stevedore's manager without its cache on disk.

    That cache names code to import and is believed whoever can write to it; and it takes a distribution that was installed again
    within two minutes for the one before, as it rounds the times of files.
    """

    def list_entry_points(self) -> list[importlib.metadata.EntryPoint]:
        """The entry points of the group, one for each distribution and name."""
        return list(importlib.metadata.entry_points(group=self.namespace))


def ask(group: str) -> list[tuple[str, str, str]]:
    """All handlers of an entry-point group, in the order of the path.

    Args:
        group: The group's name.

    Returns:
        Of each its name, where its class is (``module:qualified.name``), and the distribution that registers it, with its version.
    """
    manager = _Handlers(group, names=[], invoke_on_load=False)
    return [(point.name, _reference(point), _distribution(point)) for point in manager.list_entry_points()]


def _reference(point: importlib.metadata.EntryPoint) -> str:
    """``module:qualified.name``, without the spaces and extras that may be around it."""
    return point.value.partition("[")[0].replace(" ", "")


def _distribution(point: importlib.metadata.EntryPoint) -> str:
    try:
        return "" if point.dist is None else f"{point.dist.metadata['Name']} {point.dist.version}"
    except Exception:  # noqa: BLE001  its metadata may be missing or broken in any way, and its handler good
        return ""

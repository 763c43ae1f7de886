"""Finds annotation patterns in configuration files through which a pod's author could control the host.

Native runtimes act on annotations: by ``run.oci.*`` crun loads a library of the image's, takes another seccomp filter
or none, and writes the output of hooks to files of the host. Whoever may create a pod could take over the node.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

ACTED_ON = (
    "run.oci.seccomp.plugins",
    "run.oci.seccomp_bpf_data",
    "run.oci.seccomp_fail_unknown_syscall",
    "run.oci.hooks.stdout",
    "run.oci.hooks.stderr",
    "run.oci.keep_original_groups",
    "run.oci.mount_context_type",
    "run.oci.pidfd_receiver",
    "run.oci.systemd.force_cgroup_v1",
    "run.oci.systemd.subgroup",
    "run.oci.timens_offset",
    "org.criu.config",
    "org.systemd.property.ExecStart",
)
"""Annotations that crun and runc act on, and that a pod must not set; the most dangerous first."""

_LISTS = ("pod_annotations", "container_annotations", "allowed_annotations")


@attrs.frozen
class Opening:
    """A pattern that permits too much.

    Args:
        source: The configuration file.
        line: The line, counted from 1, if known.
        runtime: The runtime whose containers get the annotations.
        pattern: The pattern.
        lets: An annotation that it permits.
    """

    source: Path
    line: int | None
    runtime: str
    pattern: str
    lets: str

    def __str__(self) -> str:
        where = self.source if self.line is None else f"{self.source}: line {self.line}"
        return (
            f"{where}: the runtime {self.runtime!r} lets pods set {self.pattern!r}, and by {self.lets} "
            "a pod's author acts on the host"
        )


def of_containerd(document: dict[str, Any], text: str, source: Path) -> tuple[Opening, ...]:
    """Return the openings in a ``config.toml`` of containerd, whose patterns are those of Go's ``path.Match``."""
    found: list[Opening] = []
    plugins = _table(document, "plugins")
    for plugin in plugins.values():
        containerd = _table(plugin, "containerd")
        runtimes = {**_table(containerd, "runtimes")}
        # Releases before 1.4 configure two runtimes in tables of their own.
        runtimes |= {
            name: containerd[name] for name in ("default_runtime", "untrusted_workload_runtime") if name in containerd
        }
        found += _openings(runtimes, text, source, matches)
    return tuple(found)


def of_crio(document: dict[str, Any], text: str, source: Path) -> tuple[Opening, ...]:
    """Return the openings in a configuration file of CRI-O, whose patterns are prefixes."""
    runtime = _table(_table(document, "crio"), "runtime")
    tables = {**_table(runtime, "workloads"), **_table(runtime, "runtimes"), "all": runtime}
    return tuple(_openings(tables, text, source, lambda pattern, name: bool(pattern) and name.startswith(pattern)))


def matches(pattern: str, name: str) -> bool:
    """Return whether a name matches a pattern of Go's ``path.Match``: ``*`` and ``?`` don't match a slash."""
    try:
        return re.fullmatch(_expression(pattern), name, re.DOTALL) is not None
    except re.error:  # such as [z-a], which is an error in Go as well
        return False


def _expression(pattern: str) -> str:
    parts = re.findall(r"\\.|\[\^?(?:\\.|[^\]])*\]|.", pattern, re.DOTALL)
    return "".join(map(_part, parts))


def _part(part: str) -> str:
    if part == "*":
        return "[^/]*"
    if part == "?":
        return "[^/]"
    if part.startswith("["):
        return part if len(part) > 1 else "(?!)"  # an unterminated class is an error, and matches nothing
    return re.escape(part.removeprefix("\\") if len(part) > 1 else part)


def _openings(tables: dict[str, Any], text: str, source: Path, match: Any) -> Iterator[Opening]:
    seen = set()
    for runtime, table in tables.items():
        for pattern in _patterns(table):
            lets = next((name for name in ACTED_ON if match(pattern, name)), None)
            if lets is not None and (runtime, pattern) not in seen:
                seen.add((runtime, pattern))
                yield Opening(source, _line(text, pattern), runtime, pattern, lets)


def _patterns(table: Any) -> Iterable[str]:
    if not isinstance(table, dict):
        return
    for key in _LISTS:
        value = table.get(key)
        yield from (item for item in (value if isinstance(value, list) else ()) if isinstance(item, str))


def _table(document: Any, key: str) -> dict[str, Any]:
    table = document.get(key) if isinstance(document, dict) else None
    return table if isinstance(table, dict) else {}


def _line(text: str, pattern: str) -> int | None:
    quoted = (f'"{pattern}"', f"'{pattern}'")
    lines = enumerate(text.splitlines(), 1)
    return next((n for n, line in lines if any(q in line.partition("#")[0] for q in quoted)), None)

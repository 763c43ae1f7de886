"""Configures containerd: a runtime of its CRI plugin, in ``config.toml`` or a drop-in.

In releases before 2.0, an imported file replaces the whole configuration of a plugin, and any table of runtimes in a
file replaces the built-in one. There the tables go into the main file, together with ``runc`` if the file doesn't have
it.
"""

from __future__ import annotations

import contextlib
import fnmatch
import re
from pathlib import Path, PurePosixPath
from typing import Any

from wasmoci.errors import IntegrationError
from wasmoci.integration.annotation_patterns import Opening, of_containerd
from wasmoci.integration.configuration_plan import ANNOTATIONS, HEADER, Plan, Request
from wasmoci.integration.containerd_edit import SHIM, Edit, at, tables
from wasmoci.integration.files import read
from wasmoci.integration.toml_edit import load

_SYSTEM = "/etc/containerd/config.toml"
_DROP_IN = "/etc/containerd/conf.d/50-wasmoci.toml"
_USER = ".config/containerd/config.toml"

VERSION = 2
"""The version of a new configuration file: every release of containerd reads it."""
_MERGING_VERSION = 3
"""From this version on, imported files are merged key by key."""
PLUGINS = {2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.runtime"}
"""The plugin that has the runtimes, by the version of the configuration from which on it has this name."""


def plan(request: Request) -> Plan:
    """Return the main file with our tables added, or a drop-in if the main file imports it.

    Raises:
        IntegrationError: The file isn't TOML or of version 1, has another runtime of the same name, or is written such
            that tables can't be added to it.
    """
    path = request.place(_SYSTEM, _USER)
    before = read(path, request.root)
    document = load(before or "", str(path))
    version = _version(document, before, request, path)
    base = ("plugins", PLUGINS[min(version, max(PLUGINS))], "containerd")
    runtime = _runtime(request, at(document, (*base, "runtimes", "runc", "options")))
    # A table of runtimes replaces the built-in one, which has runc.
    runc = not at(document, (*base, "runtimes"))
    wanted = tables(base, request.name, runtime, default=request.default, runc=runc)
    found = of_containerd(document, before or "", path)
    if request.home is None and version >= _MERGING_VERSION and _imports(document, _DROP_IN):
        text = f"{HEADER.format(target='containerd')}\nversion = {version}\n\n{wanted}"
        drop_in = request.place(_DROP_IN, None)
        there = read(drop_in, request.root)
        with contextlib.suppress(IntegrationError):  # it is overwritten
            found += of_containerd(load(there or "", str(drop_in)), there or "", drop_in)
        return Plan(
            fragment=text,
            path=drop_in,
            root=request.root,
            before=there,
            after=text,
            notes=_notes(request, document),
            warnings=_warnings(found, text, drop_in),
        )
    text = f"version = {version}\n" if before is None or not before.strip() else before
    edit = Edit(text=text, source=str(path), base=base, name=request.name, runtime=runtime, default=request.default)
    after = edit.result()
    return Plan(
        fragment=wanted,
        path=path,
        root=request.root,
        before=before,
        after=after,
        notes=_notes(request, document),
        warnings=_warnings(found, after, path),
    )


def openings(root: Path | None = None) -> tuple[Opening, ...]:
    """Return the openings in the existing files: the main one and those that it imports.

    Args:
        root: The machine's root directory; None for this machine.

    Raises:
        IntegrationError: One of them can't be read, or isn't TOML.
    """
    base = root or Path("/")
    main = base / _SYSTEM.lstrip("/")
    text = read(main, root)
    if text is None:
        return ()
    document = load(text, str(main))
    found = of_containerd(document, text, main)
    patterns = document.get("imports", [])
    for pattern in patterns if isinstance(patterns, list) else ():
        relative = str(PurePosixPath(_SYSTEM).parent / str(pattern)).lstrip("/")
        for path in sorted(base.glob(relative)):
            there = read(path, root) if path.is_file() else None
            if there is not None:
                found += of_containerd(load(there, str(path)), there, path)
    return found


def _warnings(found: tuple[Opening, ...], after: str, written: Path) -> tuple[str, ...]:
    """Return warnings about openings, each with whether writing the file removes it."""
    left = {(item.runtime, item.pattern) for item in of_containerd(load(after, str(written)), after, written)}
    return tuple(
        f"{item}{'' if item.source != written or (item.runtime, item.pattern) in left else '; --write mends it'}"
        for item in found
    )


def _version(document: dict[str, Any], text: str | None, request: Request, path: Path) -> int:
    if text is None or not text.strip():
        return request.config_version or VERSION
    version = document.get("version", 1)
    if not isinstance(version, int) or version < VERSION:
        raise IntegrationError(
            f"the configuration's version is {version!r}; 2 or later was expected",
            source=str(path),
            line=next((n for n, line in enumerate(text.splitlines(), 1) if re.match(r"\s*version\s*=", line)), 1),
            hint="update it by hand, beginning with: version = 2",
        )
    if request.config_version not in {None, version}:
        raise IntegrationError(
            f"the configuration's version is {version}, and {request.config_version} was asked for", source=str(path)
        )
    return version


def _imports(document: dict[str, Any], file: str) -> bool:
    """Return whether the main file imports a file; relative patterns are relative to its directory."""
    patterns = document.get("imports", [])
    return isinstance(patterns, list) and any(
        fnmatch.fnmatch(file, str(PurePosixPath(_SYSTEM).parent / str(pattern))) for pattern in patterns
    )


def _runtime(request: Request, runc: Any) -> dict[str, Any]:
    systemd = request.systemd_cgroup
    if systemd is None:
        systemd = isinstance(runc, dict) and runc.get("SystemdCgroup") is True
    return {
        "runtime_type": SHIM,
        "pod_annotations": list(ANNOTATIONS),
        "container_annotations": list(ANNOTATIONS),
        "options": {"BinaryName": str(request.runtime), "SystemdCgroup": systemd},
    }


def _notes(request: Request, document: dict[str, Any]) -> tuple[str, ...]:
    user = "" if request.home is None else "--user "
    notes = [
        f"restart containerd, which leaves containers running: systemctl {user}restart containerd",
        "let pods choose it: wasmoci config kubernetes",
    ]
    disabled = document.get("disabled_plugins", [])
    if isinstance(disabled, list) and {"cri", *PLUGINS.values()} & set(map(str, disabled)):
        notes.insert(0, "disabled_plugins turns the CRI plugin off, without which Kubernetes can't use containerd")
    return tuple(notes)

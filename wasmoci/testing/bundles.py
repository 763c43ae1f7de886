"""Writes OCI bundles, and assembles the modules in them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from wasmoci.dispatch import registry
from wasmoci.errors import EngineError, InvalidBundle, NoSuitableEngine
from wasmoci.handlers.base import BaseHandler
from wasmoci.handlers.capabilities import Capability
from wasmoci.oci.annotations import HANDLER
from wasmoci.oci.bundle import Bundle
from wasmoci.oci.spec import CONFIG
from wasmoci.testing.tracebacks import WrongOption
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from collections.abc import Iterable

Content: TypeAlias = "str | bytes | Path"
"""The content of a file: a text (written as UTF-8), bytes, or a host file to copy."""

ROOTFS = "rootfs"

_VERSION = "1.0.2"  # of the OCI runtime specification
_EXECUTABLE = 0o755


def bundle(
    directory: str | os.PathLike[str],
    wasm: Content,
    *,
    args: Sequence[str] = (),
    program: str = "/app.wasm",
    entry: str | None = None,
    env: Mapping[str, str] | Iterable[str] = (),
    cwd: str = "/",
    files: Mapping[str, Content] | None = None,
    directories: Iterable[str] = (),
    symlinks: Mapping[str, str] | None = None,
    mounts: Iterable[Mapping[str, Any] | Sequence[str | Path]] = (),
    annotations: Mapping[str, str] | None = None,
    readonly: bool = False,
    memory: int | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Bundle:
    """Write a bundle and load it.

    ::

        bundle(tmp_path / "b", Path("app.wasm"), args=["in.txt"], cwd="/work", mounts=[(tmp_path / "data", "/work", "ro")])

    Args:
        directory: The host path of the bundle; it may be an empty directory, but nothing else may exist there.
        wasm: The module: a host file (``.wasm`` or ``.wat``), its bytes, or its text as a string. Bytes are written
            unchanged; a text is assembled by an installed engine, unless ``program`` ends in ``.wat``.
        args: The arguments after the program.
        program: The guest path of the module.
        entry: ``args[0]`` if it differs from that path: ``/app.wasm#function``, or a name to be looked up in ``PATH``.
        env: Variables, as a mapping or as ``NAME=value`` strings; their order is kept.
        cwd: The working directory, a guest path; it is created.
        files: Guest paths and contents; parent directories are created.
        directories: Guest paths of directories to create.
        symlinks: Guest paths and their targets; created last.
        mounts: As in ``config.json``, or bind mounts as ``(host path, guest path, *options)``. Destinations aren't
            created.
        annotations: The annotations; ``run.oci.handler=wasm`` by default.
        readonly: Whether the root file system is read-only.
        memory: ``linux.resources.memory.limit``, in bytes.
        extra: Further members of ``config.json``, which override those above.

    Raises:
        TypeError: A single value was given instead of a sequence, or a mount is malformed.
        InvalidBundle: ``directory`` exists already, or a guest path has a ``..``.
        InvalidSpec: The specification doesn't permit the result.
        InvalidModule: The module's text has an error.
        OSError: A host file can't be read.
        NoSuitableEngine: It is text, and no installed engine can assemble it.
    """
    for name, value in (("args", args), ("env", env), ("directories", directories)):
        if isinstance(value, str):
            raise WrongOption(f"{name} is the string {value!r}; a sequence of strings was expected")
    for name, pairs in (("files", files), ("symlinks", symlinks), ("annotations", annotations)):
        if not isinstance(pairs, Mapping | None):
            raise WrongOption(f"{name} is {pairs!r}; a mapping was expected")
    bound = [
        dict(mount) if isinstance(mount, Mapping) else _bind(*bind_mount(mount)) for mount in several_mounts(mounts)
    ]
    target = Path(directory).absolute()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise InvalidBundle(f"{target}: exists already; a new or an empty directory was expected")
    rootfs = target / ROOTFS
    rootfs.mkdir(parents=True)
    for guest in (cwd, *directories):
        _beneath(rootfs, guest).mkdir(parents=True, exist_ok=True)
    _write(_beneath(rootfs, program), wasm if program.endswith(".wat") else _binary(wasm, program))
    _beneath(rootfs, program).chmod(_EXECUTABLE)
    for guest, content in (files or {}).items():
        _write(_beneath(rootfs, guest), content)
    for guest, leads_to in (symlinks or {}).items():
        link = _beneath(rootfs, guest)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(leads_to)
    variables = [f"{name}={value}" for name, value in env.items()] if isinstance(env, Mapping) else list(env)
    document: dict[str, Any] = {
        "ociVersion": _VERSION,
        "process": {"args": [program if entry is None else entry, *args], "env": variables, "cwd": cwd},
        "root": {"path": ROOTFS, "readonly": readonly},
        "mounts": bound,
        "annotations": {HANDLER: "wasm"} if annotations is None else dict(annotations),
    }
    if memory is not None:
        document["linux"] = {"resources": {"memory": {"limit": memory}}}
    document.update(extra or {})
    (target / CONFIG).write_text(json.dumps(document, indent=2), encoding="utf-8")
    return Bundle.load(target)


def assemble(text: str | bytes, *, source: str = "module") -> bytes:
    """Assemble a module from the text format, with the first installed engine that can.

    Args:
        text: The module's text.
        source: Its name in messages.

    Raises:
        InvalidModule: The text has an error; the message has its position.
        NoSuitableEngine: No installed engine takes the text format.
    """
    module = Module.from_bytes(text.encode() if isinstance(text, str) else text, source=source)
    handlers = registry.default()
    for name in handlers.names():
        with contextlib.suppress(EngineError):
            handler = handlers.load(name)
            if isinstance(handler, BaseHandler) and Capability.TEXT in handler.capabilities:
                return handler.assemble(module).data
    raise NoSuitableEngine(
        f"{source}: is in the text format, and no engine that is installed can assemble it",
        hint="install one with: pip install 'wasmoci[wasmtime]'",
    )


def _binary(wasm: Content, source: str) -> Content:
    if isinstance(wasm, str):
        return assemble(wasm, source=source)
    if isinstance(wasm, Path) and wasm.suffix == ".wat":
        return assemble(wasm.read_bytes(), source=str(wasm))
    return wasm


def _write(target: Path, content: Content) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Path):
        shutil.copyfile(content, target)
    else:
        target.write_bytes(content.encode() if isinstance(content, str) else content)


def _beneath(rootfs: Path, guest: str) -> Path:
    """Return the host path of a guest path."""
    if ".." in guest.split("/"):
        raise InvalidBundle(f'{guest!r} has a ".."; a plain guest path was expected')
    return rootfs / guest.lstrip("/")


def several_mounts(mounts: Any) -> Iterable[Any]:
    """Check mounts as a test gives them.

    Raises:
        WrongOption: It isn't a sequence, or it is a mapping, in which host and guest paths could be confused.
    """
    if isinstance(mounts, str | bytes | os.PathLike | Mapping):
        raise WrongOption(f"mounts is {mounts!r}; a sequence of (host path, guest path, *options) was expected")
    return cast("Iterable[Any]", mounts)


def bind_mount(mount: Any) -> tuple[str, str, tuple[str, ...]]:
    """Return the host path, the guest path and the options of a bind mount as a test gives it.

    Raises:
        WrongOption: It isn't one; in particular a string, which is a sequence of letters.
    """
    if isinstance(mount, Sequence) and not isinstance(mount, str | bytes):
        parts = [os.fspath(part) for part in mount if isinstance(part, str | os.PathLike)]
        if len(parts) == len(mount) > 1:
            return parts[0], parts[1], tuple(parts[2:])
    raise WrongOption(f"mounts: found {mount!r}; (host path, guest path, *options) was expected")


def _bind(source: str, destination: str, options: Iterable[str]) -> dict[str, Any]:
    return {"destination": destination, "type": "bind", "source": source, "options": ["bind", *options]}

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
"""What a file has in it: a text (written as UTF-8), bytes, or a host file to copy."""

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
        directory: The host path at which it is made; at most an empty directory may be there.
        wasm: The module: a host file (``.wasm`` or ``.wat``), its bytes, or as a string its text. Bytes are written as they are;
            a text is assembled by an installed engine, unless ``program`` ends in ``.wat``.
        args: The arguments after the program.
        program: The guest path that the module gets.
        entry: ``args[0]`` where it isn't that path: ``/app.wasm#function``, or a name to be looked up in ``PATH``.
        env: Variables, as a mapping or as ``NAME=value`` strings; their order is kept.
        cwd: The working directory, a guest path; it is made.
        files: Guest paths and contents; the directories on the way are made.
        directories: Guest paths of directories to make.
        symlinks: Guest paths and where they lead; made last.
        mounts: As in ``config.json``, or bind mounts as ``(host path, guest path, *options)``. Destinations aren't made.
        annotations: ``run.oci.handler=wasm`` where there are none given.
        readonly: Whether the guest may only read its root.
        memory: ``linux.resources.memory.limit``, in bytes.
        extra: More members of ``config.json``, written over those above.

    Raises:
        TypeError: One thing was given where several are meant, or a mount that isn't one.
        InvalidBundle: Something else is at ``directory`` already, or a guest path has a ``..``.
        InvalidSpec: The specification doesn't allow what it was to be made of.
        InvalidModule: The module's text has an error.
        OSError: A host file can't be read.
        NoSuitableEngine: It is text, and no engine is installed that can assemble it.
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
        raise InvalidBundle(f"{target}: is there already; a bundle was to be made at it")
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
    """Make the binary format of a module in the text format, with the first installed engine that can.

    Args:
        text: The module's text.
        source: How messages name it.

    Raises:
        InvalidModule: The text has an error; the message has its place.
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
    """The host path of a guest path."""
    if ".." in guest.split("/"):
        raise InvalidBundle(f'{guest!r} has a ".."; a plain guest path was expected')
    return rootfs / guest.lstrip("/")


def several_mounts(mounts: Any) -> Iterable[Any]:
    """Mounts as they are given.

    Raises:
        WrongOption: It is one thing, or a mapping, of which nobody could tell the host paths from the guest paths.
    """
    if isinstance(mounts, str | bytes | os.PathLike | Mapping):
        raise WrongOption(f"mounts is {mounts!r}; a sequence of (host path, guest path, *options) was expected")
    return cast("Iterable[Any]", mounts)


def bind_mount(mount: Any) -> tuple[str, str, tuple[str, ...]]:
    """The host path, the guest path and the options of a bind mount as it is given.

    Raises:
        WrongOption: It isn't one. A string above all, which is a sequence too: of letters.
    """
    if isinstance(mount, Sequence) and not isinstance(mount, str | bytes):
        parts = [os.fspath(part) for part in mount if isinstance(part, str | os.PathLike)]
        if len(parts) == len(mount) > 1:
            return parts[0], parts[1], tuple(parts[2:])
    raise WrongOption(f"mounts: found {mount!r}; (host path, guest path, *options) was expected")


def _bind(source: str, destination: str, options: Iterable[str]) -> dict[str, Any]:
    return {"destination": destination, "type": "bind", "source": source, "options": ["bind", *options]}

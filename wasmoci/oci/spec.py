"""Defines the part of the OCI runtime specification that wasmoci reads, as frozen classes, and reads and writes it.

Follows the OCI runtime specification 1.2 (``config.md`` and ``config-linux.md``). The rest of a document stays in
:attr:`Spec.raw` and is written back unchanged.
"""

from __future__ import annotations

import os
from pathlib import Path

from wasmoci import oci
from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from wasmoci.oci.json_reader import Node

CONFIG = "config.json"
_NUMBERS = 3  # in a version


@attrs.frozen(kw_only=True)
class Process:
    """``process``: what the container runs.

    Args:
        args: The argument vector; the first is the program, as a guest path.
        env: ``NAME=value`` strings, in order.
        cwd: The working directory, an absolute guest path.
        terminal: Whether a terminal is requested.
    """

    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    cwd: str = "/"
    terminal: bool = False


@attrs.frozen(kw_only=True)
class Root:
    """``root``: the container's root file system.

    Args:
        path: A host path, absolute or relative to the bundle.
        readonly: Whether the guest may only read it.
    """

    path: str
    readonly: bool = False


@attrs.frozen(kw_only=True)
class Mount:
    """One of ``mounts``.

    Args:
        destination: A guest path.
        source: A host path for a bind mount (absolute or relative to the bundle), else a word such as ``proc``.
        type: The kind of file system, ``bind`` among them.
        options: Mount options, such as ``ro`` and ``rbind``.
    """

    destination: str
    source: str | None = None
    type: str | None = None
    options: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Spec:
    """An OCI runtime spec.

    Args:
        version: ``ociVersion``.
        process: What it runs; None where the spec has none.
        root: Its root file system; None where the spec has none.
        mounts: In the order in which they are to be mounted.
        annotations: Arbitrary metadata; only :mod:`wasmoci.oci.classification` interprets it.
        memory_limit: ``linux.resources.memory.limit`` in bytes; None when it is missing, zero or negative (no limit).
        directory: The host directory that relative host paths are relative to: that of ``config.json``.
        raw: The whole document, including what is not modelled. It must not be changed in place.
    """

    version: str = "1.0.2"
    process: Process | None = None
    root: Root | None = None
    mounts: tuple[Mount, ...] = ()
    annotations: dict[str, str] = attrs.field(factory=dict)
    memory_limit: int | None = None
    directory: str | None = attrs.field(default=None, eq=False)
    raw: dict[str, Any] = attrs.field(factory=dict, repr=False, eq=False)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Spec:
        """Read a ``config.json``.

        Args:
            path: The file, a host path.

        Raises:
            InvalidSpec: It can't be read, isn't JSON, or breaks the specification; the message has the JSON path.
        """
        source = os.fspath(path)
        return cls.from_bytes(oci.read_file(source), source=source)

    @classmethod
    def from_bytes(cls, data: bytes, *, source: str) -> Spec:
        """Parse and validate a document from bytes.

        Args:
            data: The content of its file.
            source: The file, a host path.

        Raises:
            InvalidSpec: It isn't JSON, or breaks the specification.
        """
        return cls.from_dict(
            oci.parse_object(data, source), source=source, directory=str(Path(source).absolute().parent)
        )

    @classmethod
    def from_dict(cls, raw: dict[str, Any], *, source: str | None = None, directory: str | None = None) -> Spec:
        """Validate a document that has been parsed.

        Args:
            raw: The document; kept as :attr:`raw`.
            source: The name to use in messages, usually its file.
            directory: The host directory that relative host paths are relative to.

        Raises:
            InvalidSpec: It breaks the specification.
        """
        node = oci.Node(raw, source=source).object()
        process, root = node.get("process"), node.get("root")
        return cls(
            version=_version(node),
            process=None if process is None else _process(process),
            root=None if root is None else _root(root),
            mounts=tuple(_mount(item) for item in node.items("mounts")),
            annotations={key: value.string() for key, value in node.members("annotations")},
            memory_limit=_memory_limit(node),
            directory=directory,
            raw=raw,
        )

    def to_dict(self) -> dict[str, Any]:
        """The document: :attr:`raw` with the modelled part written over it, for a spec that was changed or made by hand."""
        document = oci.copied(self.raw)
        _put(document, "ociVersion", self.version)
        if self.process is not None:
            is_new = document.get("process") is None
            process = _member(document, "process")
            _put(process, "args", list(self.process.args), absent=[])
            _put(process, "env", list(self.process.env), absent=[])
            _put(process, "cwd", self.process.cwd, absent=None if is_new else "/")
            _put(process, "terminal", self.process.terminal, absent=False)
        elif document.get("process") is not None:
            del document["process"]
        if self.root is not None:
            root = _member(document, "root")
            _put(root, "path", self.root.path)
            _put(root, "readonly", self.root.readonly, absent=False)
        elif document.get("root") is not None:
            del document["root"]
        if document.get("mounts") or self.mounts:
            document["mounts"] = _mounts_to_list(self.mounts, document.get("mounts") or [])
        _put(document, "annotations", dict(self.annotations), absent={})
        if self.memory_limit != _memory_limit(oci.Node(self.raw, source=None)):
            memory = _member(_member(_member(document, "linux"), "resources"), "memory")
            memory["limit"] = -1 if self.memory_limit is None else self.memory_limit
        return document

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the document to a file, atomically.

        Args:
            path: The file, a host path; its directory exists.
        """
        oci.write_file(path, self.to_dict())


def _version(node: Node) -> str:
    value = node.require("ociVersion")
    version = value.string()
    numbers = version.partition("+")[0].partition("-")[0].split(".")
    if len(numbers) != _NUMBERS or not all(number.isascii() and number.isdigit() for number in numbers):
        raise value.error("a version such as 1.0.2 was expected")
    if numbers[0] != "1":
        raise value.error("wasmoci reads version 1 of the OCI runtime specification")
    return version


def _process(node: Node) -> Process:
    cwd = node.get("cwd")
    if cwd is not None and not cwd.string().startswith("/"):
        raise cwd.error("an absolute path was expected")
    return Process(
        args=tuple(item.string() for item in node.items("args")),
        env=tuple(_variable(item) for item in node.items("env")),
        cwd="/" if cwd is None else cwd.string(),
        terminal=node.boolean("terminal"),
    )


def _variable(node: Node) -> str:
    text = node.string()
    if "=" not in text[1:]:
        raise node.error("NAME=value was expected")
    return text


def _root(node: Node) -> Root:
    path = node.require("path")
    if not path.string():
        raise path.error("the path of a directory was expected")
    return Root(path=path.string(), readonly=node.boolean("readonly"))


def _mount(node: Node) -> Mount:
    destination = node.require("destination")
    if not destination.string():
        raise destination.error("an absolute path was expected")
    return Mount(
        destination=destination.string(),
        source=node.text("source"),
        type=node.text("type"),
        options=tuple(item.string() for item in node.items("options")),
    )


def _mounts_to_list(mounts: tuple[Mount, ...], raw: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mounts as documents: those that were there as they were, with whatever isn't modelled."""
    known: dict[Mount, list[dict[str, Any]]] = {}
    for item in reversed(raw):
        known.setdefault(_mount(oci.Node(item, source=None)), []).append(item)
    return [known[mount].pop() if known.get(mount) else _mount_to_dict(mount) for mount in mounts]


def _mount_to_dict(mount: Mount) -> dict[str, Any]:
    raw: dict[str, Any] = {"destination": mount.destination}
    _put(raw, "type", mount.type)
    _put(raw, "source", mount.source)
    _put(raw, "options", list(mount.options), absent=[])
    return raw


def _memory_limit(node: Node) -> int | None:
    for key in ("linux", "resources", "memory", "limit"):
        inner = node.get(key)
        if inner is None:
            return None
        node = inner
    limit = node.integer()
    return limit if limit > 0 else None


def _member(target: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a member that is an object; it is created where it is missing or null."""
    if target.get(key) is None:
        target[key] = {}
    member: dict[str, Any] = target[key]
    return member


def _put(target: dict[str, Any], key: str, value: Any, *, absent: Any = None) -> None:
    """Set a member, unless it is missing and the value equals its default."""
    if target.get(key) is None and value == absent:
        return
    target[key] = value

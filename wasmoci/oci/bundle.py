"""Reads a bundle: a directory with a ``config.json`` and a root file system."""

from __future__ import annotations

import os
from pathlib import Path

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import InvalidBundle
from wasmoci.host.file_cache import Cache, state_of
from wasmoci.oci.json_reader import read_file
from wasmoci.oci.spec import CONFIG, Spec

if TYPE_CHECKING:
    from collections.abc import Callable


_specs = Cache(count=64, cost=4 << 20)
_bundles = Cache(count=64, cost=4 << 20)


@attrs.frozen
class Origin:
    """The image that a bundle was made from.

    Args:
        reference: The reference that the caller gave.
        left_out: The names of its labels and annotations that were left out of the spec, because native runtimes might
            act on them.
    """

    reference: str
    left_out: tuple[str, ...] = ()


@attrs.frozen
class Bundle:
    """An OCI bundle, as defined in ``bundle.md`` of the OCI runtime specification.

    Args:
        path: The bundle's directory, an absolute host path.
        spec: Its ``config.json``.
        rootfs: Its root file system, an absolute host path.
        image: The image that it was made from; None for a bundle that was written otherwise.
    """

    path: Path
    spec: Spec
    rootfs: Path
    image: Origin | None = None

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, config: str = CONFIG) -> Bundle:
        """Read a bundle.

        Args:
            path: The directory, a host path.
            config: The name of the file in it that holds the spec.

        Raises:
            InvalidBundle: The directory or its root file system is missing, or isn't a directory.
            InvalidSpec: Its ``config.json`` is unreadable or malformed.
        """
        return cls._load(path, lambda directory: Spec.load(directory / config))

    @classmethod
    def described(cls, config: bytes, *, source: str, directory: Path) -> Bundle:
        """A bundle of which nothing but the ``config.json`` need be there, to be looked at and not to be run.

        Args:
            config: What is in the ``config.json``.
            source: What to call it in errors.
            directory: Where it belongs, a host path; its root file system may be missing there.

        Raises:
            InvalidBundle: It names no root file system.
            InvalidSpec: It is malformed.
        """
        spec = Spec.from_bytes(config, source=source)
        if spec.root is None:
            raise InvalidBundle(f"{source}: $.root: is missing; a root file system is needed")
        return cls(directory, spec, directory / spec.root.path)

    @classmethod
    def load_shared(cls, path: str | os.PathLike[str]) -> Bundle:
        """Read a bundle like :meth:`load`, for callers that run it and don't modify its spec.

        If the bundle was read before and its ``config.json`` is unchanged, the same object is returned.
        """
        state = _state(path)
        if state is not None:
            bundle = _bundles.get(state, state[1], lambda: cls.load(path))
            _rootfs(bundle.path, bundle.spec)  # which may have been removed
            return bundle

        def shared(directory: Path) -> Spec:
            source = str(directory / CONFIG)
            data = read_file(source)
            return _specs.get((source, data), len(data), lambda: Spec.from_bytes(data, source=source))

        return cls._load(path, shared)

    @classmethod
    def unchanged(cls, path: str | os.PathLike[str]) -> Bundle | None:
        """Return the bundle that :meth:`load_shared` has read before; None when there is none or it has changed."""
        state = _state(path)
        bundle: Bundle | None = None if state is None else _bundles.known(state)
        return bundle if bundle is not None and os.path.isdir(bundle.rootfs) else None  # noqa: PTH112

    @classmethod
    def _load(cls, path: str | os.PathLike[str], read: Callable[[Path], Spec]) -> Bundle:
        name = os.fspath(path)
        if "\0" in name:
            raise InvalidBundle(f"{name!r} has a NUL byte; the path of a bundle's directory was expected")
        directory = Path(name).absolute()
        problem = _not_a_directory(directory)
        if problem:
            raise InvalidBundle(
                f"{name}: {problem}; a bundle is a directory with {CONFIG} and a root file system",
                hint="name the directory, not the file in it" if directory.name == CONFIG else None,
            )
        spec = read(directory)
        return cls(directory, spec, _rootfs(directory, spec))


def _state(path: str | os.PathLike[str]) -> tuple[str, int, tuple[int, ...]] | None:
    """Return the key of a bundle: its ``config.json`` with size and state; None while changes can't be detected."""
    try:
        source = os.path.join(os.getcwd(), path, CONFIG)  # noqa: PTH109, PTH118  pathlib takes longer than all the rest
        status = os.stat(source)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    state = state_of(status)
    return None if state is None else (source, status.st_size, state)


def _rootfs(directory: Path, spec: Spec) -> Path:
    config = directory / CONFIG
    if spec.root is None:
        raise InvalidBundle(f"{config}: $.root: is missing; a root file system is needed")
    rootfs = directory / spec.root.path
    problem = _not_a_directory(rootfs)
    if problem:
        raise InvalidBundle(f"{config}: $.root.path: {rootfs} {problem}; the root file system's directory was expected")
    return rootfs


def _not_a_directory(path: Path) -> str:
    """Describe what a path is if it isn't a directory; empty when it is one."""
    try:
        if path.is_dir():
            return ""
        return "is not a directory" if path.exists() else "doesn't exist"
    except OSError as error:
        return f"can't be reached: {error.strerror}"

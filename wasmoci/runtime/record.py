"""Stores a Wasm container's state between commands of the runtime."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from pathlib import Path

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import NativeRuntimeError
from wasmoci.host import private_paths
from wasmoci.runtime import state_directories

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from wasmoci.runtime.command_line import Invocation

_FILE = "record.json"
_VERSION = 1
_MOST = 1 << 26  # bytes of a record: a spec's annotations and process are in it
_NONE = type(None)
_MEMBERS: dict[str, type | tuple[type, ...]] = {
    "version": int,
    "maker": int,
    "mark": str,
    "status": str,
    "bundle": str,
    "command": list,
    "classification": dict,
    "engine": str,
    "named": (str, _NONE),
    "annotations": dict,
    "process": (dict, _NONE),
    "cgroup": (str, _NONE),
}
"""The members of a record, and their types."""

_OPEN_TO_ALL = 0o711  # a container's own user passes through on the way to the staged root


class Record:
    """A container's directory and the document in it.

    Attributes:
        directory: The directory, a host path.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def of(cls, invocation: Invocation) -> Record:
        """Return the record of the container that a call names.

        Raises:
            NativeRuntimeError: The call names none, or one that can't be.
        """
        identifier = invocation.container()
        if identifier is None or not state_directories.is_identifier(identifier):
            found = "is missing" if identifier is None else f"{identifier!r} is no container's id"
            raise NativeRuntimeError(f"{invocation.command}: the container's id {found}")
        return cls(Path(state_directories.container(invocation.root, identifier)))

    @property
    def identifier(self) -> str:
        """The container's id."""
        return self.directory.name

    @property
    def root(self) -> Path:
        """The path of the staged root, in the container's mount namespace and that of the command that creates it.

        On the host it is empty; native runtimes want to see it there all the same.
        """
        return self.directory / "root"

    def read(self) -> dict[str, Any]:
        """The document; empty where the command that was to write it was killed before, and where it is none that we write.

        Raises:
            UnsafePlace: Another user could have written it.
        """
        descriptor = self._open()
        if descriptor is None:
            return {}
        with os.fdopen(descriptor, "rb") as stream:
            content = stream.read(_MOST + 1)
        try:
            document: Any = json.loads(content) if len(content) <= _MOST else None
        except (ValueError, RecursionError):
            return {}
        found: dict[str, Any] = document if is_valid(document) else {}
        return found

    def _open(self) -> int | None:
        try:
            directory, _ = private_paths.open_directory(self.directory, make=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return private_paths.open_file(_FILE, directory, shown=str(self.directory / _FILE))
        except FileNotFoundError:
            return None
        finally:
            os.close(directory)

    def write(self, document: dict[str, Any], name: str = _FILE, *, held: bool = False) -> Path:
        """Write a document, atomically. It has a guest's environment in it, which is nobody's but the user's.

        Args:
            document: What to write.
            name: The file's name in the directory.
            held: Whether this process is to hold the file until it ends or executes another program, see :attr:`is_held`.

        Returns:
            The file.

        Raises:
            UnsafePlace: Another user could put another one in its place.
        """
        partial = f".{name}"
        directory, _ = private_paths.open_directory(self.directory, make=False)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial, dir_fd=directory)  # of a command that was killed
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(partial, flags, 0o600, dir_fd=directory), "wb") as stream:
                stream.write(json.dumps(document).encode())
                if held:
                    fcntl.flock(os.dup(stream.fileno()), fcntl.LOCK_EX)  # the descriptor stays open with the process
            os.rename(partial, name, src_dir_fd=directory, dst_dir_fd=directory)
        finally:
            os.close(directory)
        return self.directory / name

    @property
    def is_held(self) -> bool:
        """Whether the command that wrote the document held it, and is still at the making of the container.

        Raises:
            UnsafePlace: Another user could have written it.
        """
        descriptor = self._open()
        if descriptor is None:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    @contextlib.contextmanager
    def locked(self, *, make: bool = False) -> Iterator[bool]:
        """Lock the container against other commands.

        Args:
            make: Whether to make the directory where it is missing.

        Returns:
            Whether the directory is there.
        """
        descriptor = self._lock(make=make)
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _lock(self, *, make: bool) -> int | None:
        while True:
            try:
                if make:
                    _make(self.root)
                descriptor, _ = private_paths.open_directory(self.directory, make=False)
            except FileNotFoundError:
                if make:
                    continue  # removed by another command between the two calls
                return None
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if self._is(descriptor):
                return descriptor
            os.close(descriptor)

    def _is(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.directory.stat())
        except FileNotFoundError:
            return False

    def remove(self) -> None:
        """Remove the directory, and its parents when it was the last one."""
        try:
            for name in os.listdir(self.directory):  # noqa: PTH208  names alone
                (os.rmdir if name == self.root.name else os.unlink)(self.directory / name)
            self.directory.rmdir()
        except OSError:  # what a command that was killed may have left
            from wasmoci.host.removal import remove_tree  # noqa: PLC0415

            try:
                remove_tree(self.directory)
            except FileNotFoundError:
                pass
            except OSError as error:
                from wasmoci.text import log  # noqa: PLC0415

                log.warn(__name__, f"{self.directory}: can't be removed: {error.filename}: {error.strerror}")
        state_directories.tidy(str(self.directory))


def is_valid(document: object) -> bool:
    """Return whether a document was written by this version, so that its content can be used."""
    return (
        isinstance(document, dict)
        and all(
            isinstance(document.get(name), kind) and not (kind is int and isinstance(document.get(name), bool))
            for name, kind in _MEMBERS.items()
        )
        and document["version"] == _VERSION
        and all(isinstance(word, str) for word in document["command"])
    )


def _make(root: Path) -> None:
    """Make the directories of a container, from the outermost on.

    Raises:
        UnsafePlace: Somebody else could put something there.
    """
    for directory in (root.parent.parent.parent, root.parent.parent, root.parent, root):
        os.close(private_paths.open_directory(directory, mode=_OPEN_TO_ALL)[0])

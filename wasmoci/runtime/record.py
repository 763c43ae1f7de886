"""What is kept of a Wasm container between the commands that are about it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from pathlib import Path

from wasmoci.errors import NativeRuntimeError
from wasmoci.runtime import places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from wasmoci.runtime.command_line import Invocation

_FILE = "record.json"
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
        """That of the container that a call is about.

        Raises:
            NativeRuntimeError: The call names none, or one that can't be.
        """
        identifier = invocation.container()
        if identifier is None or not places.is_identifier(identifier):
            found = "is missing" if identifier is None else f"{identifier!r} is no container's id"
            raise NativeRuntimeError(f"{invocation.command}: the container's id {found}")
        return cls(Path(places.container(invocation.root, identifier)))

    @property
    def identifier(self) -> str:
        """The container's id."""
        return self.directory.name

    @property
    def root(self) -> Path:
        """Where the staged root is, in the container's own mount namespace and that of the command that creates it.

        On the host it is empty; native runtimes want to see it there all the same.
        """
        return self.directory / "root"

    def read(self) -> dict[str, Any]:
        """The document; empty where the command that was to write it was killed before."""
        try:
            document: dict[str, Any] = json.loads((self.directory / _FILE).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            return {}
        return document

    def write(self, document: dict[str, Any], name: str = _FILE) -> Path:
        """Write a document, atomically. It has a guest's environment in it, which is nobody's but the user's.

        Args:
            document: What to write.
            name: The file's name in the directory.

        Returns:
            The file.
        """
        target = self.directory / name
        partial = self.directory / f".{name}"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(json.dumps(document).encode())
        partial.replace(target)
        return target

    @contextlib.contextmanager
    def locked(self, *, make: bool = False) -> Iterator[bool]:
        """Keep other commands on the container waiting.

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
                descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
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
        """Remove the directory, and those above it when it was the last."""
        try:
            for entry in os.scandir(self.directory):
                (os.rmdir if entry.is_dir(follow_symlinks=False) else os.unlink)(entry.path)
            self.directory.rmdir()
        except OSError:  # what a command that was killed may have left
            import shutil  # noqa: PLC0415

            shutil.rmtree(self.directory, ignore_errors=True)
        places.tidy(str(self.directory))


def _make(root: Path) -> None:
    """Make the directories of a container.

    Raises:
        NativeRuntimeError: Somebody else owns one of them.
    """
    for directory in (root.parent.parent.parent, root.parent.parent, root.parent, root):
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=_OPEN_TO_ALL)
            directory.chmod(_OPEN_TO_ALL)
        status = directory.lstat()
        if status.st_uid != os.geteuid() or not os.path.isdir(directory):  # noqa: PTH112
            raise NativeRuntimeError(f"{directory}: belongs to somebody else", hint="remove it")

"""Makes a guest's working directory where it is missing, as runc and crun do for a native program."""

from __future__ import annotations

import contextlib
import os
import posixpath

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import InvalidSpec
from wasmoci.wasi.errno import Refusal
from wasmoci.wasi.open_tree import OpenTree
from wasmoci.wasi.resolver import Resolver

if TYPE_CHECKING:
    from wasmoci.oci.guest_files import GuestFiles

_MODE = 0o755


def make(files: GuestFiles) -> None:
    """Make the working directory and those that lead to it, beneath the guest's root and nowhere else.

    Args:
        files: The guest's files; every tmpfs has its directory.

    Raises:
        InvalidSpec: It isn't there and can't be made.
    """
    if files.cwd == "/":
        return
    with contextlib.closing(OpenTree(files.tree)) as tree:
        resolver = Resolver(tree)
        try:
            if _is_there(resolver, files.cwd):
                return
            path = ""
            for name in files.cwd.strip("/").split("/"):
                path = posixpath.join(path, name)
                if not _is_there(resolver, path):
                    _make(resolver, path)
        except (OSError, Refusal) as error:
            reason = error.strerror if isinstance(error, OSError) else "what leads there is no directory"
            raise InvalidSpec(
                f"{files.cwd!r}: isn't there, and can't be made: {reason}", path="$.process.cwd"
            ) from None


def _is_there(resolver: Resolver, path: str) -> bool:
    try:
        descriptor, *_ = resolver.open(
            resolver.tree.root, path.lstrip("/").encode(), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, follow=True
        )
    except FileNotFoundError:
        return False
    os.close(descriptor)
    return True


def _make(resolver: Resolver, path: str) -> None:
    location = resolver.locate_new(resolver.tree.root, path.encode())
    try:
        os.mkdir(location.name, _MODE, dir_fd=location.fd)
    finally:
        location.close()

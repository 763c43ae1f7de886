"""``HOME``, which native runtimes set where a spec doesn't: to what the container's own ``/etc/passwd`` says of the user, else ``/``."""

from __future__ import annotations

import contextlib
import os
import stat

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.wasi.errno import FAILURES
from wasmoci.wasi.open_tree import OpenTree
from wasmoci.wasi.resolver import Resolver

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wasmoci.oci.guest_files import GuestFiles
    from wasmoci.oci.spec import Process

_PASSWD = b"etc/passwd"
_MOST = 4 << 20  # bytes of it
_FIELDS = 6  # of a line, up to the home directory


def environment(process: Process, user: Mapping[str, Any] | None, files: GuestFiles) -> tuple[str, ...]:
    """A guest's variables, ``HOME`` among them.

    Args:
        process: Its process.
        user: ``process.user``.
        files: Its files; every tmpfs has its directory.
    """
    if any(variable.startswith("HOME=") and variable != "HOME=" for variable in process.env):
        return process.env
    number = user.get("uid", 0) if isinstance(user, dict) else 0
    kept = tuple(variable for variable in process.env if variable != "HOME=")
    return (*kept, f"HOME={_home(str(number), files)}")


def _home(user: str, files: GuestFiles) -> str:
    with contextlib.suppress(*FAILURES):
        for line in _read(files).decode(errors="surrogateescape").splitlines():
            fields = line.split(":")
            if len(fields) >= _FIELDS and fields[2] == user:
                home = fields[5]
                return home if home and "\0" not in home else "/"
    return "/"


def _read(files: GuestFiles) -> bytes:
    with contextlib.closing(OpenTree(files.tree)) as tree:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor, *_ = Resolver(tree).open(tree.root, _PASSWD, flags, follow=True)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_MOST) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""

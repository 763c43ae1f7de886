"""Enters a mount namespace in which the native runtime finds a derived spec in place of the caller's.

So nothing is ever mounted on the host: the namespace disappears with its last process. And because the native runtime gets the
path of the caller's own bundle, its state, its lists and all hooks show that.
"""

from __future__ import annotations

import ctypes
import os
import signal

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import UnsupportedWorkload

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_NOSUID, _MS_BIND, _MS_REC, _MS_SLAVE = 2, 4096, 16384, 1 << 19
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def enter() -> None:
    """Move this process to a private mount namespace.

    Raises:
        UnsupportedWorkload: It may not, and may not make a user namespace in which it might.
    """
    try:
        _call(_libc.unshare, _CLONE_NEWNS)
    except PermissionError:
        _enter_user_namespace()
    _mount(None, "/", None, _MS_REC | _MS_SLAVE)


def _enter_user_namespace() -> None:
    """The same for a user who is not root: the user namespace maps the user to itself, and gives the right to mount."""
    user, group = os.geteuid(), os.getegid()
    try:
        _call(_libc.unshare, _CLONE_NEWUSER | _CLONE_NEWNS)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
    except OSError as error:
        raise UnsupportedWorkload(
            f"a Wasm container needs the right to mount (CAP_SYS_ADMIN) or a user namespace, and got neither: {error.strerror}",
            hint="allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone), or be root",
        ) from None


def directory(path: str, owner: tuple[int, int] | None = None) -> None:
    """Mount a tmpfs over a directory of the host.

    Args:
        path: The directory.
        owner: The user and the group of the tmpfs; None for those of this process.
    """
    # With devices: where a spec mounts nothing on /dev, the native runtime makes them in the root.
    options = "mode=755" if owner is None else f"mode=755,uid={owner[0]},gid={owner[1]}"
    _mount("tmpfs", path, "tmpfs", _MS_NOSUID, options)


def cover(path: str, source: str) -> None:
    """Mount a file or a directory over another one."""
    _mount(source, path, None, _MS_BIND)


def in_child(function: Callable[[], NoReturn], failed: Callable[[Exception], int]) -> int:
    """Call a function in a child process, which is killed should this process be.

    Args:
        function: Puts another program in the child's place.
        failed: Tells of an exception of the function's, and gives the child's exit status.

    Returns:
        The child's process id.
    """
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:
            function()
    except Exception as error:  # noqa: BLE001  nobody else hears of it
        status = failed(error)
    finally:
        os._exit(status)


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    _call(_libc.mount, *encoded[:3], ctypes.c_ulong(flags), encoded[3], path=target)


def _call(function: Callable[..., int], *arguments: object, path: str | None = None) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)

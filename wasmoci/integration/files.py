"""Reads and writes configuration files: atomically and with a backup, or not at all."""

from __future__ import annotations

import contextlib
import enum
import itertools
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from wasmoci.errors import IntegrationError, UnsafePlace
from wasmoci.host import private_paths
from wasmoci.host.regular_file import read_regular

if TYPE_CHECKING:
    from typing import NoReturn

    from wasmoci.integration.configuration_plan import Plan

_BACKUP = "wasmoci-backup"
_MODE = 0o644
_DIRECTORY_MODE = 0o755
_MAX_SIZE = 16 << 20
_MOST_LINKS = 40


class Outcome(enum.Enum):
    """What was done with a file."""

    UNCHANGED = "unchanged"
    """It already had the desired content."""
    WRITTEN = "written"
    """It was created."""
    CHANGED = "changed"
    """It was changed, after a backup."""


@attrs.frozen
class Installed:
    """The result of writing a file.

    Args:
        outcome: What was done with the file.
        backup: The backup of the previous content, if the file existed and was changed.
    """

    outcome: Outcome
    backup: Path | None = None


def read(path: Path, root: Path | None) -> str | None:
    """Return the text of a configuration file; None when it doesn't exist.

    Args:
        path: The file, a host path.
        root: A directory that symbolic links must not lead out of; None for any.

    Raises:
        IntegrationError: It can't be read, isn't UTF-8, or leads out of the root.
    """
    _keep_beneath(path, root)
    try:
        # A byte order mark at the beginning stays part of the text, so that it is written again.
        data = read_regular(path, _MAX_SIZE)
        if len(data) > _MAX_SIZE:
            raise IntegrationError(f"larger than {_MAX_SIZE} bytes, which no configuration is", source=str(path))
        return data.decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise IntegrationError("not UTF-8", source=str(path), line=line) from None
    except OSError as error:
        _refuse(path, "read", error)


def install(plan: Plan) -> Installed:
    """Write the file of a plan.

    Args:
        plan: The plan, which has to have a file.

    Raises:
        IntegrationError: The file can't be written, or has changed meanwhile; it is unchanged.
        UnsafePlace: Another user could redirect what is written.
    """
    if plan.path is None:
        raise IntegrationError(
            "there is no file to write", hint="apply what is printed: wasmoci config kubernetes | kubectl apply -f -"
        )
    if read(plan.path, plan.root) != plan.before:
        raise IntegrationError("the file has changed meanwhile", source=str(plan.path), hint="repeat the command")
    if plan.before == plan.after:
        return Installed(Outcome.UNCHANGED)
    target = Path(os.path.realpath(plan.path))
    try:
        _check_way(plan.path)
        _check_way(target)  # a ".." in a link may lead elsewhere
        for directory in reversed(target.parents):
            directory.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
        if plan.before is None:
            _replace(target, plan.after, None)
            return Installed(Outcome.WRITTEN)
        backup = _keep(target, plan.before)
        _replace(target, plan.after, target.stat())
    except OSError as error:
        _refuse(plan.path, "written", error)
    return Installed(Outcome.CHANGED, backup)


def _check_way(path: Path) -> None:
    """Check that no other user can redirect what is written, by a link or by a directory.

    Root with the ``HOME`` of another user writes nothing there, for example.
    """
    for _ in range(_MOST_LINKS):
        with contextlib.suppress(FileNotFoundError):  # missing directories are created in those that were checked
            private_paths.check_above(path.parent, group=True)
        try:
            status = path.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISLNK(status.st_mode):
            return
        if not private_paths.is_trusted(status):
            raise UnsafePlace(f"{path}: is a link that belongs to the user {status.st_uid}", hint="remove it")
        path = path.parent / path.readlink()
    raise UnsafePlace(f"{path}: leads through too many links")


def _keep_beneath(path: Path, root: Path | None) -> None:
    if root is None:
        return
    for part in (path, *path.parents):
        if part == root:
            return
        if part.is_symlink():
            raise IntegrationError(
                f"it is a symbolic link, which on this machine leads to {os.path.realpath(part)}",
                source=str(part),
                hint=f"below {root} only plain files and directories are written",
            )


def _keep(target: Path, text: str) -> Path:
    """Write a backup next to a file, or in the parent of a directory whose files are all read as configuration."""
    directory = target.parent.parent if target.parent.suffix == ".d" else target.parent
    for number in itertools.count():
        backup = directory / f"{target.name}.{_BACKUP}{f'.{number}' if number else ''}"
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                _resemble(file.fileno(), target.stat())
                file.write(text.encode("utf-8"))
            return backup
    raise AssertionError("unreachable: numbers have no end")


def _replace(target: Path, text: str, like: os.stat_result | None) -> None:
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            _resemble(file.fileno(), like)
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        os.rename(name, target)  # noqa: PTH104  beside the other calls of os
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108
        raise


def _resemble(descriptor: int, like: os.stat_result | None) -> None:
    """Copy the owner and the mode of another file to a new one."""
    if like is None:
        os.fchmod(descriptor, _MODE)
        return
    own = os.fstat(descriptor)
    if (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid):
        os.fchown(descriptor, like.st_uid, like.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(like.st_mode))


def _refuse(path: Path, done: str, error: OSError) -> NoReturn:
    hint = "run it as root, or with --user for your own configuration" if isinstance(error, PermissionError) else None
    raise IntegrationError(f"can't be {done}: {error.strerror}", source=str(path), hint=hint) from None

"""Directories that are gone when a run is over, however it ended."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from wasmoci.errors import UnsafePlace
from wasmoci.host import private_paths
from wasmoci.host.removal import remove_tree
from wasmoci.text import log

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SHELL = "/bin/sh"
# Waits for a line that says that nothing is left to do; when none comes and nobody can write one any more, it is due. What
# is to be ended may be just about to begin, so the command is repeated. The removal is our own: that of a shell follows mounts, and
# there are shells whose own stack ends before the tree does.
_REAPER = """
read -r line && exit
python=$1 code=$2 package=$3
shift 3
if [ $# -gt 0 ]; then for _ in 1 2 3; do "$@"; sleep 0.3; done; fi
exec "$python" -I -S -c "$code" "$package" "$0"
"""
_REMOVAL = "import sys; sys.path.append(sys.argv[1]); from wasmoci.host.removal import main; main(sys.argv[2])"
_PACKAGE = os.path.abspath(__file__).rsplit(os.sep, 3)[0]  # noqa: PTH100  it may be in an archive


@contextlib.contextmanager
def guest_temporary_directory(prefix: str, *, at_kill: Sequence[str] = ()) -> Iterator[Path]:
    """Make a directory, and remove it at the end with whatever a guest left there.

    A process that is killed can't clean up behind itself, and a guest that never returns is ended in no other way. So a shell
    waits beside it, in a session of its own, and removes the directory should this process not do so.

    Args:
        prefix: How its name begins.
        at_kill: A command that ends what else would live on, run by the shell alone, before it removes the directory.

    Raises:
        UnsafePlace: Another user could put another directory in its place.
    """
    directory = _make(prefix)
    with _reaper(directory, at_kill):
        try:
            yield directory
        finally:
            discard(directory)


@contextlib.contextmanager
def temporary_directory(prefix: str, *, parent: Path | None = None) -> Iterator[Path]:
    """Make a directory for as long as the context lasts, for what is no guest's.

    Args:
        prefix: How its name begins.
        parent: The directory to make it in; None for the one for temporary files.

    Raises:
        UnsafePlace: Another user could put another directory in its place.
    """
    directory = _make(prefix, parent)
    try:
        yield directory
    finally:
        discard(directory)


def discard(directory: Path) -> None:
    """Remove a directory with all that is in it. That something stays is a warning: what has been done with it has been done."""
    try:
        remove_tree(directory)
    except FileNotFoundError:
        pass
    except OSError as error:
        log.warn(__name__, f"{directory}: can't be removed: {error.filename}: {error.strerror}")


def _make(prefix: str, parent: Path | None = None) -> Path:
    if parent is None:
        above = tempfile.gettempdir()
        try:
            private_paths.check_above(above)
        except UnsafePlace as error:
            raise UnsafePlace(
                f"temporary files can't be kept in {above}: {error.message}",
                hint="set TMPDIR to a directory of your own",
            ) from None
    return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))


@contextlib.contextmanager
def _reaper(directory: Path, at_kill: Sequence[str]) -> Iterator[None]:
    waiting, held = os.pipe()
    try:
        process = _start(directory, at_kill, waiting)
    except OSError:
        # Without a shell there is no reaper; the directory is removed all the same, unless this process is killed.
        os.close(held)
        process = None
    finally:
        os.close(waiting)
    try:
        yield
    finally:
        if process is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(held, b"\n")
            os.close(held)
            with contextlib.suppress(ChildProcessError):  # where this process ignores SIGCHLD, it isn't told
                os.waitpid(process, 0)


def _start(directory: Path, at_kill: Sequence[str], waiting: int) -> int:
    # posix_spawn: it costs a tenth of what subprocess does, and works in a process with threads.
    return os.posix_spawn(
        _SHELL,
        [_SHELL, "-c", _REAPER, str(directory), sys.executable or "python3", _REMOVAL, _PACKAGE, *at_kill],
        {**_kept_variables(), "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, waiting, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ],
        # The signals that end a program at a terminal, or with its whole group, are not for the reaper.
        setsid=True,
    )


def _kept_variables() -> dict[str, str]:
    """Where a native runtime that isn't root's keeps its containers."""
    return {name: os.environ[name] for name in ("XDG_RUNTIME_DIR",) if name in os.environ}

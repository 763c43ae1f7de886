"""Directories that are gone when a run is over, however it ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SHELL = "/bin/sh"
# Waits for a line that says that nothing is left to do; when none comes and nobody can write one any more, it is due. What
# is to be ended may be just about to begin, so the command is repeated.
_REAPER = """
read -r line && exit
if [ $# -gt 0 ]; then for _ in 1 2 3; do "$@"; sleep 0.3; done; fi
chmod -R u+rwX -- "$0"
exec rm -rf -- "$0"
"""


@contextlib.contextmanager
def scratch_directory(prefix: str, *, at_kill: Sequence[str] = ()) -> Iterator[Path]:
    """Make a directory, and remove it at the end with whatever a guest left there.

    A process that is killed can't clean up behind itself, and a guest that never returns is ended in no other way. So a shell
    waits beside it, in a session of its own, and removes the directory should this process not do so.

    Args:
        prefix: How its name begins.
        at_kill: A command that ends what else would live on, run by the shell alone, before it removes the directory.
    """
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    with _reaper(directory, at_kill):
        try:
            yield directory
        finally:
            _remove(directory)


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
        [_SHELL, "-c", _REAPER, str(directory), *at_kill],
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


def _remove(directory: Path) -> None:
    try:
        shutil.rmtree(directory)
    except PermissionError:
        # The guest may have taken the permissions from directories of its own.
        for path, names, _ in os.walk(directory):
            for name in names:
                inner = Path(path, name)
                if not inner.is_symlink():
                    inner.chmod(0o700)
        shutil.rmtree(directory)

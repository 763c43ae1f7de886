"""Creates temporary directories that are removed at the end of a run, even if the process is killed."""

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
# Waits for a line which says that nothing is left to do. If the pipe is closed without one, the directory has to be
# removed. A process to be killed may be just about to start, so the command is repeated. The removal is our own: a
# shell's follows mounts, and there are shells whose stack overflows on a deep tree.
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
    """Create a directory, and remove it at the end with everything that a guest left there.

    A process that is killed can't clean up, and a guest that never returns can be ended only by killing the process. So
    a shell waits in a session of its own, and removes the directory if this process doesn't.

    Args:
        prefix: The beginning of its name.
        at_kill: A command that kills what would outlive this process; the shell runs it before it removes the
            directory.

    Raises:
        UnsafePlace: Another user could replace the directory.
    """
    directory = _make(prefix)
    with _reaper(directory, at_kill):
        try:
            yield directory
        finally:
            discard(directory)


@contextlib.contextmanager
def temporary_directory(prefix: str, *, parent: Path | None = None) -> Iterator[Path]:
    """Create a directory for the duration of the context, for files that aren't a guest's.

    Args:
        prefix: The beginning of its name.
        parent: The directory to create it in; None for the system's temporary directory.

    Raises:
        UnsafePlace: Another user could replace the directory.
    """
    directory = _make(prefix, parent)
    try:
        yield directory
    finally:
        discard(directory)


def discard(directory: Path) -> None:
    """Remove a directory with its contents. A failure is only a warning, as the work in it is done already."""
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
        # Without a shell there is no reaper; the directory is still removed, unless this process is killed.
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
            with contextlib.suppress(ChildProcessError):  # if this process ignores SIGCHLD, there is no status
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
        # The signals that end a program at a terminal, or its whole process group, must not end the reaper.
        setsid=True,
    )


def _kept_variables() -> dict[str, str]:
    """Return the environment variables that say where a rootless native runtime keeps its containers."""
    return {name: os.environ[name] for name in ("XDG_RUNTIME_DIR",) if name in os.environ}

"""Caches the list of installed handlers, because stevedore takes longer than many guests.

A cached list is valid for the distributions on the path, whose files are checked each time. It names code to import, so it is stored
where nobody but the user can write (:mod:`wasmoci.host.private_paths`). If there is any problem with it, stevedore is asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from importlib.machinery import PathFinder

from wasmoci._startup import sha256
from wasmoci._startup.typing import TYPE_CHECKING, NamedTuple
from wasmoci.compiled import directories
from wasmoci.compiled.file_names import PART
from wasmoci.errors import UnsafePlace
from wasmoci.host.file_cache import state_of
from wasmoci.host.private_paths import open_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FILE = "handlers.json"
_ANSWERS = 32
"""How many answers are kept, as for several environments; the oldest goes first."""
_MOST = 1 << 18  # bytes of the file
_FORMAT = 1
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_KINDS = (".dist-info", ".egg-info")
_EGG = "egg-info"
"""What has a distribution's metadata: a directory, or a file, whose name ends like this; in an egg one that is called so."""


class Known(NamedTuple):
    """A handler that is registered.

    Args:
        name: The name that it is registered under.
        reference: Where its class is, as ``module:qualified.name``.
        distribution: The distribution that registers it, and its version; empty where that isn't known.
    """

    name: str
    reference: str
    distribution: str


def listed(group: str) -> list[Known]:
    """All handlers of an entry-point group, in the order of the path; no module that they name is imported.

    Args:
        group: The group's name.
    """
    state = _state(group)
    with contextlib.ExitStack() as stack:
        directory = None if state is None else stack.enter_context(_directory())
        if state is None or directory is None:
            return _ask(group)
        answers = _read(directory)
        known = answers.get(state)
        if known is None:
            known = _ask(group)
            _write(directory, {**dict([*answers.items()][1 - _ANSWERS :]), state: known})
        return known


def _ask(group: str) -> list[Known]:
    from wasmoci.dispatch import installed_handlers  # noqa: PLC0415  stevedore and importlib.metadata, 75 ms of each start

    return [Known(*handler) for handler in installed_handlers.ask(group)]


def _state(group: str) -> str | None:
    """What tells this Python and the distributions on its path from any others.

    Returns:
        None where that can't be told: some are found in another way than on the path, or have changed just now.
    """
    if any(finder is not PathFinder and hasattr(finder, "find_distributions") for finder in sys.meta_path):
        return None
    found: list[object] = [_FORMAT, group, sys.version, sys.prefix]
    for entry in dict.fromkeys(sys.path):
        place = entry or os.curdir
        try:
            names = sorted(os.listdir(place))  # noqa: PTH208  as fast as can be
        except NotADirectoryError:  # an archive
            states = [(place, _state_of(place))]
        except (OSError, ValueError):
            continue
        else:
            states = [(name, _state_of(f"{place}/{name}/entry_points.txt")) for name in names if _is_metadata(name)]
        if any(state is None for _, state in states):
            return None
        found += states
    return sha256.hexdigest(repr(found).encode("utf-8", "surrogateescape"))


def _is_metadata(name: str) -> bool:
    lower = name.lower()
    return lower.endswith(_KINDS) or lower == _EGG


def _state_of(path: str) -> tuple[int, ...] | None:
    """What tells a file from any that was or will be there; empty where there is none, None where it has just changed."""
    try:
        return state_of(os.stat(path))  # noqa: PTH116
    except OSError:
        return ()


@contextlib.contextmanager
def _directory() -> Iterator[int | None]:
    """The directory of all caches, open; None where there is none to be used."""
    descriptor = None
    with contextlib.suppress(directories.Unusable):
        place = directories.find()
        descriptor = None if place is None else directories.opened(place)[0]
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _read(directory: int) -> dict[str, list[Known]]:
    """The answers that are kept, by the state that each holds for; none where they can't be read, or somebody else could write them."""
    try:
        with os.fdopen(open_file(_FILE, directory), "rb") as file:
            document = json.loads(file.read(_MOST))
        return {str(state): [_known(*item) for item in answer] for state, answer in document.items()}
    except (OSError, UnsafePlace, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _known(name: object, reference: object, distribution: object) -> Known:
    return Known(str(name), str(reference), str(distribution))


def _write(directory: int, answers: Mapping[str, list[Known]]) -> None:
    """Keep answers, whole or not at all. Where nothing can be written nothing is kept."""
    part = f"{_FILE}.{os.getpid()}-{threading.get_ident()}{PART}"
    with contextlib.suppress(OSError, UnsafePlace):
        with contextlib.suppress(FileNotFoundError):  # of a process of the same number that was killed
            os.unlink(part, dir_fd=directory)
        with os.fdopen(open_file(part, directory, _WRITE), "wb") as file:
            try:
                file.write(json.dumps(answers).encode())
                file.flush()
                os.rename(part, _FILE, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(part, dir_fd=directory)
                raise

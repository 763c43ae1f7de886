"""What was decided about containers that are gone, for whoever asks why: a bounded number of small files.

A container's record goes with the container, and what was refused never had one. What is kept has nothing of a guest's environment
or arguments in it.
"""

from __future__ import annotations

import contextlib
import json
import os

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import WasmociError
from wasmoci.host import private_paths
from wasmoci.runtime import state_directories

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

MOST = 256
"""How many are kept; the oldest go first."""

_NAME = "decisions"  # no native runtime's root is called so, see state_directories
_SUFFIX = ".json"
_LONGEST = 2000  # characters of a text, which may be an image's
_LARGEST = 1 << 16  # bytes of a file


def keep(
    identifier: str, record: Mapping[str, Any], *, status: str = "deleted", error: str = "", runtime: str = ""
) -> None:
    """Keep what was decided about a container; where that can't be done, it isn't.

    Args:
        identifier: The container's id.
        record: What is known of it: ``bundle``, ``classification``, and for a Wasm container ``engine`` and ``process``.
        status: ``deleted``, ``refused``, or ``handed on`` to the native runtime.
        error: Why it was refused.
        runtime: The native runtime's name; by default that of the record.
    """
    args = (record.get("process") or {}).get("args") or [""]
    command = record.get("command") or [""]
    document = {
        "version": 1,
        "status": status,
        "bundle": record["bundle"],
        "classification": {key: _short(value) for key, value in record["classification"].items()},
        "engine": record.get("engine"),
        "program": _short(args[0]),
        "error": _short(error),
        "runtime": runtime or os.path.basename(command[0]),  # noqa: PTH119
    }
    with contextlib.suppress(OSError, WasmociError):
        base, _ = private_paths.open_directory(state_directories.base(), mode=0o711)
        os.close(base)
        directory, _ = private_paths.open_directory(_directory())
        try:
            _write(directory, identifier + _SUFFIX, json.dumps(document).encode())
            _drop_oldest(directory)
        finally:
            os.close(directory)


def kept() -> Iterator[tuple[str, dict[str, Any]]]:
    """The ids of all containers of which something is kept, each with that."""
    with contextlib.suppress(OSError, WasmociError):
        directory, _ = private_paths.open_directory(_directory(), make=False)
        try:
            for name in sorted(os.listdir(directory)):  # noqa: PTH208  by its descriptor
                document = _read(directory, name) if name.endswith(_SUFFIX) else None
                if document is not None:
                    yield name.removesuffix(_SUFFIX), document
        finally:
            os.close(directory)


def _directory() -> str:
    return os.path.join(state_directories.base(), _NAME)  # noqa: PTH118


def _short(value: Any) -> Any:
    return value[:_LONGEST] if isinstance(value, str) else value


def _write(directory: int, name: str, content: bytes) -> None:
    partial = f".{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(partial, dir_fd=directory)  # of a process that was killed
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(partial, flags, 0o600, dir_fd=directory), "wb") as stream:
        stream.write(content)
    os.rename(partial, name, src_dir_fd=directory, dst_dir_fd=directory)


def _drop_oldest(directory: int) -> None:
    names = os.listdir(directory)
    if len(names) <= MOST:
        return
    ages = []
    for name in names:
        with contextlib.suppress(FileNotFoundError):  # dropped by another process
            ages.append((os.stat(name, dir_fd=directory).st_mtime_ns, name))
    for _, name in sorted(ages)[:-MOST]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)


def _read(directory: int, name: str) -> dict[str, Any] | None:
    try:
        descriptor = private_paths.open_file(name, directory, shown=name)
    except (OSError, WasmociError):
        return None
    with os.fdopen(descriptor, "rb") as stream:
        content = stream.read(_LARGEST)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    expected = {"version": int, "status": str, "bundle": str, "classification": dict, "error": str, "runtime": str}
    is_ours = isinstance(document, dict) and all(isinstance(document.get(key), kind) for key, kind in expected.items())
    return document if is_ours else None

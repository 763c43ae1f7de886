"""Manages the directory where the SDK caches compiled modules."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

from wasmoci.compiled import directories, engine_caches
from wasmoci.compiled.file_names import LOCK
from wasmoci.compiled.lock import PATIENCE, lock
from wasmoci.host.temporary_directory import temporary_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def cache_root() -> Iterator[Path]:
    """Return the cache directory, which nobody else can write to, because its code is run unchecked.

    It is beside the compile cache, with the same bound; where there can't be one, a temporary one, which is removed again.
    """
    with contextlib.ExitStack() as stack:
        path = _kept()
        if path is None:
            path = stack.enter_context(temporary_directory("wasmoci-wasmer-"))
        yield path


@contextlib.contextmanager
def compiling(root: Path, module: bytes, patience: float | None = None) -> Iterator[None]:
    """Hold a lock while the SDK compiles a module, unless it is compiled already, as otherwise each process would compile it.

    Args:
        root: The SDK's cache.
        module: The module as the SDK is given it.
        patience: Seconds to wait for another process that compiles it; None for the usual ones.
    """
    name = hashlib.sha256(module).hexdigest()
    with contextlib.ExitStack() as stack:
        if not _is_compiled(root, name):
            with contextlib.suppress(OSError):  # without a lock it is compiled as often as it is started
                directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                stack.callback(os.close, directory)
                stack.enter_context(lock(directory, name + LOCK, patience=patience or PATIENCE))
            if _is_compiled(root, name):  # by another process, so that others needn't wait for our start
                stack.close()
        yield


def _is_compiled(root: Path, name: str) -> bool:
    """Return whether the SDK has cached the machine code; if it uses another file name, the lock only delays the start."""
    return any(root.glob(f"*/compiled/*/*/*/{name.upper()}.bin"))


def _kept() -> Path | None:
    try:
        base = directories.find()
        if base is None:
            return None
        path = directories.private(base / engine_caches.WASMER, writable=True)
        engine_caches.trim(path, directories.limit())
    except directories.Unusable:
        return None
    return path

"""Caches compiled modules on disk, so that a process that runs the same module again loads it instead of compiling it.

An entry is native code that is run unchecked. It is therefore trusted only where nobody but the user can have written it:
:mod:`.directories` determines where that is, and :mod:`.entries` checks each file. A problem with the cache costs time and one
warning; it never fails a run.

A process that must not have a cache, such as one in a container, is given the file by its parent; see :func:`provide`.
"""

from __future__ import annotations

import contextlib

from wasmoci import compiled
from wasmoci._startup.typing import TYPE_CHECKING, NamedTuple
from wasmoci.compiled import identity, in_memory
from wasmoci.text import log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import TypeVar

    from wasmoci.compiled.entries import Entries

    _T = TypeVar("_T")


class Key(NamedTuple):
    """What an entry depends on. The processor is always included.

    Args:
        module: The digest of the original module; see :attr:`wasmoci.wasm.module.Module.digest`.
        engine: The engine's name.
        version: Its version; see :func:`wasmoci.compiled.identity.version`.
        configuration: The engine's configuration, as any text that distinguishes two configurations.
    """

    module: str
    engine: str
    version: str
    configuration: str

    @property
    def name(self) -> str:
        """The entry's name in the cache."""
        return identity.digest(*self, identity.processor())


def fetch(key: Key, *, make: Callable[[], _T], dump: Callable[[_T], bytes], load: Callable[[str], _T | None]) -> _T:
    """Return a compiled module, loaded from its entry or else compiled and stored.

    When several threads or processes request the same module at the same time, one of them compiles it and the others wait.

    Args:
        key: What the entry depends on.
        make: Compiles the module. Exceptions that it raises are passed on.
        dump: Returns the bytes to store.
        load: Loads the module from a file of these bytes, a host path that is valid only during the call; None if it can't.
    """
    if _collectors:
        made = make()
        _collectors[-1](key, dump(made))
        return made
    given = _provided.get(key.module)
    if given is not None:
        loaded = load(given)
        return make() if loaded is None else loaded
    with _opened() as entries:
        if entries is None:
            loaded = in_memory.take(key.name, load) if in_memory.names() else None
            return make() if loaded is None else loaded
        name = key.name
        loaded = entries.load(name, load)
        if loaded is not None:
            return loaded
        with entries.locked(name) as locked:
            if not locked:
                return make()
            loaded = entries.load(name, load)  # another process may have stored it meanwhile
            if loaded is None:
                loaded = make()
                entries.store(name, dump(loaded), key._asdict(), compiled.make_room)
            return loaded


def known(keys: Iterable[Key]) -> bool:
    """Return whether there is an entry for one of the keys: then the engine has accepted the module before."""
    keys = tuple(keys)
    if any(key.module in _provided for key in keys):
        return True
    with _opened() as entries:
        if entries is None:
            names = in_memory.names()
            return bool(names) and any(key.name in names for key in keys)
        return any(entries.has(key.name) for key in keys)


def locate(key: Key) -> Path | None:
    """Return the host path of an entry's file and mark the entry as used; None when there is no sound entry.

    The file never changes. It may be removed when the cache is full; the least recently used entries are removed first.
    """
    with _opened() as entries:
        if entries is None:
            return None
        name = key.name
        return entries.path(name) if entries.load(name, lambda _: True) else None


def provide(module: str, path: str | Path) -> None:
    """Use the file of an entry for a module in this process, which has no cache from then on.

    This is for a process that a trusted caller starts where there is no cache, as in a container: the caller asks the handler
    for the file (:meth:`wasmoci.handlers.base.Precompiling.precompile`), with the limits that the run is to have, and shows it
    to the process under any path. Nothing about the file's owner or mode is checked here, as they look different in a user
    namespace: **the caller is responsible for the file**, whose code is run. A file that the engine can't load is ignored.

    Args:
        module: The module's digest.
        path: The file's path in this process.
    """
    _provided[module] = str(path)


def is_provided() -> bool:
    """Return whether this process has been provided with compiled code; see :func:`provide`."""
    return bool(_provided)


@contextlib.contextmanager
def collected(collect: Callable[[Key, bytes], None]) -> Iterator[None]:
    """Pass what is compiled in the context to a function; no cache is read or written.

    This is for a process that compiles for another one, which is the only one to write to the cache.

    Args:
        collect: Called with the key and the bytes to store.
    """
    _collectors.append(collect)
    try:
        yield
    finally:
        _collectors.pop()


def forgo() -> None:
    """Disable the cache in this process: only code from :func:`provide` is used, and nothing is written."""
    _forgone.append(True)


def keep(key: Key, data: bytes) -> None:
    """Store what another process has compiled, in the cache or else in memory until the next :func:`fetch`.

    Args:
        key: What the entry depends on.
        data: The compiled code. It is trusted: **the caller is responsible for the process that has compiled it**.
    """
    with _opened() as entries:
        if entries is None:
            in_memory.put(key.name, data)
            return
        with entries.locked(key.name) as locked:
            if locked:
                entries.store(key.name, data, key._asdict(), compiled.make_room)


@contextlib.contextmanager
def alone(name: str, patience: float) -> Iterator[bool]:
    """Hold the lock for compiling one module. Without a cache there is nobody to share with, and no lock is needed.

    Args:
        name: What is compiled, as :func:`wasmoci.compiled.identity.digest` names it.
        patience: Seconds to wait for another process that compiles it.

    Yields:
        True with the lock held, or when there is no cache; False when the wait timed out.
    """
    with contextlib.ExitStack() as stack:
        entries = stack.enter_context(_opened())
        got = True
        if entries is not None:
            try:
                got = stack.enter_context(entries.lock(name, patience))
            except OSError as error:  # nothing can be written there
                _unusable(str(error.strerror))
        yield got


def is_on() -> bool:
    """Return whether there is a usable cache."""
    with _opened() as entries:
        return entries is not None


@contextlib.contextmanager
def _opened() -> Iterator[Entries | None]:
    """Yield the open cache, or None when there is no usable one."""
    if _provided or _collectors or _forgone:
        yield None
        return
    try:
        place = compiled.find()
        entries = compiled.Entries.open(place, _unusable) if place is not None else None
    except compiled.Unusable as problem:
        _unusable(str(problem))
        entries = None
    if entries is None:
        yield None
        return
    with entries:
        yield entries


def warn(message: str) -> None:
    """Warn about the cache, once per process."""
    if _warnings:
        return
    _warnings.append(message)
    log.warn(__name__, message)


def forked() -> None:
    """Let this process, which was forked, warn for itself, even if its parent has already warned."""
    _warnings.clear()


def _unusable(problem: str) -> None:
    warn(f"the compile cache can't be used: {problem}")


_provided: dict[str, str] = {}
_collectors: list[Callable[[Key, bytes], None]] = []
_forgone: list[bool] = []
_warnings: list[str] = []  # only the first one is shown

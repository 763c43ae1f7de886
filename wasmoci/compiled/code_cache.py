"""Keeps what an engine makes of a module on disk, and loads it for every process that runs the module again.

An entry is native code that is run unchecked, so it is only believed where nobody but the user can have written it:
:mod:`.directories` says where that is, :mod:`.entries` what is looked at. Whatever is wrong with the cache costs time and one
warning, and fails nothing.

A process that must not have a cache, as in a container, is given the file by whoever started it; see :func:`provide`.
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
    """What an entry depends on; the processor is always part of it.

    Args:
        module: The digest of the module as it came; see :attr:`wasmoci.wasm.module.Module.digest`.
        engine: The engine's name.
        version: Its version; see :func:`wasmoci.compiled.identity.version`.
        configuration: How it was set up, in any words that tell two configurations apart.
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
    """What an engine makes of a module: loaded from its entry, or made and kept.

    Of all threads and processes that ask for the same at the same time one makes it, and the others wait.

    Args:
        key: What it depends on.
        make: Makes it; what it raises comes out.
        dump: The bytes of it to keep.
        load: Makes it of a file of such bytes, a host path that is good during the call alone; None if it can't.
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
            loaded = entries.load(name, load)  # of whoever was faster
            if loaded is None:
                loaded = make()
                entries.store(name, dump(loaded), key._asdict(), compiled.make_room)
            return loaded


def known(keys: Iterable[Key]) -> bool:
    """Whether there is an entry for one of the keys: then the engine has accepted the module before."""
    keys = tuple(keys)
    if any(key.module in _provided for key in keys):
        return True
    with _opened() as entries:
        if entries is None:
            names = in_memory.names()
            return bool(names) and any(key.name in names for key in keys)
        return any(entries.has(key.name) for key in keys)


def locate(key: Key) -> Path | None:
    """The host path of an entry's file, which counts as used now; None when there is no good one.

    The file never changes. It may be removed when the cache is full, the ones that were used least recently first.
    """
    with _opened() as entries:
        if entries is None:
            return None
        name = key.name
        return entries.path(name) if entries.load(name, lambda _: True) else None


def provide(module: str, path: str | Path) -> None:
    """Have the file of an entry used for a module in this process, which from then on has no cache.

    This is for a process that a trusted caller starts where there is no cache, as in a container: the caller asks the handler
    for the file (:meth:`wasmoci.handlers.base.Precompiling.precompile`), with the limits that the run is to have, and shows it
    to the process under any path. Nothing about the file's owner or mode is checked here, as they look different in a user
    namespace: **whoever calls this answers for the file**, whose code is run. One that the engine can't load is left alone.

    Args:
        module: The module's digest.
        path: The file's path in this process.
    """
    _provided[module] = str(path)


def is_provided() -> bool:
    """Whether this process has been provided with code; see :func:`provide`."""
    return bool(_provided)


@contextlib.contextmanager
def collected(collect: Callable[[Key, bytes], None]) -> Iterator[None]:
    """Hand what is made in the context to a function; no cache is read or written.

    This is for a process that makes it for another one, which alone writes to the cache.

    Args:
        collect: Called with what it depends on, and the bytes of it to keep.
    """
    _collectors.append(collect)
    try:
        yield
    finally:
        _collectors.pop()


def forgo() -> None:
    """Have no cache in this process from now on: nothing is read from one but what is provided, and nothing written."""
    _forgone.append(True)


def keep(key: Key, data: bytes) -> None:
    """Keep what another process has made: in the cache, or where there is none in memory for the next :func:`fetch`.

    Args:
        key: What it depends on.
        data: The bytes of it. They are believed: **whoever calls this answers for the process that has made them**.
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
    """Be the only process that makes something; True as well where there is no cache, and so nobody to share with.

    Args:
        name: What is made, as :func:`wasmoci.compiled.identity.digest` names it.
        patience: Seconds to wait for another process that makes it.

    Yields:
        False when the other one took longer.
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
    """Whether there is a cache that can be used."""
    with _opened() as entries:
        return entries is not None


@contextlib.contextmanager
def _opened() -> Iterator[Entries | None]:
    """The cache, if there is one to be used."""
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
    """Warn of the cache, once for each process."""
    if _warnings:
        return
    _warnings.append(message)
    log.warn(__name__, message)


def forked() -> None:
    """Have this process warn for itself, whatever the one has told that has forked it."""
    _warnings.clear()


def _unusable(problem: str) -> None:
    warn(f"the compile cache can't be used: {problem}")


_provided: dict[str, str] = {}
_collectors: list[Callable[[Key, bytes], None]] = []
_forgone: list[bool] = []
_warnings: list[str] = []  # the first of them, which is the only one that is told

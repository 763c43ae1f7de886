"""Defines the kinds of engines by their settings, and the cache keys of modules compiled for each."""

from __future__ import annotations

import itertools

from wasmoci import compiled
from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.compiled import identity
from wasmoci.handlers._wasmtime.location import library_file

if TYPE_CHECKING:
    from wasmoci.limits import Limits
    from wasmoci.wasm.module import Module


@attrs.frozen
class Needs:
    """The required settings of an engine.

    Args:
        stoppable: Guests can be stopped while they run.
        fuel: Their instructions are counted.
        accounts: Their memory is taken from an account.
    """

    stoppable: bool
    fuel: bool
    accounts: bool

    @classmethod
    def of(cls, limits: Limits) -> Needs:
        """Return the settings that limits require."""
        return cls(
            stoppable=limits.time is not None or limits.memory is not None,
            fuel=limits.fuel is not None,
            accounts=limits.memory is not None,
        )

    @property
    def words(self) -> str:
        """The same as text, for the compile cache."""
        names = {"stoppable": self.stoppable, "fuel": self.fuel, "accounts": self.accounts}
        return " ".join(name for name, needed in names.items() if needed)

    def key(self, module: Module) -> compiled.Key:
        """Return the cache key of a module that is compiled for such an engine."""
        return compiled.Key(module.digest, "wasmtime", identity.version("wasmtime", str(library_file())), self.words)


def assembled_key(module: Module) -> compiled.Key:
    """Return the cache key of the binary form of a text."""
    version = identity.version("wasmtime", str(library_file()))
    return compiled.Key(module.digest, "wasmtime", version, "assembled")


def compiled_before(module: Module) -> bool:
    """Return whether wasmtime has accepted a module before."""
    return compiled.known(needs.key(module) for needs in _ALL)


_ALL = tuple(Needs(*flags) for flags in itertools.product((False, True), repeat=3))

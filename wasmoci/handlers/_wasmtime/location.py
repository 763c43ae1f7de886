"""Finds wasmtime's library, and checks that its C interface is the one declared here.

The library is in the package ``wasmtime``, which is not imported. Its bindings are, in a process that finds a major version newer than
the tested ones and no answer about it in the compile cache.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from pathlib import Path

from wasmoci import compiled
from wasmoci._startup import sha256
from wasmoci.compiled import identity
from wasmoci.errors import EngineUnavailable

OLDEST, NEWEST = 48, 50
"""The major versions that the tests run on; ``pyproject.toml`` and ``noxfile.py`` have them as well."""

_NAMES = {"linux": "_libwasmtime.so", "darwin": "_libwasmtime.dylib"}
_MACHINES = {"arm64": "aarch64"}
_DECLARING = ("prototypes", "bindings")  # the modules that an answer depends on
_OLDER = f"pip install 'wasmtime<{NEWEST + 1}', or a newer wasmoci"
_SHOWN = 3  # differences that a message lists


@functools.cache
def library_file() -> Path:
    """Return the host path of the library.

    Raises:
        ImportError: The package isn't installed, or has no library for this machine.
        EngineUnavailable: Its version is too old, or its C interface differs from the one that is declared here.
    """
    spec = importlib.util.find_spec("wasmtime")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'wasmtime'", name="wasmtime")
    machine = os.uname().machine
    directory = f"{sys.platform}-{_MACHINES.get(machine, machine)}"
    path = Path(spec.origin).parent / directory / _NAMES.get(sys.platform, "")
    if not path.is_file():
        raise ImportError(f"the package wasmtime has no library for {directory}", name="wasmtime", path=str(path))
    if _major(path) < OLDEST:
        raise _unusable(path, f"{OLDEST} or later is needed", f"pip install --upgrade 'wasmtime>={OLDEST}'")
    # Whoever has provided compiled code has used this library before.
    if _major(path) > NEWEST and not compiled.is_provided():
        _require_same_interface(path)
    return path


def major() -> int:
    """Return the installed major version.

    Raises:
        ImportError: See :func:`library_file`.
        EngineUnavailable: See :func:`library_file`.
    """
    return _major(library_file())


def _version(path: Path) -> str:
    return identity.version("wasmtime", str(path)).split()[1]


def _major(path: Path) -> int:
    text = _version(path).partition(".")[0]
    return int(text) if text.isdecimal() else 0


def _require_same_interface(path: Path) -> None:
    """Refuse a library whose C interface differs; the result is cached, as the check takes longer than a start."""
    here = Path(__file__)
    sources = [here.with_name(name + here.suffix).read_bytes() for name in _DECLARING]
    key = compiled.Key(
        sha256.hexdigest(b"\0".join(sources)),
        "wasmtime",
        identity.version("wasmtime", str(path)),
        "interface",
    )
    text = compiled.fetch(
        key,
        make=lambda: _differences(path),
        dump=str.encode,
        load=lambda file: Path(file).read_text(encoding="utf-8"),
    )
    if text:
        found = text.split("\n")
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        interface = f"its C interface differs from that of {OLDEST} to {NEWEST}"
        raise _unusable(path, f"{interface}: {'; '.join(found[:_SHOWN])}{more}", _OLDER)


def _differences(path: Path) -> str:
    from wasmoci.handlers._wasmtime import bindings  # noqa: PLC0415  once for each version

    try:
        theirs = bindings.load(path.parents[1])
    except ImportError as error:
        raise _unusable(path, str(error), _OLDER) from error
    return "\n".join(bindings.differences(theirs))


def _unusable(path: Path, reason: str, hint: str) -> EngineUnavailable:
    message = f"the engine 'wasmtime' can't be loaded: wasmtime {_version(path)} is installed; {reason}"
    return EngineUnavailable(message, hint=hint)

"""Determines the host's files that an engine's process needs: Python, its libraries, wasmoci and the engine."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

from wasmoci._startup import attrs
from wasmoci.errors import EngineError
from wasmoci.runtime import init

_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/nix/store", "/gnu/store")
_PACKAGES = ("site-packages", "dist-packages")


@attrs.frozen(kw_only=True)
class Interpreter:
    """A command that runs an engine, and the files that it needs.

    Args:
        command: The command; the guest's program and arguments follow.
        path: The directories in which Python finds modules.
        directories: All that has to be there, as absolute host paths. Some are files. One beneath another is a mount of its own.
    """

    command: tuple[str, ...]
    path: tuple[str, ...]
    directories: tuple[str, ...]


def for_handler(reference: str) -> Interpreter:
    """Return what a handler needs, with this process's own interpreter.

    Args:
        reference: The handler's class, ``module:qualified.name``.

    Raises:
        EngineError: There is no interpreter to be found: wasmoci is embedded in another program.
    """
    if not sys.executable:
        raise EngineError("sys.executable is empty: there is no interpreter to run an engine with")
    packages = [entry for entry in sys.path if os.path.basename(entry) in _PACKAGES and os.path.isdir(entry)]
    modules = {"wasmoci", reference.partition(":")[0].partition(".")[0]}
    # A package that is installed by a link to its sources, and a plug-in that is found in another way.
    homes = [home for module in modules if (home := _home(module)) and not _beneath(home, packages)]
    command = (os.path.realpath(sys.executable), "-I", "-S", os.path.realpath(init.__file__))
    needed = [
        *(path for path in _SYSTEM if os.path.exists(path)),
        sys.base_prefix,
        os.path.dirname(command[0]),
        *packages,
        *homes,
    ]
    return Interpreter(
        command=command,
        path=tuple(dict.fromkeys([*packages, *(os.path.dirname(home) for home in homes)])),
        directories=_with_mounts(_outermost(needed)),
    )


def _home(module: str) -> str | None:
    """Return the directory of a package, or the file of a module."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return None
    return os.path.dirname(spec.origin) if spec.submodule_search_locations else spec.origin


def _beneath(path: str, directories: list[str]) -> bool:
    return any(path.startswith(directory + "/") for directory in directories)


def _outermost(paths: list[str]) -> tuple[str, ...]:
    kept: list[str] = []
    for path in sorted(set(paths), key=len):
        if path not in kept and not _beneath(path, kept):
            kept.append(path)
    return tuple(kept)


def _with_mounts(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return paths and the mounts beneath them, parents first, as a recursive bind mount doesn't make submounts read-only."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        points = {_unescaped(line.split()[4]) for line in stream}
    return (*paths, *sorted(point for point in points if _beneath(point, list(paths))))


def _unescaped(text: str) -> str:
    """A path of mountinfo, which writes blanks and backslashes in octal."""
    for character in " \t\n\\":
        text = text.replace(f"\\{ord(character):03o}", character)
    return text

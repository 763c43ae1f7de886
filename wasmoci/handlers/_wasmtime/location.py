"""Where wasmtime's library is: in the package ``wasmtime``, which is neither imported nor asked."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from pathlib import Path

from wasmoci.compiled import identity

MAJOR = "50"
"""The major version whose functions are known here, see :mod:`.prototypes`; ``pyproject.toml`` has it as well."""

_NAMES = {"linux": "_libwasmtime.so", "darwin": "_libwasmtime.dylib"}
_MACHINES = {"arm64": "aarch64"}


@functools.cache
def library_file() -> Path:
    """The host path of the library.

    Raises:
        ImportError: The package isn't installed, is of another major version, or has no library for this machine.
    """
    spec = importlib.util.find_spec("wasmtime")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'wasmtime'", name="wasmtime")
    machine = os.uname().machine
    directory = f"{sys.platform}-{_MACHINES.get(machine, machine)}"
    path = Path(spec.origin).parent / directory / _NAMES.get(sys.platform, "")
    if not path.is_file():
        raise ImportError(f"the package wasmtime has no library for {directory}", name="wasmtime", path=str(path))
    version = identity.version("wasmtime", str(path)).split()[1]
    if version.partition(".")[0] != MAJOR:
        raise ImportError(
            f"wasmtime {version} is installed; {MAJOR}.x is needed, as each has other functions", name="wasmtime"
        )
    return path

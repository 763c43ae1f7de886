"""Finds and parses the configuration file; :mod:`wasmoci.dispatch.settings` interprets its values.

It imports nothing heavy, because a native container that ``wasmoci-runtime`` passes on needs at most one of its values.
"""

from __future__ import annotations

import os
import stat
import sys

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.host.regular_file import read_regular

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FILE_VARIABLE = "WASMOCI_CONFIG"
NATIVE_RUNTIME_VARIABLE = "WASMOCI_NATIVE_RUNTIME"
SYSTEM_FILE = "/etc/wasmoci/config.toml"
_MAX_SIZE = 1 << 20
KEYS = ("engines", "detection", "native_runtime", "compile_timeout", "compile_memory")


def locate(environment: Mapping[str, str]) -> str | None:
    """Return the host path of the configuration file; None when there is none.

    Args:
        environment: Environment variables. The file that ``WASMOCI_CONFIG`` names is taken whether or not it is there.
    """
    named = environment.get(FILE_VARIABLE)
    if named:
        return named
    base = environment.get("XDG_CONFIG_HOME") or os.path.join(environment.get("HOME", "/"), ".config")
    for candidate in (f"{base}/wasmoci/config.toml", SYSTEM_FILE):
        if os.path.isfile(candidate):
            return candidate
    return None


def read(file: str) -> dict[str, Any]:
    """Return the keys of a configuration file with their unchecked values.

    Args:
        file: A host path.

    Raises:
        InvalidConfiguration: It can't be read, isn't TOML, or has a key that it can't have; or it is found where it usually is, and
            is another user's.
    """
    from wasmoci.errors import InvalidConfiguration

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        data = read_regular(file, _MAX_SIZE, pipe=True, check=lambda status: _check(file, status))
        if len(data) > _MAX_SIZE:
            raise InvalidConfiguration(f"{file}: larger than {_MAX_SIZE} bytes, which no configuration is")
        document: dict[str, Any] = tomllib.loads(data.decode())
    except OSError as error:
        raise InvalidConfiguration(f"{file}: can't be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidConfiguration(f"{file}: not TOML: {error}") from None
    unknown = sorted(set(document) - set(KEYS))
    if unknown:
        expected = f"{', '.join(KEYS[:-1])} or {KEYS[-1]}"
        raise InvalidConfiguration(f"{file}: {unknown[0]}: no such setting; {expected} was expected")
    return document


def _check(file: str, status: os.stat_result) -> None:
    """Refuse a file of another user's that wasn't named explicitly, as it determines which program root runs."""
    if os.environ.get(FILE_VARIABLE) == file:
        return
    from wasmoci.errors import InvalidConfiguration
    from wasmoci.host import private_paths

    problem = None
    if not private_paths.is_trusted(status):
        problem = f"belongs to the user {status.st_uid}, not to {os.geteuid()} or root"
    elif status.st_mode & stat.S_IWOTH:
        problem = "others may write to it"
    if problem is not None:
        raise InvalidConfiguration(f"{file}: {problem}", hint=f"to use it all the same, set {FILE_VARIABLE}={file}")

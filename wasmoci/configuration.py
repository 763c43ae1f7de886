"""The user's own settings: a configuration file, and environment variables over it."""

from __future__ import annotations

import os
from pathlib import Path

from wasmoci import configuration_file
from wasmoci.classify import Detection
from wasmoci.configuration_file import FILE_VARIABLE, NATIVE_RUNTIME_VARIABLE, SYSTEM_FILE
from wasmoci.errors import InvalidConfiguration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import attrs
else:
    from wasmoci import _attrs as attrs

__all__ = ["DEFAULT_ENGINES", "ENGINE_VARIABLE", "FILE_VARIABLE", "NATIVE_RUNTIME_VARIABLE", "SYSTEM_FILE", "Settings"]

ENGINE_VARIABLE = "WASMOCI_ENGINE"
DEFAULT_ENGINES = ("wasmtime", "wasmer", "wasm3")


@attrs.frozen(kw_only=True)
class Settings:
    """What a user has settled for all runs.

    Args:
        engine: The engine to use where neither the caller nor the spec names one (``WASMOCI_ENGINE``).
        engines: The engines to try, in order, where none is named.
        detection: What makes a workload Wasm when no annotation speaks of it.
        native_runtime: The native OCI runtime's name or host path; None to find one.
        source: The configuration file that was read, if one was.
    """

    engine: str | None = None
    engines: tuple[str, ...] = DEFAULT_ENGINES
    detection: Detection = Detection.ANNOTATIONS
    native_runtime: str | None = None
    source: Path | None = None

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the configuration file, and the environment over it.

        The file is the one that ``WASMOCI_CONFIG`` names, else ``wasmoci/config.toml`` in the user's configuration directory,
        else :data:`SYSTEM_FILE`; none of them has to be there but the one that is named.

        Args:
            environment: Environment variables; None for this process's.

        Raises:
            InvalidConfiguration: The file can't be read, or has a key or a value that it can't have.
        """
        environment = os.environ if environment is None else environment
        file = configuration_file.locate(environment)
        settings = _DEFAULTS if file is None else _from_file(Path(file))
        engine = environment.get(ENGINE_VARIABLE) or None
        native_runtime = environment.get(NATIVE_RUNTIME_VARIABLE) or settings.native_runtime
        if engine is None and native_runtime == settings.native_runtime:
            return settings
        return attrs.evolve(settings, engine=engine, native_runtime=native_runtime)


_DEFAULTS = Settings()


def _from_file(file: Path) -> Settings:
    document = configuration_file.read(str(file))
    return Settings(
        engines=_engines(file, document.get("engines", list(DEFAULT_ENGINES))),
        detection=_detection(file, document.get("detection", Detection.ANNOTATIONS.value)),
        native_runtime=_native_runtime(file, document.get("native_runtime")),
        source=file,
    )


def _engines(file: Path, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) and name for name in value):
        raise InvalidConfiguration(f"{file}: engines: found {value!r}; a list of engines' names was expected")
    return tuple(value)


def _detection(file: Path, value: Any) -> Detection:
    try:
        return Detection(value)
    except ValueError:
        expected = " or ".join(repr(item.value) for item in Detection)
        raise InvalidConfiguration(f"{file}: detection: found {value!r}; {expected} was expected") from None


def _native_runtime(file: Path, value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise InvalidConfiguration(f"{file}: native_runtime: found {value!r}; a name or a path was expected")
    return value

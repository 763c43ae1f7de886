"""Reads the user's settings from a configuration file and environment variables."""

from __future__ import annotations

import os
from pathlib import Path

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.dispatch import settings_file
from wasmoci.dispatch.settings_file import FILE_VARIABLE, NATIVE_RUNTIME_VARIABLE, SYSTEM_FILE
from wasmoci.errors import InvalidConfiguration
from wasmoci.isolation.compile_bounds import DEFAULT, DEFAULT_MEMORY, DEFAULT_TIME, Bounds
from wasmoci.oci.classification import Detection
from wasmoci.text import quantities

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    _N = TypeVar("_N", int, float)

__all__ = ["DEFAULT_ENGINES", "ENGINE_VARIABLE", "FILE_VARIABLE", "NATIVE_RUNTIME_VARIABLE", "SYSTEM_FILE", "Settings"]

ENGINE_VARIABLE = "WASMOCI_ENGINE"
COMPILE_TIMEOUT_VARIABLE = "WASMOCI_COMPILE_TIMEOUT"
COMPILE_MEMORY_VARIABLE = "WASMOCI_COMPILE_MEMORY"
DEFAULT_ENGINES = ("wasmtime", "wasmer", "wasm3")


@attrs.frozen(kw_only=True)
class Settings:
    """The user's settings for all runs.

    Args:
        engine: The engine to use where neither the caller nor the spec names one (``WASMOCI_ENGINE``).
        engines: The engines to try, in order, where none is named.
        detection: What makes a workload Wasm when no annotation decides.
        native_runtime: The native OCI runtime's name or host path; None to find one.
        compile_timeout: Seconds that validating and compiling a module may take; None for no limit
            (``WASMOCI_COMPILE_TIMEOUT``).
        compile_memory: Bytes that it may allocate; None for no limit (``WASMOCI_COMPILE_MEMORY``).
        source: The configuration file that was read, if one was.
    """

    engine: str | None = None
    engines: tuple[str, ...] = DEFAULT_ENGINES
    detection: Detection = Detection.ANNOTATIONS
    native_runtime: str | None = None
    compile_timeout: float | None = DEFAULT_TIME
    compile_memory: int | None = DEFAULT_MEMORY
    source: Path | None = None

    @property
    def bounds(self) -> Bounds:
        """The limits on validating and compiling a module."""
        if self.compile_timeout == DEFAULT_TIME and self.compile_memory == DEFAULT_MEMORY:
            return DEFAULT
        return Bounds(time=self.compile_timeout, memory=self.compile_memory)

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
        file = settings_file.locate(environment)
        settings = _DEFAULTS if file is None else _from_file(Path(file))
        engine = environment.get(ENGINE_VARIABLE) or None
        native_runtime = environment.get(NATIVE_RUNTIME_VARIABLE) or settings.native_runtime
        bounds: dict[str, Any] = {}
        for variable, name, read in (
            (COMPILE_TIMEOUT_VARIABLE, "compile_timeout", quantities.seconds),
            (COMPILE_MEMORY_VARIABLE, "compile_memory", quantities.size),
        ):
            if environment.get(variable):
                bounds[name] = _quantity(variable, environment[variable], read)
        if engine is None and native_runtime == settings.native_runtime and not bounds:
            return settings
        return attrs.evolve(settings, engine=engine, native_runtime=native_runtime, **bounds)


_DEFAULTS = Settings()


def _from_file(file: Path) -> Settings:
    document = settings_file.read(str(file))
    return Settings(
        engines=_engines(file, document.get("engines", list(DEFAULT_ENGINES))),
        detection=_detection(file, document.get("detection", Detection.ANNOTATIONS.value)),
        native_runtime=_native_runtime(file, document.get("native_runtime")),
        compile_timeout=_bound(file, document, "compile_timeout", quantities.seconds, DEFAULT_TIME),
        compile_memory=_bound(file, document, "compile_memory", quantities.size, DEFAULT_MEMORY),
        source=file,
    )


def _bound(
    file: Path, document: Mapping[str, Any], key: str, read: Callable[[Any], _N | None], default: _N
) -> _N | None:
    return _quantity(f"{file}: {key}", document[key], read) if key in document else default


def _quantity(where: str, value: Any, read: Callable[[Any], _N | None]) -> _N | None:
    try:
        return read(value)
    except ValueError as error:
        raise InvalidConfiguration(f"{where}: found {value!r}; {error} was expected") from None


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

"""Encodes the messages between a caller and its worker process, as JSON documents with a length prefix.

Nothing is unpickled: a worker runs an engine that a guest may have taken over, and its caller does not trust it.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from wasmoci import determinism, errors
from wasmoci.limits import Limits
from wasmoci.result import ExecutionResult, ExitReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    import attrs

    from wasmoci.isolation.compile_bounds import Bounds
    from wasmoci.isolation.jail.root import Place
    from wasmoci.oci.spec import Spec
    from wasmoci.wasm.module import Module
else:
    from wasmoci._startup import attrs

_T = TypeVar("_T")

_LENGTH = struct.Struct("<I")
MAX_MESSAGE = 64 << 20
"""Bytes of a message to a worker."""
MAX_ANSWER = 4 << 20
"""Bytes of a message of a worker's, of which its caller's memory may take thirty times as many."""
_MOST = (1 << 32) - 1  # as a guest's exit code
_FRAMES, _FRAME, _TEXT = 64, 1 << 12, 1 << 16  # frames of a backtrace, characters of one, and of any other text


def encode(message: dict[str, Any]) -> bytes:
    """Encode one message."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


class Decoder:
    """Decodes messages from a stream of bytes.

    Args:
        most: Bytes that a message may have.
    """

    def __init__(self, most: int = MAX_MESSAGE) -> None:
        self._most = most
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Add bytes, and return the messages that are complete.

        Raises:
            ValueError: They are no messages.
        """
        self._buffer += data
        messages = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > self._most:
                raise ValueError(f"a message of {length} bytes")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            try:
                message = json.loads(self._buffer[_LENGTH.size : end])
            except RecursionError:
                raise ValueError("a message that is nested too deeply") from None
            if not isinstance(message, dict):
                raise ValueError("a message that is no object")  # noqa: TRY004  it is the value that is wrong
            messages.append(message)
            del self._buffer[:end]
        return messages


def request(
    reference: str,
    spec: Spec,
    rootfs: str,
    limits: Limits,
    path: list[str],
    *,
    places: Sequence[Place] | None = None,
    prepared: str | None = None,
    preparing: Bounds | None = None,
) -> dict[str, Any]:
    """What a caller asks its worker for; what :mod:`wasmoci.determinism` says now is part of it.

    Args:
        reference: The handler's class, ``module:qualified.name``.
        spec: The container's spec.
        rootfs: Its root file system, a host path.
        limits: What the guest may use; the caller itself sees to the time.
        path: The caller's ``sys.path``, so that both find the same packages.
        places: What the worker is to have in the jail; None for one that isn't jailed.
        prepared: The digest of the module whose entry of the compile cache is the last place, if one is.
        preparing: What validating and compiling the module may use; None for no bound.
    """
    return {
        "jailed": places is not None,
        "places": [[place.path, place.read_only, place.hidden] for place in places or ()],
        "prepared": prepared,
        "handler": reference,
        "spec": spec.to_dict(),
        "directory": spec.directory,
        "rootfs": rootfs,
        "limits": {"memory": limits.memory, "fuel": limits.fuel},
        "path": path,
        "prefix": [sys.prefix, sys.exec_prefix],
        "determinism": attrs.asdict(chosen) if (chosen := determinism.current()) else None,
        "preparing": None if preparing is None else _bounds(preparing),
    }


def task_request(
    task: str, reference: str, module: Module, limits: Limits, bounds: Bounds, *, path: list[str], jailed: bool
) -> dict[str, Any]:
    """What a caller asks its worker to do for a module, whose bytes are the worker's standard input.

    Args:
        task: ``validate`` or ``precompile``.
        reference: As for :func:`request`.
        module: The module.
        limits: Limits of the kinds that its runs are to have.
        bounds: What the worker may use; the caller itself sees to the time.
        path: As for :func:`request`.
        jailed: Whether the worker gives up every right first; see :mod:`wasmoci.isolation.confinement`.
    """
    return {
        "task": task,
        "handler": reference,
        "source": module.source,
        "limits": {"time": limits.time, "memory": limits.memory, "fuel": limits.fuel},
        "bounds": _bounds(bounds),
        "jailed": jailed,
        "places": [],
        "path": path,
        "prefix": [sys.prefix, sys.exec_prefix],
    }


def _bounds(bounds: Bounds) -> dict[str, Any]:
    return {"time": bounds.time, "memory": bounds.memory, "processors": bounds.processors}


def limits_of(message: dict[str, Any]) -> Limits:
    """The limits in a request."""
    return Limits(**message["limits"])


def determinism_of(message: dict[str, Any]) -> determinism.Determinism | None:
    """The determinism in a request."""
    return None if message["determinism"] is None else determinism.Determinism(**message["determinism"])


def result_message(result: ExecutionResult) -> dict[str, Any]:
    """Encode a result without its output, which is transferred separately."""
    return {
        "event": "result",
        "exit_code": result.exit_code,
        "reason": result.reason.value,
        "engine": result.engine,
        "duration": result.duration,
        "message": _clipped(result.message, _TEXT),
        "backtrace": [_clipped(frame, _FRAME) for frame in result.backtrace[:_FRAMES]],
    }


def result_of(message: dict[str, Any]) -> ExecutionResult:
    """The result in a message.

    Raises:
        LookupError: A part is missing.
        TypeError: A part is of another type.
        ValueError: There is no such reason, or no such code for it.
    """
    code, reason = _typed(message["exit_code"], int), ExitReason(message["reason"])
    if isinstance(code, bool) or not 0 <= code <= _MOST or (code == 0 and reason is not ExitReason.EXITED):
        raise ValueError(f"the code {code!r} of a guest that {reason.value}")
    duration = float(message["duration"])
    if not 0 <= duration < math.inf:
        raise ValueError(f"a duration of {duration} s")
    return ExecutionResult(
        exit_code=code,
        reason=reason,
        engine=_typed(message["engine"], str),
        duration=duration,
        message=_typed(message["message"], str),
        backtrace=tuple(_typed(frame, str) for frame in _typed(message["backtrace"], list)),
    )


def error_message(error: errors.WasmociError) -> dict[str, Any]:
    """Encode one of our errors, to be raised again by the caller."""
    args = [_clipped(str(arg), _TEXT) for arg in error.args]
    state = {
        key: _clipped(value, _TEXT) if isinstance(value, str) else value
        for key, value in vars(error).items()
        if value is None or isinstance(value, (str, int))
    }
    return {"event": "error", "class": type(error).__name__, "args": args, "state": state}


def error_of(message: dict[str, Any]) -> errors.WasmociError:
    """Decode the error in a message; its class is kept if it is in :mod:`wasmoci.errors`.

    Raises:
        LookupError: A part is missing.
        TypeError: A part is of another type.
    """
    kind = getattr(errors, str(message["class"]), None)
    if not (isinstance(kind, type) and issubclass(kind, errors.WasmociError)):
        kind = errors.EngineError
    args = tuple(_typed(arg, str) for arg in _typed(message["args"], list))
    state = _typed(message["state"], dict)
    error = kind.__new__(kind, *args)
    # What belongs to the class stays the class's, above all the exit status: a worker may have been taken over by its guest.
    vars(error).update({key: value for key, value in state.items() if not (key.startswith("_") or hasattr(kind, key))})
    error.restate(_typed(state["message"], str), hint=None if state["hint"] is None else _typed(state["hint"], str))
    error.args = (error.message, *args[1:])
    return error


def _clipped(text: str, most: int) -> str:
    """Truncate a long text, as names in a module have any length."""
    return text if len(text) <= most else f"{text[:most]}..."


def _typed(value: Any, kind: type[_T]) -> _T:
    if isinstance(value, kind):
        return value
    raise TypeError(f"{value!r} where {kind.__name__} was expected")


def with_output(result: ExecutionResult, **output: Any) -> ExecutionResult:
    """Add the captured output to a result."""
    return attrs.evolve(result, **output)

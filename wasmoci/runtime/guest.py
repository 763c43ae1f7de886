"""The guest's process in a Wasm container: reads what it is to run, and runs it on its engine.

Everything that a guest may see lies in one directory, with all mounts made by the kernel; so its root is that directory, and
the kernel holds what is read-only.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from wasmoci import compiled
from wasmoci.compiled.place import VARIABLE as CACHE_VARIABLE
from wasmoci.errors import WasmociError
from wasmoci.handlers.base import from_reference
from wasmoci.result import ExitReason
from wasmoci.spec import Process, Root, Spec
from wasmoci.stdio import Stdio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence
    from typing import Any

    from wasmoci.result import ExecutionResult

GUEST_VARIABLE = "WASMOCI_GUEST"
PATH_VARIABLE = "WASMOCI_PATH"
ENVIRONMENT_PREFIX = "WASMOCI_ENV_"
"""The guest's variables come under names of their own: what is meant for a guest is not for the engine's process."""


def description(environment: Mapping[str, str]) -> dict[str, Any]:
    """What :func:`variables` was told."""
    found: dict[str, Any] = json.loads(environment[GUEST_VARIABLE])
    return found


def variables(what: Mapping[str, Any], path: Sequence[str], env: Sequence[str]) -> list[str]:
    """The environment of an engine's process, as ``NAME=value``.

    Args:
        what: The handler's ``module:qualified.name`` (``handler``), the guest's ``rootfs`` and ``cwd`` in the container, and
            the files of compiled modules by the modules' digests (``compiled``), where there are any.
        path: The directories in which Python finds wasmoci and the engine.
        env: The guest's own variables.
    """
    return [
        "PATH=/usr/local/bin:/usr/bin:/bin",
        f"{CACHE_VARIABLE}=off",  # nothing of the host's is there, nor is anything to be written
        f"{PATH_VARIABLE}={':'.join(path)}",
        f"{GUEST_VARIABLE}={json.dumps(what)}",
        *(f"{ENVIRONMENT_PREFIX}{index}={variable}" for index, variable in enumerate(env)),
    ]


def main(args: Sequence[str], environment: MutableMapping[str, str]) -> int:
    """Run the guest to its end.

    Args:
        args: The guest's arguments; the first is its program.
        environment: The process's environment, from :func:`variables`; of the guest's nothing is left in it.

    Returns:
        The exit status.
    """
    try:
        what = description(environment)
        for module, file in what.get("compiled", {}).items():
            compiled.provide(module, file)
        spec = Spec(
            process=Process(args=tuple(args), env=_taken(environment), cwd=what["cwd"]), root=Root(path=what["rootfs"])
        )
        result = from_reference(what["handler"]).execute(spec, Path(what["rootfs"]), stdio=Stdio.inherit())
    except WasmociError as error:
        _tell(f"error: {error}")
        return error.exit_status
    except Exception as error:  # noqa: BLE001  no traceback at a user's terminal
        _tell(f"error: unexpected {type(error).__name__}: {error}")
        return WasmociError.exit_status
    _report(result)
    return result.exit_status


def _taken(environment: MutableMapping[str, str]) -> tuple[str, ...]:
    taken: list[str] = []
    while (value := environment.pop(f"{ENVIRONMENT_PREFIX}{len(taken)}", None)) is not None:
        taken.append(value)
    return tuple(taken)


def _report(result: ExecutionResult) -> None:
    if result.reason is ExitReason.EXITED:
        return
    _tell(f"the guest {result.reason.value}: {result.message or 'no more is known'} ({result.engine})")
    for frame in result.backtrace:
        _tell(f"  at {frame}")


def _tell(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"wasmoci-runtime: {text}\n".encode(errors="backslashreplace"))

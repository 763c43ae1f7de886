"""Passes the description of a guest to its engine's process, in environment variables.

Reading it needs only ``os``: the variables are plain text, not JSON.
"""

from __future__ import annotations

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence


_PATH = "WASMOCI_PATH"  # which init.py reads, that imports nothing of ours before
_CACHE = "WASMOCI_CACHE"
_HANDLER = "WASMOCI_HANDLER"
_ROOTFS = "WASMOCI_ROOTFS"
_CWD = "WASMOCI_CWD"
_COMPILED = "WASMOCI_COMPILED"
_ENV = "WASMOCI_ENV_"
"""The prefix of the guest's variables, so that they don't affect the engine's process."""


@attrs.frozen(kw_only=True)
class Description:
    """The description of a guest to run.

    Args:
        handler: Its handler's class, ``module:qualified.name``.
        rootfs: The directory that is its root, a path in the container.
        cwd: Its working directory, a guest path.
        env: Its own variables, as ``NAME=value``.
        engine_env: Variables for the engine's process itself, as ``NAME=value``.
        compiled: Its module's digest, and the file that an engine has made of it, a path in the container; None where there is none.
    """

    handler: str
    rootfs: str
    cwd: str
    env: tuple[str, ...] = ()
    engine_env: tuple[str, ...] = ()
    compiled: tuple[str, str] | None = None

    def variables(self, path: Sequence[str]) -> list[str]:
        """Return the environment of the engine's process, as ``NAME=value``.

        Args:
            path: The directories in which Python finds wasmoci and the engine.
        """
        return [
            "PATH=/usr/local/bin:/usr/bin:/bin",
            *self.engine_env,
            f"{_CACHE}=off",  # nothing of the host's is there, nor is anything to be written
            f"{_PATH}={':'.join(path)}",
            f"{_HANDLER}={self.handler}",
            f"{_ROOTFS}={self.rootfs}",
            f"{_CWD}={self.cwd}",
            *([] if self.compiled is None else [f"{_COMPILED}={':'.join(self.compiled)}"]),
            *(f"{_ENV}{index}={variable}" for index, variable in enumerate(self.env)),
        ]

    @classmethod
    def taken(cls, environment: MutableMapping[str, str]) -> Description:
        """Read the description from the environment, and remove the guest's variables from it."""
        digest, mark, file = environment.get(_COMPILED, "").partition(":")
        env: list[str] = []
        while (value := environment.pop(f"{_ENV}{len(env)}", None)) is not None:
            env.append(value)
        return cls(
            handler=environment[_HANDLER],
            rootfs=environment[_ROOTFS],
            cwd=environment[_CWD],
            env=tuple(env),
            compiled=(digest, file) if mark else None,
        )

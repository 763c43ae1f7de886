"""Defines the options of a run, once for all functions that accept them.

An option that is added to :class:`GuestOptions` is one of ``wasmoci.run``, ``run_async``, ``start``, ``explain``, of a
:class:`wasmoci.WorkerPool` and of pytest's fixtures; :meth:`wasmoci.dispatch.request.Request.of` hands it on to what runs a bundle.
"""

from __future__ import annotations

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.isolation import Isolation
from wasmoci.limits import positive, positive_integer
from wasmoci.stdio import Stdio

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, TypeAlias

    from wasmoci.oci.bundle import Bundle
    from wasmoci.stdio import Source

Environment: TypeAlias = "Mapping[str, str] | Iterable[str]"
"""Variables, as a mapping or as ``NAME=value`` strings."""


_ISOLATIONS = {*Isolation, *(isolation.value for isolation in Isolation)}


def _several(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, str):
        raise TypeError(f"{attribute.name} is the string {value!r}; a sequence of strings was expected")


def _isolation(_instance: object, _attribute: attrs.Attribute[Any], value: Isolation | str | None) -> None:
    if value is not None and value not in _ISOLATIONS:
        Isolation(value)  # which says so


@attrs.frozen
class Workload:
    """A workload as a caller names it.

    Args:
        bundle: A bundle's directory (a host path), a bundle, or a reference to an image, such as ``oci-archive:app.tar``.
    """

    bundle: str | os.PathLike[str] | Bundle


@attrs.frozen(kw_only=True)
class GuestOptions(Workload):
    """What may be asked of any run.

    Args:
        engine: The engine, which means Wasm or an error; None to have one chosen.
        args: The program's arguments, in place of the spec's; the program itself stays. Of an image they take the place of its
            ``Cmd``, as with Podman.
        env: Variables to set, over the spec's.
        volumes: Bind mounts on top of the spec's: ``HOST:GUEST`` or ``HOST:GUEST:ro``.
        cwd: The working directory, an absolute guest path, in place of the spec's.
        read_only: Whether the guest may only read its root, in place of the spec's flag.
        timeout: Seconds of wall-clock time, from the start of the entry function.
        memory: Bytes of linear memory; the spec's limit where this is None.
        fuel: Instructions, on an engine that counts them.
        isolation: ``inline``, ``process`` or ``jail``, which mean Wasm or an error; None to have it chosen.
        platform: Which of an image's platforms to take; None for one for Wasm, else this machine's. One for Wasm, as
            ``wasi/wasm``, means Wasm or an error.
        native: Whether an image's program may run natively, if it isn't Wasm; held as Podman holds its containers.

    Raises:
        TypeError: ``args``, ``env`` or ``volumes`` is a single string, or a limit isn't a number.
        ValueError: A limit isn't more than 0, or there is no such isolation.
    """

    engine: str | None = None
    args: Sequence[str] | None = attrs.field(default=None, validator=_several)
    env: Environment | None = attrs.field(default=None, validator=_several)
    volumes: Iterable[str] = attrs.field(default=(), validator=_several)
    cwd: str | None = None
    read_only: bool | None = None
    timeout: float | None = attrs.field(default=None, validator=positive)
    memory: int | None = attrs.field(default=None, validator=positive_integer)
    fuel: int | None = attrs.field(default=None, validator=positive_integer)
    isolation: Isolation | str | None = attrs.field(default=None, validator=_isolation)
    platform: str | None = None
    native: bool = False


@attrs.frozen(kw_only=True)
class RunOptions(GuestOptions):
    """The arguments of :func:`wasmoci.run`.

    Args:
        stdin: What the guest reads; see :data:`wasmoci.stdio.Source`.
        stdio: All three streams, in place of ``stdin`` and captured outputs.
    """

    stdin: Source = b""
    stdio: Stdio | None = None

    @property
    def streams(self) -> Stdio:
        """The streams of the run."""
        return Stdio.capture(self.stdin) if self.stdio is None else self.stdio


@attrs.frozen(kw_only=True)
class StartOptions(GuestOptions):
    """The arguments of :func:`wasmoci.start`.

    Args:
        stdin: What the guest reads; None for what :meth:`RunningGuest.write` writes.
    """

    stdin: Source | None = None

"""Finds and calls the native OCI runtime: crun, runc or youki."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from wasmoci.errors import InvalidSpec, NativeRuntimeNotFound, UnsupportedWorkload
from wasmoci.host.temporary_directory import guest_temporary_directory
from wasmoci.native import programs
from wasmoci.native.checks import check_mounts, check_seccomp
from wasmoci.native.container import Container
from wasmoci.oci.annotations import decides
from wasmoci.oci.json_reader import read_file
from wasmoci.oci.spec import CONFIG
from wasmoci.stdio import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.isolation.child_process import ChildProcess
    from wasmoci.limits import Limits
    from wasmoci.oci.bundle import Bundle
    from wasmoci.result import ExecutionResult
    from wasmoci.stdio import Stdio


@attrs.frozen
class NativeRuntime:
    """A native OCI runtime that is installed.

    Args:
        name: crun, runc, youki, or the name of the program that the user chose.
        path: Its program, a host path.
    """

    name: str
    path: Path


def installed() -> tuple[NativeRuntime, ...]:
    """Return the installed runtimes, in order of preference."""
    found = ((name, _which(name)) for name in programs.order())
    return tuple(NativeRuntime(name, path) for name, path in found if path is not None)


def find(name: str | None = None) -> NativeRuntime:
    """Return the runtime to use.

    Args:
        name: A name to look up in ``PATH``, or a host path; None for the preferred one of the installed runtimes.

    Raises:
        NativeRuntimeNotFound: The named one, or any at all, isn't installed.
    """
    if name is not None:
        path = _which(name)
        if path is None:
            raise NativeRuntimeNotFound(
                f"the native runtime {name!r} isn't installed", hint="install it, or name another one"
            )
        return NativeRuntime(Path(name).name, path)
    runtimes = installed()
    if not runtimes:
        raise NativeRuntimeNotFound(
            "the workload is native, and none of crun, runc and youki is installed",
            hint="install one of them, as with: apt-get install crun",
        )
    return runtimes[0]


def run(bundle: Bundle, *, runtime: str | None = None, stdio: Stdio, limits: Limits) -> ExecutionResult:
    """Run a native container to its end; arguments and errors are those of :func:`launch`."""
    with launch(bundle, runtime=runtime, stdio=stdio, limits=limits) as container:
        return container.wait()


@contextlib.contextmanager
def launch(bundle: Bundle, *, runtime: str | None = None, stdio: Stdio, limits: Limits) -> Iterator[ChildProcess]:
    """Start a native container, which is removed at the end of the context, or when this process is killed.

    Args:
        bundle: Its bundle; if its spec differs from ``config.json``, a derived bundle is run.
        runtime: See :func:`find`.
        stdio: Its streams.
        limits: The memory limit is set on the container's cgroup; the time limit ends the container.

    Raises:
        NativeRefused: See :func:`wasmoci.native.checks.check_mounts` and :func:`~wasmoci.native.checks.check_seccomp`.
        NativeRuntimeNotFound: See :func:`find`.
        NativeRuntimeError: The runtime could not run it; by :meth:`ChildProcess.finish`.
        UnsupportedWorkload: A limit of fuel, which native programs don't have.
    """
    if limits.fuel is not None:
        raise UnsupportedWorkload("a native workload has no fuel to limit")
    chosen = find(runtime)
    check_mounts(bundle)
    check_seccomp(bundle, chosen.name, chosen.path)
    identifier = f"wasmoci-{secrets.token_hex(8)}"
    remove = [str(chosen.path), "delete", "--force", identifier]
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(guest_temporary_directory("wasmoci-native-", at_kill=remove))
        directory = _bundle_directory(bundle, limits, scratch, terminal=_has_terminal(stdio))
        streams = stack.enter_context(stdio.open())
        # After the runtime has ended, whether or not it has created the container.
        stack.callback(_run_silently, remove)
        yield stack.enter_context(
            Container(
                chosen.path,
                chosen.name,
                bundle=directory,
                identifier=identifier,
                log=scratch / "log",
                streams=streams,
                limits=limits,
            )
        )


def _which(name: str) -> Path | None:
    found = programs.which(name, os.environ)
    return None if found is None else Path(found)


def _has_terminal(stdio: Stdio) -> bool:
    return stdio.stdin is Stream.INHERIT and stdio.stdout is Stream.INHERIT and os.isatty(0) and os.isatty(1)


def _bundle_directory(bundle: Bundle, limits: Limits, scratch: Path, *, terminal: bool) -> Path:
    spec = bundle.spec
    if spec.process is not None and spec.process.terminal and not terminal:
        # The runtime would request a terminal, which nobody provides.
        spec = attrs.evolve(spec, process=attrs.evolve(spec.process, terminal=False))
    if limits.memory is not None:
        spec = attrs.evolve(spec, memory_limit=limits.memory)
    if bundle.image is not None:
        # We have decided that it is native; crun would decide again, by rules of its own.
        kept = {key: value for key, value in spec.annotations.items() if not decides(key)}
        spec = attrs.evolve(spec, annotations=kept)
    document = spec.to_dict()
    if document == spec.raw and spec.directory == str(bundle.path) and _says_once(bundle.path / CONFIG, document):
        return bundle.path
    document["root"] = {**(document.get("root") or {}), "path": str(bundle.rootfs)}
    for mount in document.get("mounts", ()):
        _make_absolute(mount, spec.directory or str(bundle.path))
    (scratch / CONFIG).write_text(json.dumps(document), encoding="utf-8")
    return scratch


def _says_once(file: Path, document: dict[str, Any]) -> bool:
    """Return whether a document has no duplicate names: some native runtimes take the first one, some the last."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError
        return found

    try:
        found: Any = json.loads(read_file(str(file)), object_pairs_hook=once)
    except (InvalidSpec, ValueError, RecursionError):
        return False
    return bool(found == document)


def _make_absolute(mount: dict[str, Any], directory: str) -> None:
    options = mount.get("options") or ()
    if mount.get("source") and (mount.get("type") == "bind" or "bind" in options or "rbind" in options):
        mount["source"] = str(Path(directory, mount["source"]))


def _run_silently(command: list[str]) -> None:
    subprocess.run(  # noqa: S603
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )

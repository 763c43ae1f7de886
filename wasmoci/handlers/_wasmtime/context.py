"""What a guest sees, as the configuration of wasmtime's WASI."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import wasmtime
from wasmtime import _ffi as ffi

from wasmoci.errors import InvalidInput
from wasmoci.handlers._wasmtime import stdin
from wasmoci.handlers._wasmtime.outputs import GuardedSink
from wasmoci.handlers.preopens import preopens
from wasmoci.module import ModuleKind
from wasmoci.stdio import Capture, Stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wasmoci.handlers._wasmtime.run import Run
    from wasmoci.handlers.base import Workload
    from wasmoci.handlers.preopens import Preopen
    from wasmoci.stdio import Sink, Source, Stdio, Target

_STDOUT, _STDERR = 1, 2


@contextlib.contextmanager
def configure(workload: Workload, run: Run) -> Iterator[wasmtime.WasiConfig]:
    """The configuration for a workload; what stands behind its standard input lasts as long as the context.

    Args:
        workload: What the guest is to see.
        run: Learns of exceptions in the functions that take the guest's output.
    """
    config = wasmtime.WasiConfig()
    config.argv = list(workload.entrypoint.argv)
    config.env = workload.entrypoint.env
    _attach_outputs(config, workload, run)
    with preopens(workload.files, by_name=workload.module.kind is ModuleKind.COMPONENT) as directories:
        _preopen(config, directories)
    with stdin.attach(config, workload.streams.stdin):
        yield config


def never_waits(stdio: Stdio) -> bool:
    """Whether the guest can read and write its streams without ever waiting for somebody at their other end.

    A function that takes output doesn't count: it is the caller's own, and no process could be ended in its place.
    """
    return all(map(_never_waits, (stdio.stdin, stdio.stdout, stdio.stderr), range(3)))


def _never_waits(stream: Source | Target, inherited: int) -> bool:
    if isinstance(stream, (bytes, Capture)) or stream is Stream.NULL or callable(stream):
        return True
    try:
        status = (
            stream.stat() if isinstance(stream, Path) else os.fstat(stream if isinstance(stream, int) else inherited)
        )
    except OSError:  # a path that isn't there becomes a regular file or an error, and a closed descriptor gives one
        return True
    return stat.S_ISREG(status.st_mode) or stdin.is_null(status)


def _attach_outputs(config: wasmtime.WasiConfig, workload: Workload, run: Run) -> None:
    streams = workload.streams
    # What a core module writes elsewhere never gets to wasmtime: see the module ``writes``.
    custom = workload.module.kind is ModuleKind.COMPONENT
    if streams.stdout.descriptor == _STDOUT:
        config.inherit_stdout()
    elif custom:
        config.stdout_custom = _lent(streams.stdout, run).take
    if streams.stderr.descriptor == _STDERR:
        config.inherit_stderr()
    elif custom:
        config.stderr_custom = _lent(streams.stderr, run).take


def _lent(sink: Sink, run: Run) -> GuardedSink:
    guarded = GuardedSink(sink, run)
    run.lend(guarded)
    return guarded


def _preopen(config: wasmtime.WasiConfig, directories: Iterable[Preopen]) -> None:
    for preopen in directories:
        if _add(config, preopen.host, preopen):
            continue
        # wasmtime takes only paths that are UTF-8: it gets the directory under another one, or we learn what is wrong.
        try:
            descriptor = os.open(preopen.host, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            reason = error.strerror
        else:
            try:
                if _add(config, os.fsencode(stdin.DESCRIPTORS / str(descriptor)), preopen):
                    continue
            finally:
                os.close(descriptor)
            reason = "its path is not UTF-8, and /proc isn't mounted"
        host = preopen.host.decode(errors="backslashreplace")
        raise InvalidInput(f"{host}: can't be opened as the guest's directory {preopen.guest}: {reason}")


def _add(config: wasmtime.WasiConfig, host: bytes, preopen: Preopen) -> bool:
    # Not by wasmtime-py, which encodes the path itself.
    added: bool = ffi.wasi_config_preopen_dir(config.ptr(), host, preopen.guest.encode(), not preopen.read_only)
    return added

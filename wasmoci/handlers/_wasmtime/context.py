"""What a guest sees, as the configuration of wasmtime's WASI."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import wasmtime
from wasmtime import _ffi as ffi

from wasmoci.errors import InvalidInput
from wasmoci.handlers._wasmtime import stdin
from wasmoci.handlers._wasmtime.preopens import preopens
from wasmoci.stdio import Capture, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from wasmoci.handlers._wasmtime.preopens import Preopen
    from wasmoci.handlers._wasmtime.run import Run
    from wasmoci.handlers.base import Workload
    from wasmoci.stdio import Sink, Source, Stdio, Target


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
    with preopens(workload.files) as directories:
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
        if isinstance(stream, Path):
            return stat.S_ISREG(stream.stat().st_mode)
        return stat.S_ISREG(os.fstat(stream if isinstance(stream, int) else inherited).st_mode)
    except OSError:  # not there yet, or not there: then it is made as a regular file, or refused when it is opened
        return True


def _attach_outputs(config: wasmtime.WasiConfig, workload: Workload, run: Run) -> None:
    streams = workload.streams
    if streams.stdout.descriptor == 1:
        config.inherit_stdout()
    else:
        config.stdout_custom = _writer(streams.stdout, run)
    if streams.stderr.descriptor == 2:  # noqa: PLR2004  by its number it is the standard error
        config.inherit_stderr()
    else:
        config.stderr_custom = _writer(streams.stderr, run)


def _writer(sink: Sink, run: Run) -> Callable[[bytes], int | None]:
    """A function for wasmtime-py that never raises: it gives a negative errno instead."""

    def write(data: bytes) -> int | None:
        if run.failure is not None:
            return -errno.EIO
        try:
            sink.write(data)
        except BaseException as error:  # noqa: BLE001  raised again after the run
            if sink.descriptor is not None and isinstance(error, OSError):
                return -(error.errno or errno.EIO)  # the guest's own affair, as in any process
            run.failure = error
            return -errno.EIO
        return None

    return write


def _preopen(config: wasmtime.WasiConfig, directories: Iterable[Preopen]) -> None:
    for preopen in directories:
        # Not by wasmtime-py, which takes only host paths that are UTF-8.
        if not ffi.wasi_config_preopen_dir(config.ptr(), preopen.host, preopen.guest.encode(), not preopen.read_only):
            raise InvalidInput(f"{os.fsdecode(preopen.host)}: can't be opened as the guest's directory {preopen.guest}")

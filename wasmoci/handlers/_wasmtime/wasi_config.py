"""Builds the configuration of wasmtime's WASI for a guest: arguments, environment, preopens."""

from __future__ import annotations

import ctypes
import os

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import InvalidInput
from wasmoci.handlers import _interpreter
from wasmoci.handlers._wasmtime.library import Owned, library
from wasmoci.handlers._wasmtime.outputs import Loan
from wasmoci.handlers._wasmtime.stdin import DESCRIPTORS
from wasmoci.handlers.preopens import preopens
from wasmoci.wasm.module import ModuleKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from wasmoci.handlers._wasmtime.run_state import Run
    from wasmoci.handlers.base import Workload
    from wasmoci.handlers.preopens import Preopen
    from wasmoci.oci.entrypoint import Entrypoint
    from wasmoci.stdio import Sink

_STDOUT, _STDERR = 1, 2


def configure(workload: Workload, run: Run) -> Owned:
    """Return the configuration for a workload, without its standard input: a ``wasi_config_t``.

    Args:
        workload: What the guest is to see.
        run: Learns of exceptions in the functions that take the guest's output.
    """
    config = with_arguments(workload.entrypoint)
    try:
        _set(config, workload, run)
    except BaseException:
        config.close()
        raise
    return config


def _set(config: Owned, workload: Workload, run: Run) -> None:
    component = workload.module.kind is ModuleKind.COMPONENT
    streams = workload.streams
    # What a core module writes elsewhere never gets to wasmtime: see :mod:`.output_functions`.
    if streams.stdout.descriptor == _STDOUT:
        library.wasi_config_inherit_stdout(config.pointer)
    elif component:
        _lend(streams.stdout, run, library.wasi_config_set_stdout_custom, config)
    if streams.stderr.descriptor == _STDERR:
        library.wasi_config_inherit_stderr(config.pointer)
    elif component:
        _lend(streams.stderr, run, library.wasi_config_set_stderr_custom, config)
    # A core module that can open anything, or ask for names, has another host. In the jail "." can't be given to any.
    files = workload.files if component else attrs.evolve(workload.files, cwd="/", mounts=())
    with preopens(files, by_name=component, opens=component) as directories:
        _preopen(config, directories)


def with_arguments(entrypoint: Entrypoint) -> Owned:
    """Return a configuration with only a guest's arguments and environment."""
    config = Owned(library.wasi_config_new(), library.wasi_config_delete)
    argv, env = entrypoint.argv, entrypoint.env
    taken = library.wasi_config_set_argv(config.pointer, len(argv), _texts(argv))
    if taken and env:
        names, values = _texts([name for name, _ in env]), _texts([value for _, value in env])
        taken = library.wasi_config_set_env(config.pointer, len(env), names, values)
    if not taken:
        raise InvalidInput("wasmtime doesn't take the guest's arguments or environment: they have to be UTF-8")
    return config


def _texts(texts: Sequence[str]) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * len(texts))(*[text.encode() for text in texts])


def _lend(sink: Sink, run: Run, setter: Callable[..., None], config: Owned) -> None:
    if not _interpreter.is_main():
        raise _interpreter.refusal("wasmtime", "it hands over a component's output on threads of its own")
    loan = Loan(sink, run)
    run.take_back.append(loan.end)
    loan.pass_to(setter, config.pointer)


def _preopen(config: Owned, directories: Iterable[Preopen]) -> None:
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
                if _add(config, os.fsencode(DESCRIPTORS / str(descriptor)), preopen):
                    continue
            finally:
                os.close(descriptor)
            reason = "its path is not UTF-8, and /proc isn't mounted"
        host = preopen.host.decode(errors="backslashreplace")
        raise InvalidInput(f"{host}: can't be opened as the guest's directory {preopen.guest}: {reason}")


def _add(config: Owned, host: bytes, preopen: Preopen) -> bool:
    added: bool = library.wasi_config_preopen_dir(config.pointer, host, preopen.guest.encode(), not preopen.read_only)
    return added

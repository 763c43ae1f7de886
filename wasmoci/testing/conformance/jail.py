"""Tests runs in the jail, where a process has access only to what its guest is given."""

from __future__ import annotations

import pytest

from wasmoci import isolation
from wasmoci.errors import EngineCrashed, JailUnavailable, UnsupportedWorkload
from wasmoci.handlers.capabilities import Capability
from wasmoci.isolation import Isolation
from wasmoci.isolation.jail.support import support
from wasmoci.limits import Limits
from wasmoci.stdio import Stdio
from wasmoci.testing.conformance.base import Conformance, Runner, ended, guest_bytes
from wasmoci.wasm.module import Module

_RUNS = (("args", "x"), ("exit", "3"), ("trap", "unreachable"), ("streams",))


class Jail(Conformance):
    """A handler that isn't ``sandboxed`` runs its guests in the jail; any other does on request."""

    @pytest.mark.parametrize(
        ("guest", "cwd"),
        [*((guest, "/") for guest in _RUNS), (_RUNS[1], "/work")],
        ids=["args", "exit", "trap", "streams", "working directory"],
    )
    def test_guest_runs_in_a_jailed_worker(self, run: Runner, guest: tuple[str, ...], cwd: str) -> None:
        """A guest runs in the jail as elsewhere; an engine that starts processes or keeps threads is refused beforehand."""
        if support().problem:
            pytest.skip(f"there is no jail: {support().problem}")
        module = Module.from_bytes(guest_bytes(guest[0]))
        if getattr(run.handler, "starts_processes", False):
            with pytest.raises(UnsupportedWorkload, match="in the jail"):
                isolation.choose(run.handler, module, Stdio.null(), Limits(), Isolation.JAIL)
            return
        expected = run(*guest, cwd=cwd)
        for _ in range(2):  # in a new process, and in a forked one
            try:
                result = run.in_worker(run.bundle(*guest, cwd=cwd), Limits(), isolated=Isolation.JAIL)
            except JailUnavailable as error:
                if Capability.SANDBOXED not in run.handler.capabilities:
                    raise
                pytest.skip(error.message)
            except EngineCrashed as error:
                message = (
                    f"{error}; what a run needs has to be imported at the top of the module or in preload, and an engine "
                    "that starts processes says so by starts_processes"
                )
                raise AssertionError(message) from error
            kept = (result.reason, result.exit_code, result.stdout, result.stderr)
            assert kept == (expected.reason, expected.exit_code, expected.stdout, expected.stderr), (
                f"in the jail the guest gave {ended(result)}, and elsewhere {ended(expected)}"
            )

"""What a process loads until a guest runs: nothing that costs time and isn't used."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import usable
from wasmoci.dispatch import registry
from wasmoci.runtime import init
from wasmoci.runtime.guest_plan import Description
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_LINE = re.compile(r"import time: +\d+ \| +\d+ \| *(\S+)")
_ENGINES = ("wasmtime", "wasm3")  # the SDK of wasmer is another program

SLOW = {
    *("argparse", "asyncio", "attr", "attrs", "copy", "dataclasses", "datetime", "importlib.metadata", "inspect"),
    *("gettext", "hashlib", "locale", "logging", "platform", "shutil", "socket", "stevedore", "subprocess", "tempfile", "typing"),
    *("wasmtime", "zipfile"),
}  # fmt: skip
"""What takes half a millisecond or more."""

OF_ARGPARSE = {"argparse", "gettext", "locale", "shutil", "typing"}
"""What the command line is read with."""

OF_THE_COMMAND = {f"wasmoci.cli.{name}" for name in ("image_options", "options", "output", "parsing")}
"""The modules of the command that all share, and those of `run`, which itself is imported by name, unseen: no other sub-command."""

NOT_FOR_A_GUEST = {
    *("wasmoci.api", "wasmoci.dispatch.explanation", "wasmoci.image.running.image_bundle", "wasmoci.image.storage.image_detection", "wasmoci.native.checks", "wasmoci.native.runtimes", "wasmoci.isolation.worker_process", "wasmoci.worker_pool"),
    *("wasmoci.wasm.instructions", "wasmoci.wasm.instruction_skipping", "wasmoci.wasm.text_format", "wasmoci.wasm.component"),
    *("wasmoci.handlers.contract", "wasmoci.compiled.eviction"),
}  # fmt: skip
"""Parts of ours that are for other guests, for other commands, or for the first run of a module."""

DECIDED_BEFORE = {
    *("json", "wasmoci.oci.json_reader", "wasmoci.oci.bundle", "wasmoci.oci.classification", "wasmoci.cli", "wasmoci.compiled.entries", "wasmoci.dispatch.settings"),
    *("wasmoci.dispatch.dispatcher", "wasmoci.dispatch.registry", "wasmoci.dispatch.selection", "wasmoci.runtime.create"),
}  # fmt: skip
"""What an engine's process in a container needs not: what it is to run was decided by whoever has made the container."""


def loaded(*command: str, env: Mapping[str, str] | None = None) -> set[str]:
    """The modules that a Python loads for a command line, without those that the environment itself imports at each start."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "importtime", *command], check=True, capture_output=True, text=True, env=env
    )
    return set(_LINE.findall(done.stderr))


def calling(statement: str) -> tuple[str, str]:
    """The command line for a statement, with the modules that are found here."""
    return "-c", f"import sys; sys.path[:] = {sys.path!r}; {statement}"


@pytest.mark.parametrize("engine", _ENGINES)
def test_run(engine: str, guest: Callable[..., Path], make_bundle: Callable[..., Path]) -> None:
    """``wasmoci run`` of a module that was run before loads what it uses."""
    usable(engine)
    command = calling(
        f"from wasmoci.cli import main; main(['run', '--isolation=inline', '--engine={engine}', {str(make_bundle(guest('hello')))!r}])"
    )
    loaded(*command)
    found = loaded(*command)
    assert "wasmoci.dispatch.dispatcher" in found
    assert found & (SLOW - OF_ARGPARSE | NOT_FOR_A_GUEST) == set()
    assert {name for name in found if name.startswith("wasmoci.cli.")} == OF_THE_COMMAND


def test_first_run_of_a_program(guest: Callable[..., Path], make_bundle: Callable[..., Path]) -> None:
    """``import wasmoci`` and its first run load what the command loads for the same, and no more of ours."""
    usable("wasmtime")
    command = calling(f"import wasmoci; wasmoci.run({str(make_bundle(guest('hello')))!r}, engine='wasmtime')")
    loaded(*command)
    found = loaded(*command)
    assert "wasmoci.dispatch.dispatcher" in found
    assert found & (SLOW | NOT_FOR_A_GUEST - {"wasmoci.api"}) == set()


def test_version() -> None:
    """``wasmoci --version`` loads next to nothing."""
    found = loaded(*calling("from wasmoci.cli import main; main(['--version'])"))
    assert "wasmoci.cli" in found
    assert found & (SLOW | DECIDED_BEFORE - {"wasmoci.cli"} | {"re", "pathlib", "wasmoci.oci.spec"}) == set()


def test_runtime_creates() -> None:
    """``wasmoci-runtime create`` of a Wasm container loads no engine to decide, nor what only a failure or ``exec`` needs."""
    found = loaded(*calling("import wasmoci.runtime.create"))
    assert "wasmoci.dispatch.dispatcher" in found
    assert (
        found & (SLOW | NOT_FOR_A_GUEST | {"wasmoci.runtime.guest", "wasmoci.runtime.exec_", "wasmoci.wasi.syscalls"})
        == set()
    )


@pytest.mark.parametrize("engine", _ENGINES)
def test_guest(engine: str, guest: Callable[..., Path], make_bundle: Callable[..., Path]) -> None:
    """An engine's process in a container loads its handler and what runs a guest, and no decision."""
    usable(engine)
    bundle, handler = make_bundle(guest("hello")), registry.default().load(engine)
    program: Any = Module.read(bundle / "rootfs" / "app.wasm")
    file = handler.precompile(program)  # type: ignore[attr-defined]
    what = Description(
        handler=registry.default().reference(engine),
        rootfs=str(bundle / "rootfs"),
        cwd="/",
        compiled=(program.digest, str(file)),
    )
    variables = dict(variable.split("=", 1) for variable in what.variables(sys.path))
    found = loaded(init.__file__, "/app.wasm", env=variables)
    assert "wasmoci.handlers.base" in found
    assert found & (SLOW | NOT_FOR_A_GUEST | DECIDED_BEFORE) == set()

"""Tests modules that can't be run, components, and ``validate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wasmoci.errors import InvalidModule, UnsupportedModule, WasmociError
from wasmoci.handlers.capabilities import Capability
from wasmoci.result import ExitReason
from wasmoci.stdio import Stdio, Stream
from wasmoci.testing.conformance.base import GUESTS, Conformance, Runner, ended, guest_bytes
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.handlers.contract import EngineHandler

FEATURES = sorted(path.stem for path in GUESTS.glob("needs_*.wasm"))
_UNDEFINED = b"\0asm\1\0\0\0" + bytes.fromhex(
    "010401600000 03020100 070a01065f73746172740000 0a0501030027 0b".replace(" ", "")
)


class Contract(Conformance):
    """The handler meets the requirements of the registry."""

    def test_handler_has_name_and_capabilities(self, subject: EngineHandler) -> None:
        """It has a name, and a set of :class:`wasmoci.Capability`."""
        assert isinstance(subject.name, str), f"the name is {subject.name!r}; expected a string"
        assert subject.name, "the name is empty"
        others = [item for item in subject.capabilities if not isinstance(item, Capability)]
        assert not others, f"the capabilities have {others}; expected wasmoci.Capability"
        assert bool(subject), "the handler is false as a truth value, so that plug-in loaders take it for missing"


class BadModules(Conformance):
    """Invalid modules are refused before anything of the guest runs."""

    @pytest.mark.parametrize("what", ["empty", "garbage", "elf", "truncated", "undefined-instruction"])
    def test_damaged_module_is_refused(self, run: Runner, what: str) -> None:
        """A damaged module raises InvalidModule or UnsupportedModule; the process survives."""
        data = {
            "empty": b"",
            "garbage": b"\xff" * 100,
            "elf": b"\x7fELF" + bytes(60),
            "truncated": guest_bytes("args")[:-9],
            "undefined-instruction": _UNDEFINED,
        }[what]
        with pytest.raises((InvalidModule, UnsupportedModule)):
            run(data)

    def test_text_is_run_or_refused(self, run: Runner) -> None:
        """With ``text`` claimed, a text module runs; without, it is refused."""
        data = b'(module (func (export "_start")))'
        if Capability.TEXT in run.handler.capabilities:
            result = run(data)
            assert result.ok, f"text is claimed, and a text module gave {ended(result)}"
        else:
            with pytest.raises((InvalidModule, UnsupportedModule)):
                run(data)

    @pytest.mark.parametrize(
        ("guest", "names"),
        [
            ("foreign", "provides_this"),
            ("foreign_memory", "their_memory"),
            ("foreign_global", "proc_exit"),
            ("unknown_function", "fd_levitate"),
            ("mistyped", "fd_write"),
        ],
    )
    def test_import_that_nobody_provides_is_refused_by_name(
        self, run: Runner, tmp_path: Path, guest: str, names: str
    ) -> None:
        """UnsupportedModule names the import, from ``validate`` and from ``execute``, before the guest runs."""
        with pytest.raises(UnsupportedModule, match=names):
            run.handler.validate(Module.from_bytes(guest_bytes(guest)))
        taken = tmp_path / "taken"
        with pytest.raises(UnsupportedModule, match=names):
            run(guest, stdio=Stdio(stdin=b"", stdout=taken, stderr=Stream.NULL))
        output = taken.read_bytes() if taken.exists() else b""
        assert output == b"", "the module was refused after its guest had begun to run"

    @pytest.mark.parametrize("guest", FEATURES)
    def test_feature_is_run_or_refused(self, run: Runner, guest: str) -> None:
        """A module that ``validate`` accepts runs; a feature that the engine lacks raises UnsupportedModule with its name."""
        feature = guest.removeprefix("needs_").replace("_", "-")
        try:
            run.handler.validate(Module.from_bytes(guest_bytes(guest)))
        except UnsupportedModule as error:
            assert feature in str(error), f"{feature} is refused, and the error doesn't name it: {error}"  # noqa: PT017
            with pytest.raises(UnsupportedModule, match=feature):
                run(guest)
            return
        result = run(guest)
        assert (result.reason, result.exit_code) == (ExitReason.EXITED, 0), f"validated, and then {ended(result)}"

    def test_older_interface_is_provided_or_refused(self, run: Runner) -> None:
        """A module that imports ``wasi_unstable`` runs, or is refused with that name."""
        try:
            run.handler.validate(Module.from_bytes(guest_bytes("older")))
        except UnsupportedModule as error:
            assert "wasi_unstable" in str(error), f"the error doesn't name wasi_unstable: {error}"  # noqa: PT017
            return
        result = run("older")
        assert (result.reason, result.exit_code) == (ExitReason.EXITED, 8), f"validated, and then {ended(result)}"

    def test_validate_accepts_what_runs(self, run: Runner) -> None:
        """``validate`` accepts all plain guests of the kit."""
        for guest in ("args", "cat", "files", "spin", "trap"):
            run.handler.validate(Module.from_bytes(guest_bytes(guest)))

    def test_validate_runs_nothing(self, run: Runner, capfd: pytest.CaptureFixture[str]) -> None:
        """``validate`` runs no start function, no entry function and no host function."""
        run.handler.validate(Module.from_bytes(guest_bytes("start")))
        captured = capfd.readouterr()
        assert captured.out + captured.err == "", f"validate ran the guest: it wrote {captured.out + captured.err!r}"


class Components(Conformance):
    """Components of WASI 0.2 run, with a handler that claims ``wasi-0.2``."""

    @pytest.fixture
    def components(self, subject: EngineHandler, tmp_path: Path) -> Runner:
        """A runner for components of the kit on the handler under test."""
        runner = Runner(subject, tmp_path, self.patience)
        runner.claims(Capability.WASI_02)
        return runner

    def test_unclaimed_components_are_refused(self, subject: EngineHandler) -> None:
        """Without ``wasi-0.2`` claimed, a component raises UnsupportedModule."""
        if Capability.WASI_02 in subject.capabilities:
            pytest.skip(f"{subject.name} claims wasi-0.2")
        with pytest.raises(WasmociError):
            subject.validate(Module.from_bytes(guest_bytes("component")))

    @pytest.mark.parametrize(
        ("function", "reason", "code"),
        [
            (None, ExitReason.EXITED, 0),
            ("fail", ExitReason.EXITED, 1),
            ("exit", ExitReason.EXITED, 7),
            ("trap", ExitReason.TRAPPED, 134),
        ],
    )
    def test_components_run(self, components: Runner, function: str | None, reason: ExitReason, code: int) -> None:
        """``wasi:cli/run`` or a named function is called; an error is exit code 1, an exit its code, a trap a trap."""
        result = components("component", entry=f"/app.wasm#{function}" if function else None)
        assert (result.reason, result.exit_code) == (reason, code), f"a component gave {ended(result)}"

    def test_import_of_a_component_is_refused_by_name(self, components: Runner) -> None:
        """UnsupportedModule names a component's unknown import."""
        with pytest.raises(UnsupportedModule, match="nobody:provides/this"):
            components("foreign_component")

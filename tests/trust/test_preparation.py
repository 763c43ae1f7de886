"""A worker process that validates or compiles a module: whatever comes of it, the caller lives, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from tests.support.leak_check import nothing_left
from tests.support.waiting import ended
from tests.trust.preparation_puppet import Poisoner, Trusted, Untrusted
from wasmoci import compiled
from wasmoci.errors import CompileLimitExceeded, EngineCrashed, InvalidModule, UnsupportedModule
from wasmoci.isolation import preparation
from wasmoci.isolation.compile_bounds import NONE, Bounds
from wasmoci.isolation.preparation_process import perform
from wasmoci.isolation.warm_servers import DEFAULT
from wasmoci.limits import Limits
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable

    from wasmoci.errors import WasmociError

HEADER = b"\0asm\1\0\0\0"
PLENTY = Bounds(time=60.0, memory=1 << 30)
LITTLE = Bounds(time=1.0, memory=64 << 20)


@pytest.fixture(autouse=True, scope="module")
def server() -> None:
    """A server that is there before: this process may have other threads, and is not forked then."""
    for jailed in (False, True):
        DEFAULT.warm_up(jailed=jailed)


def module(name: str, size: int = 0) -> Module:
    """A module of that name, with a section that means nothing."""
    padding = b"\0" + (size + 1).to_bytes(1, "little") + b"\0" + bytes(size) if size else b""
    return Module.from_bytes(HEADER + padding, source=name)


def large(name: str) -> Module:
    """A module that is too large to be compiled in the caller's process."""
    size = preparation.INLINE_SIZE + 1
    length = bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14])
    return Module.from_bytes(HEADER + b"\0" + length + b"\0" + bytes(size - 1), source=name)


def validate(name: str, bounds: Bounds = PLENTY, *, jailed: bool = True) -> None:
    """Have a worker validate a module."""
    with nothing_left():
        assert perform("validate", Untrusted(), module(name), Limits(), bounds, jailed=jailed) == []


@pytest.mark.parametrize("jailed", [False, True])
@pytest.mark.parametrize("name", ["accepts", "prints"])
def test_good(name: str, *, jailed: bool) -> None:
    """A module that is accepted is accepted."""
    validate(name, jailed=jailed)


BAD = [
    ("refuses", UnsupportedModule, "app.wasm: needs simd", {"hint": "take another engine"}),
    ("finds_damage", InvalidModule, "app.wasm: byte 0x11: truncated", {"offset": 17}),
    ("fails", EngineCrashed, "the handler of untrusted failed over fails: ZeroDivisionError: one too many", {}),
    (
        "segfaults",
        EngineCrashed,
        "segfaults: the engine untrusted crashed on the module with SIGSEGV",
        {"signal": signal.SIGSEGV},
    ),
    (
        f"dies {int(signal.SIGKILL)}",
        EngineCrashed,
        "dies 9: the engine untrusted was ended while it compiled the module, by SIGKILL",
        {"signal": signal.SIGKILL},
    ),
    ("leaves 0", EngineCrashed, "leaves 0: untrusted ended with status 0 while it compiled the module", {}),
]


@pytest.mark.parametrize("jailed", [False, True])
@pytest.mark.parametrize(("name", "kind", "message", "more"), BAD, ids=[name for name, *_ in BAD])
def test_bad(name: str, kind: type[WasmociError], message: str, more: dict[str, object], *, jailed: bool) -> None:
    """A refusal comes out as it is; a crash names the engine, the module and the signal."""
    with pytest.raises(kind) as caught:
        validate(name, jailed=jailed)
    assert (type(caught.value), caught.value.message) == (kind, message)
    assert {key: getattr(caught.value, key) for key in more} == more


def test_time(tmp_path: Path) -> None:
    """What computes for ever is killed at its limit, with its threads and whatever signals it ignores."""
    file = tmp_path / "pid"
    with pytest.raises(CompileLimitExceeded, match="untrusted has not compiled it within 1 s") as caught:
        validate(f"hangs {file}", LITTLE, jailed=False)
    assert (caught.value.limit, caught.value.exit_status) == ("time", 126)
    assert "WASMOCI_COMPILE_TIMEOUT" in str(caught.value.hint)
    assert ended(int(file.read_text(encoding="ascii")))
    with pytest.raises(CompileLimitExceeded, match="untrusted has not compiled it within 1 s"):
        validate("spins", LITTLE)


def test_memory() -> None:
    """What takes memory without end is refused it, and says so."""
    with pytest.raises(CompileLimitExceeded, match=f"was refused memory by the limit of {64 << 20} bytes") as caught:
        validate("allocates", attrs.evolve(LITTLE, time=60.0))
    assert caught.value.limit == "memory"


def test_files(tmp_path: Path) -> None:
    """Nor does it fill a disk."""
    file = tmp_path / "large"
    with pytest.raises(EngineCrashed):
        validate(f"leaves_file {file}", attrs.evolve(LITTLE, time=60.0), jailed=False)
    with pytest.raises(EngineCrashed):
        validate(f"leaves_file {tmp_path / 'jailed'}", attrs.evolve(LITTLE, time=60.0))
    assert [path.name for path in tmp_path.iterdir()] == ["large"]
    assert file.stat().st_size <= LITTLE.memory  # type: ignore[operator]


@pytest.mark.parametrize("jailed", [False, True])
def test_surroundings(monkeypatch: pytest.MonkeyPatch, *, jailed: bool) -> None:
    """A jailed worker has nothing of its caller's environment; its caller keeps its own."""
    monkeypatch.setenv("SECRET", "of the caller's")
    with pytest.raises(UnsupportedModule) as caught:
        validate("tells", jailed=jailed)
    told = json.loads(caught.value.message)
    assert told["environment"].get("SECRET") == (None if jailed else "of the caller's")
    assert not jailed or set(told["environment"]) <= {"RAYON_NUM_THREADS"}
    assert told["pid"] != os.getpid()


@pytest.mark.parametrize("jailed", [False, True])
def test_made(*, jailed: bool) -> None:
    """What an engine makes of a module comes back."""
    program = module("prints")
    with nothing_left():
        made = perform("precompile", Untrusted(), program, Limits(memory=5), PLENTY, jailed=jailed)
    assert made == [(compiled.Key(program.digest, "untrusted", "1", ""), b"5")]


@pytest.mark.parametrize(("digest", "engine"), [("0" * 64, "poisoner"), ("", "wasmtime")])
def test_poison(digest: str, engine: str) -> None:
    """An engine that was taken over gets nothing kept of another module, nor for another engine."""
    other = digest or module("x").digest
    with pytest.raises(EngineCrashed, match="an answer that makes no sense"):
        perform("precompile", Poisoner(), module(f"{other} {engine}"), Limits(), PLENTY, jailed=True)


WHERE = [
    (Trusted, module, PLENTY, True),
    (Trusted, large, PLENTY, False),
    (Trusted, large, NONE, True),
    (Untrusted, module, PLENTY, False),
    (Untrusted, module, NONE, False),
]


@pytest.mark.parametrize(("kind", "make", "bounds", "here"), WHERE)
def test_where(kind: type[Untrusted], make: Callable[[str], Module], bounds: Bounds, *, here: bool) -> None:
    """An engine that is a sandbox validates a small module here; any other, and a large one, in a worker."""
    with pytest.raises(UnsupportedModule) as caught:
        preparation.validate(kind(), make("tells"), bounds)
    assert (json.loads(caught.value.message)["pid"] == os.getpid()) is here


def test_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was validated once in a process isn't again."""
    handler, program = Untrusted(), module("accepts")
    preparation.validate(handler, program, PLENTY)
    monkeypatch.setattr(preparation, "_perform", lambda *_: pytest.fail("it is asked again"))
    preparation.validate(handler, program, PLENTY)


@pytest.mark.parametrize("cache", ["off", "on"])
def test_kept(cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker has compiled is this process's: by the cache, or in memory where there is none."""
    monkeypatch.setenv("WASMOCI_CACHE", cache if cache == "off" else str(tmp_path / "cache"))
    program = large("accepts")
    preparation.prepare(Trusted(), program, Limits(memory=7), PLENTY)
    key = compiled.Key(program.digest, "trusted", "1", "")
    assert compiled.known([key])

    def make() -> bytes:
        raise AssertionError("it was made already")

    assert compiled.fetch(key, make=make, dump=bytes, load=lambda path: Path(path).read_bytes()) == b"7"
    left = [file.name for file in tmp_path.rglob("*") if file.suffix in (".lock", ".part")]
    assert left == []

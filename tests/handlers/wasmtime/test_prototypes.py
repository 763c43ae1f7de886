"""The part of wasmtime's C interface that we declare is the one that the installed package declares, or the engine is missing."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.requirements import require
from wasmoci.handlers._wasmtime import bindings, prototypes
from wasmoci.handlers._wasmtime.location import NEWEST, OLDEST

if TYPE_CHECKING:
    from collections.abc import Callable

NEWER = NEWEST + 1
REQUIRED = "these tests need wasmtime: pip install wasmtime"


@pytest.fixture(scope="module")
def package() -> Path:
    """The directory of the package wasmtime."""
    spec = importlib.util.find_spec("wasmtime")
    require(spec, REQUIRED)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@pytest.fixture(scope="module")
def theirs(package: Path) -> Any:
    """The package's bindings."""
    return bindings.load(package)


def test_installed_version(theirs: Any) -> None:
    """All that we declare is the same in the package that is installed."""
    assert bindings.differences(theirs) == []


def test_library(theirs: Any) -> None:
    """The library is the one that wasmtime-py opens."""
    from wasmoci.handlers._wasmtime.location import library_file  # noqa: PLC0415

    assert os.fspath(library_file()) == os.fspath(theirs.filename)


def test_loaded_apart(package: Path) -> None:
    """The bindings are loaded without the rest of the package, and nothing of them stays in the way of its import."""
    before = set(sys.modules)
    loaded = bindings.load(package)
    assert loaded.dll.wasm_config_new
    assert not {name for name in set(sys.modules) - before if "wasmtime" in name}


def _changed(theirs: Any, **changes: Any) -> Any:
    return SimpleNamespace(**{**vars(theirs), **changes})


def _library(theirs: Any, **changes: Any) -> Any:
    functions = {name: getattr(theirs.dll, name) for name in prototypes.PROTOTYPES}
    return SimpleNamespace(**{name: kind for name, kind in {**functions, **changes}.items() if kind is not None})


class _Larger(ctypes.Structure):
    _fields_ = (("one", ctypes.c_uint64 * 7),)


class _Smaller(ctypes.Structure):
    _fields_ = (("one", ctypes.c_uint64 * 3),)


class _Swapped(ctypes.Structure):
    _fields_ = (("private", ctypes.c_uint32), ("store_id", ctypes.c_uint64))


class _OtherUnion(ctypes.Union):
    _fields_ = (("func", ctypes.c_uint64), ("memory", ctypes.c_uint64 * 3))


CHANGES = {
    "a result": (
        {"dll": {"wasmtime_memory_data_size": SimpleNamespace(restype=None, argtypes=[ctypes.c_void_p])}},
        "wasmtime_memory_data_size is (c_void_p) -> None, not (wasmtime_context_t*, wasmtime_memory_t*) -> ",
    ),
    "a parameter": (
        {"dll": {"wasi_config_new": SimpleNamespace(restype=ctypes.c_void_p, argtypes=[ctypes.c_bool])}},
        "wasi_config_new is (c_bool) -> c_void_p, not () -> wasi_config_t*",
    ),
    "no function": ({"dll": {"wasm_engine_delete": None}}, "wasm_engine_delete is missing"),
    "no declaration": (
        {"dll": {"wasm_engine_delete": SimpleNamespace(restype=None, argtypes=None)}},
        "wasm_engine_delete is missing",
    ),
    "a larger structure": (
        {"wasmtime_func": _Larger, "wasmtime_func_t": _Larger},
        "wasmtime_func_t has 56 bytes, not 16",
    ),
    "a larger one that is passed on": (
        {"wasmtime_component_func": _Larger, "wasmtime_component_func_t": _Larger},
        "wasmtime_component_func_t has 56 bytes, more than 32",
    ),
    "other places": (
        {"wasmtime_component_instance": _Swapped, "wasmtime_component_instance_t": _Swapped},
        "wasmtime_component_instance_t has other members",
    ),
    "a union": (
        {"wasmtime_extern_union": _OtherUnion, "wasmtime_extern_union_t": _OtherUnion},
        "wasmtime_extern_union_t has ",
    ),
    "no structure": (
        {"wasmtime_instance": None, "wasmtime_instance_t": None},
        "wasmtime_instance_t is missing",
    ),
    "a call-back": (
        {"wasmtime_memory_grow_callback_t": ctypes.CFUNCTYPE(None)},
        "wasmtime_memory_grow_callback_t is () -> None, not (a pointer, ",
    ),
    "no call-back": ({"wasmtime_memory_grow_callback_t": None}, "wasmtime_memory_grow_callback_t is missing"),
    "a number": (
        {"WASMTIME_COMPONENT_RESULT": ctypes.c_uint8(20)},
        "WASMTIME_COMPONENT_RESULT is 20, not 19",
    ),
}


@pytest.mark.parametrize(("changes", "expected"), CHANGES.values(), ids=CHANGES)
def test_difference(theirs: Any, changes: dict[str, Any], expected: str) -> None:
    """Whatever differs is named."""
    changes = {name: _library(theirs, **change) if name == "dll" else change for name, change in changes.items()}
    [found] = bindings.differences(_changed(theirs, **changes))
    assert found.startswith(expected)


def test_smaller_structure_that_is_passed_on(theirs: Any) -> None:
    """Of a structure that only the library reads there may be less than we have room for."""
    changes = {"wasmtime_component_func": _Smaller, "wasmtime_component_func_t": _Smaller}
    assert bindings.differences(_changed(theirs, **changes)) == []


COMPONENT = b'(component (core module $m (func (export "f"))) (core instance $i (instantiate $m)) (func $f (canon lift (core func $i "f"))) (export "f" (func $f)))'


@pytest.mark.parametrize(
    ("program", "options"),
    [
        ("hello", {}),
        ("trap", {}),
        ("loop", {"limits": "time=0.02"}),
        ("files", {"limits": "memory=1 << 24, fuel=1 << 30"}),
        (COMPONENT, {"entry": "/app.wasm#f"}),
    ],
    ids=["hello", "trap", "loop", "files", "component"],
)
def test_package_is_not_imported(
    make_bundle: Callable[..., Path], guest: Callable[..., Path], program: str | bytes, options: dict[str, str]
) -> None:
    """Nothing that a guest does takes the package ``wasmtime``, whose import is longer than most runs."""
    require(importlib.util.find_spec("wasmtime"), REQUIRED)
    limits = options.pop("limits", "")
    bundle = make_bundle(guest(program) if isinstance(program, str) else program, **options)
    code = (
        "import sys; from wasmoci import *; from wasmoci.handlers.wasmtime import WasmtimeHandler as Handler;"
        f" bundle = Bundle.load(sys.argv[1]); limits = Limits({limits});"
        " result = Handler().execute(bundle.spec, bundle.rootfs, stdio=Stdio.capture(), limits=limits);"
        " print(result.reason.value, *(name for name in sys.modules if name.split('.')[0] == 'wasmtime'))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(bundle)], capture_output=True, check=True, text=True)
    assert done.stdout.split() in (["exited"], ["trapped"], ["timed-out"])


@pytest.mark.parametrize(
    ("version", "file", "reason"),
    [
        (
            f"{OLDEST - 1}.0.1",
            "_libwasmtime.so",
            f"wasmtime {OLDEST - 1}.0.1 is installed; {OLDEST} or later is needed",
        ),
        ("dev", "_libwasmtime.so", f"wasmtime dev is installed; {OLDEST} or later is needed"),
        (f"{NEWEST}.0.0", "_other.so", "the package wasmtime has no library for linux-"),
        (
            f"{NEWER}.0.0",
            "_libwasmtime.so",
            f"wasmtime {NEWER}.0.0 is installed; its bindings can't be loaded: No module named",
        ),
    ],
)
def test_another_package(tmp_path: Path, version: str, file: str, reason: str) -> None:
    """A package that is too old, without a library or without bindings makes the engine unavailable."""
    directory = tmp_path / "wasmtime" / f"linux-{os.uname().machine}"
    directory.mkdir(parents=True)
    (tmp_path / "wasmtime/__init__.py").touch()
    (directory / file).touch()
    (tmp_path / f"wasmtime-{version}.dist-info").mkdir()
    assert reason in _reason(tmp_path)


def _reason(place: Path) -> str:
    """Why wasmtime can't be used that is first on the path, asked in a process of its own; empty when it can."""
    code = (
        f"import sys; sys.path.insert(0, {str(place)!r}); import wasmoci;"
        " [status] = [status for status in wasmoci.engines() if status.name == 'wasmtime'];"
        " print('' if status.available else f'{status.reason} ({status.hint})')"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.strip()


@pytest.fixture
def newer(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the installed package with the number of a major version that nobody has tested, and an empty compile cache."""
    monkeypatch.setenv("WASMOCI_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "newer"
    shutil.copytree(
        package, place / "wasmtime", ignore=lambda _, names: [name for name in names if name.endswith(".so")]
    )
    for library in package.glob("*/*.so"):
        (place / "wasmtime" / library.parent.name).mkdir(exist_ok=True)
        (place / "wasmtime" / library.parent.name / library.name).symlink_to(library)
    (place / f"wasmtime-{NEWER}.0.0.dist-info").mkdir()
    return place


def _edit(newer: Path, old: str, new: str) -> None:
    file = newer / "wasmtime/_bindings.py"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_newer_version(newer: Path) -> None:
    """A newer version with the same interface is used; it is compared once, and not at each start."""
    assert not _reason(newer)
    _edit(newer, "import ctypes", "raise RuntimeError('loaded again')")
    assert not _reason(newer)


def test_newer_version_without_a_cache(newer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no answer can be kept, a newer version is compared each time."""
    monkeypatch.setenv("WASMOCI_CACHE", "off")
    assert not _reason(newer)
    _edit(newer, "import ctypes", "raise RuntimeError('loaded again')")
    assert "can't be loaded: loaded again" in _reason(newer)


@pytest.mark.parametrize("again", [False, True])
def test_newer_version_that_differs(newer: Path, *, again: bool) -> None:
    """A newer version with another interface makes the engine unavailable, and the message names what differs."""
    _edit(newer, "_wasm_config_new.argtypes = []", "_wasm_config_new.argtypes = [ctypes.c_bool]")
    reason = _reason(newer)
    if again:
        reason = _reason(newer)
    assert f"wasmtime {NEWER}.0.0 is installed; its C interface differs from that of {OLDEST} to {NEWEST}" in reason
    assert "wasm_config_new is (c_bool) -> wasm_config_t*, not () -> wasm_config_t*" in reason
    assert reason.endswith(f"(pip install 'wasmtime<{NEWER}', or a newer wasmoci)")


def test_newer_version_with_provided_code(newer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is provided with compiled code compares nothing: whoever has compiled it has."""
    monkeypatch.setenv("WASMOCI_CACHE", "off")
    _edit(newer, "import ctypes", "raise RuntimeError('loaded')")
    code = (
        f"import sys; sys.path.insert(0, {str(newer)!r}); from wasmoci import compiled; compiled.provide('digest', '/code');"
        " from wasmoci.handlers.wasmtime import WasmtimeHandler; print(WasmtimeHandler().engine_version)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.startswith("wasmtime")


def test_versions() -> None:
    """The extra asks for the oldest version that is tested, and a session tests those before the newest."""
    project = Path(__file__).parents[3]
    assert f'wasmtime = ["wasmtime>={OLDEST}"]' in (project / "pyproject.toml").read_text(encoding="utf-8")
    majors = ", ".join(str(number) for number in range(OLDEST, NEWEST))
    assert f"WASMTIMES = ({majors})" in (project / "noxfile.py").read_text(encoding="utf-8")

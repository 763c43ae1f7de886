"""The part of wasmtime's C interface that we declare is the one that wasmtime-py declares."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.requirements import require
from wasmoci.handlers._wasmtime import prototypes
from wasmoci.handlers._wasmtime.prototypes import PROTOTYPES

if TYPE_CHECKING:
    from collections.abc import Callable

STRUCTURES = [
    name
    for name, kind in vars(prototypes).items()
    if isinstance(kind, type) and issubclass(kind, (ctypes.Structure, ctypes.Union)) and name.endswith("_t")
]
UNNAMED = {"wasmtime_place_t": ["wasmtime_memory_anon_0", "wasmtime_component_func_anon_0"]}
CALLBACKS = [
    "wasmtime_func_unchecked_callback_t",
    "wasmtime_memory_get_callback_t",
    "wasmtime_memory_grow_callback_t",
    "wasmtime_new_memory_callback_t",
]
INTEGERS = {"c_long": "c_int64", "c_ulong": "c_uint64"}


@pytest.fixture(scope="module")
def theirs() -> Any:
    """wasmtime-py's bindings."""
    require(importlib.util.find_spec("wasmtime"), "these tests need wasmtime: pip install wasmtime")
    from wasmtime import _ffi  # noqa: PLC0415  an engine, which may be missing

    return _ffi


def is_pointer(kind: Any) -> bool:
    """Whether this is a pointer to something declared."""
    return issubclass(kind, ctypes._Pointer)


def told(kind: Any) -> Any:
    """A parameter's or a result's type in words, as ours has it for a pointer."""
    if kind is None or isinstance(kind, str):
        return kind
    if issubclass(kind, ctypes._CFuncPtr):
        return signature(kind)
    if is_pointer(kind):
        return f"{told(kind._type_)}*"
    name = kind.__name__
    if issubclass(kind, (ctypes.Structure, ctypes.Union)):
        return name if name.endswith("_t") else f"{name}_t"
    return INTEGERS.get(name, name)


def signature(kind: Any) -> Any:
    """A call-back's type: its numbers by name, and all pointers alike, which ours takes as integers."""
    pointers = (ctypes.c_void_p,)
    return tuple(
        "a pointer" if item is not None and (is_pointer(item) or issubclass(item, pointers)) else told(item)
        for item in (kind._restype_, *kind._argtypes_)
    )


def layout(kind: Any) -> list[tuple[int, int]]:
    """Where a structure's members are, and their sizes."""
    return [(getattr(kind, name).offset, getattr(kind, name).size) for name, _ in kind._fields_]


@pytest.mark.parametrize("name", PROTOTYPES)
def test_function(theirs: Any, name: str) -> None:
    """A function gives and takes the same."""
    function = getattr(theirs.dll, name)
    assert list(map(told, PROTOTYPES[name])) == list(map(told, (function.restype, *function.argtypes)))


@pytest.mark.parametrize("name", STRUCTURES)
def test_structure(theirs: Any, name: str) -> None:
    """A structure has its members in the same places; of a union we declare those that we use."""
    ours = getattr(prototypes, name)
    for other in UNNAMED.get(name, [name]):
        their = getattr(theirs, other, None) or getattr(theirs, other.removesuffix("_t"))
        assert (ctypes.sizeof(ours), ctypes.alignment(ours)) == (ctypes.sizeof(their), ctypes.alignment(their))
        if issubclass(ours, ctypes.Union):
            members = {member: told(kind) for member, kind in their._fields_}
            assert {m: told(k) for m, k in ours._fields_ if m != "space"}.items() <= members.items()
        else:
            assert layout(ours) == layout(their)


@pytest.mark.parametrize("name", CALLBACKS)
def test_callback(theirs: Any, name: str) -> None:
    """A call-back is called with the same; those without a name are compared with the functions that take them."""
    assert signature(getattr(prototypes, name)) == signature(getattr(theirs, name))


def test_numbers(theirs: Any) -> None:
    """Kinds have the same numbers."""
    assert {"i32": theirs.WASM_I32.value, "i64": theirs.WASM_I64.value} == prototypes.WASM_TYPES
    assert theirs.WASMTIME_EXTERN_MEMORY.value == prototypes.WASMTIME_EXTERN_MEMORY
    assert theirs.WASMTIME_COMPONENT_RESULT.value == prototypes.WASMTIME_COMPONENT_RESULT


def test_library(theirs: Any) -> None:
    """The library is the one that wasmtime-py opens."""
    from wasmoci.handlers._wasmtime.location import library_file  # noqa: PLC0415

    assert library_file() == theirs.filename


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
    require(importlib.util.find_spec("wasmtime"), "these tests need wasmtime: pip install wasmtime")
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
        ("49.0.1", "_libwasmtime.so", "wasmtime 49.0.1 is installed; 50.x is needed"),
        ("50.0.0", "_other.so", "the package wasmtime has no library for linux-"),
    ],
)
def test_another_package(tmp_path: Path, version: str, file: str, reason: str) -> None:
    """A package with other functions, or without a library, makes the engine unavailable, and isn't loaded."""
    directory = tmp_path / "wasmtime" / f"linux-{os.uname().machine}"
    directory.mkdir(parents=True)
    (tmp_path / "wasmtime/__init__.py").touch()
    (directory / file).touch()
    (tmp_path / f"wasmtime-{version}.dist-info").mkdir()
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import wasmoci;"
        " print(*(status.reason for status in wasmoci.engines() if status.name == 'wasmtime'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert reason in done.stdout


def test_pinned_version() -> None:
    """The extra asks for the major version that is known here."""
    from wasmoci.handlers._wasmtime.location import MAJOR  # noqa: PLC0415

    text = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"wasmtime>={MAJOR},<{int(MAJOR) + 1}"' in text

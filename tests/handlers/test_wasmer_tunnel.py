"""The rewriting that lets a guest reach its host through a pipe."""

from __future__ import annotations

import importlib.util
import io
import struct
from typing import TYPE_CHECKING

import pytest

from tests.support.guests import assembled
from tests.support.requirements import require
from wasmoci.errors import UnsupportedModule
from wasmoci.handlers._wasmer.messages import GATHERED, HEADER, NUMBERS, SCRATCH
from wasmoci.handlers._wasmer.regions import ACCESS, Mirror
from wasmoci.handlers._wasmer.tunnel import tunnel
from wasmoci.handlers._wasmer.tunnel_service import Service
from wasmoci.oci.entrypoint import Entrypoint
from wasmoci.wasi import FUNCTIONS, Preopen, Wasi
from wasmoci.wasm.module import Module
from wasmoci.wasm.rewrite import limit_memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GUESTS = ("allocate", "cat", "files", "functions", "hello", "minimal", "show", "simd", "trap")


def check(data: bytes) -> Module:
    """Read a module, after an engine found it valid."""
    require(importlib.util.find_spec("wasmtime"), "modules are validated by wasmtime: pip install wasmtime")
    import wasmtime  # noqa: PLC0415  an engine, which may be missing

    wasmtime.Module.validate(wasmtime.Engine(), data)
    return Module.from_bytes(data)


@pytest.mark.parametrize("limit", [None, 400])
@pytest.mark.parametrize("toolchain", ["clang", "ziglang"])
@pytest.mark.parametrize("name", GUESTS)
def test_the_result_is_valid_and_asks_for_two_functions(
    guest: Callable[..., Path], name: str, toolchain: str, limit: int | None
) -> None:
    """Whatever the module imported, with its memory limited or not."""
    data = guest(name, toolchain).read_bytes()
    limited = data if limit is None else limit_memory(data, limit)
    module = check(tunnel(limited, ("_start",), original=data, source=name))

    assert {item.name for item in module.imports} == {"fd_read", "fd_write"}
    assert {item.name for item in module.exports} == {"memory", "_start"}


def test_every_function_can_be_imported() -> None:
    """Each gets a stand-in of its own type."""
    imports = "".join(
        f'(import "wasi_snapshot_preview1" "{name}" (func (param {" ".join(signature.params)})'
        f" (result {' '.join(signature.results)})))"
        for name, signature in FUNCTIONS.items()
    )
    data = assembled(f'(module {imports} (memory (export "memory") 1) (func (export "_start")))')

    check(tunnel(data, ("_start",), original=data, source="all"))


def test_functions_are_renumbered_everywhere() -> None:
    """With a single import, all functions of the module move: in code, elements, globals, exports and as the start."""
    text = """(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1) (table 4 funcref) (type $t (func (result i32)))
        (elem (i32.const 0) $exit $one) (elem funcref (ref.func $one)) (elem declare func $one)
        (elem (table 0) (offset (i32.const 2)) funcref (ref.func $exit))
        (global $g funcref (ref.func $one))
        (func $one (type $t) (i32.const 1)) (func $s (drop (call $one)) (drop (ref.func $one))) (start $s)
        (func (export "_start") (call $exit (call_indirect (type $t) (i32.const 1)))))"""
    data = assembled(text)
    module = check(tunnel(data, ("_start",), original=data, source="one"))

    assert not module.start


def test_a_module_without_a_page_of_memory_is_refused() -> None:
    """There is no place for its messages."""
    data = assembled(
        '(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))) (memory 0) (func (export "_start")))'
    )
    with pytest.raises(UnsupportedModule, match="without a page of memory"):
        tunnel(data, ("_start",), original=data, source="none")


@pytest.mark.parametrize("name", ACCESS)
def test_what_a_function_accesses_fits_its_type(name: str) -> None:
    """Addresses, numbers and the places of results are parameters of 32 bits that it has."""
    params = FUNCTIONS[name].params
    access = ACCESS[name]
    numbers = [
        getattr(item, field)
        for item in (*access.reads, *access.writes)
        for field in ("address", "number", "used", "pointers", "strings")
        if getattr(item, field, None) is not None
    ]

    assert {params[number] for number in numbers} == {"i32"}


def test_functions_without_access_have_no_pointers() -> None:
    """The others take descriptors, flags, sizes and times alone."""
    without = set(FUNCTIONS) - set(ACCESS)

    assert without == {
        "fd_advise", "fd_allocate", "fd_close", "fd_datasync", "fd_fdstat_set_flags", "fd_fdstat_set_rights",
        "fd_filestat_set_size", "fd_filestat_set_times", "fd_renumber", "fd_sync", "proc_exit", "proc_raise", "sched_yield",
        "sock_shutdown",
    }  # fmt: skip


def mirror() -> Mirror:
    """A memory of a page, with two vectors at 200: 4 bytes at 1000 and 6 at 2000."""
    made = Mirror(arguments=[4, 2], variables=[9])
    made.resize(1)
    made.view()[200:216] = struct.pack("<IIII", 1000, 4, 2000, 6)
    return made


def test_vectors_are_followed() -> None:
    """First the array is fetched, then what it leads to."""
    memory = mirror()

    assert memory.read("fd_write", (1, 200, 2, 300)) == [(200, 16)]
    assert memory.read_next("fd_write", (1, 200, 2, 300)) == [(1000, 4), (2000, 6)]


@pytest.mark.parametrize(
    ("count", "expected"), [(0, []), (3, [(1000, 3)]), (4, [(1000, 4)]), (7, [(1000, 4), (2000, 3)])]
)
def test_no_more_is_sent_back_than_was_read(count: int, expected: list[tuple[int, int]]) -> None:
    """Buffers are the guest's own behind what a read has filled."""
    memory = mirror()
    memory.view()[300:304] = struct.pack("<I", count)

    assert memory.written("fd_read", (0, 200, 2, 300)) == [*expected, (300, 4)]


def test_arguments_are_sent_back_with_their_pointers() -> None:
    """Four bytes for each pointer, and all strings."""
    assert mirror().written("args_get", (400, 500)) == [(400, 8), (500, 6)]
    assert mirror().written("environ_get", (400, 500)) == [(400, 4), (500, 9)]


@pytest.mark.parametrize(("address", "size"), [(65536, 4), (65533, 4), (-1, 1), (0, -1)])
def test_what_is_out_of_bounds_is_left_to_the_function(address: int, size: int) -> None:
    """It refuses the pointer by itself."""
    assert mirror().read("path_unlink_file", (3, address, size)) == []


@pytest.mark.parametrize(
    ("written", "rest", "vectors"),
    [
        (0, 10, (1000, 4, 2000, 6)),
        (3, 7, (1003, 1, 2000, 6)),
        (5, 5, (1004, 0, 2001, 5)),
        (10, 0, (1004, 0, 2006, 0)),
    ],
)
def test_what_was_written_is_cut_off(written: int, rest: int, vectors: tuple[int, ...]) -> None:
    """A write that took a part is continued behind it."""
    memory = mirror()
    memory.view()[300:304] = struct.pack("<I", written)

    assert memory.advance(200, 2, 300) is (rest == 0)
    assert struct.unpack("<IIII", memory.view()[200:216]) == vectors


class Recording:
    """A pipe that brings what is given, and keeps what is written."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        self.read = self._data.read
        self.written = b""

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.written += data


@pytest.mark.parametrize("length", range(5))
def test_a_call_that_is_cut_off_is_not_served(tmp_path: Path, length: int) -> None:
    """A guest that ends while it sends a path, as by the end of its stack, does nothing to the path that it sent before."""
    (tmp_path / "file").touch()
    arguments = struct.pack("<QQQ", 3, 200, 4)
    calls = [
        bytes(SCRATCH - 16) + HEADER.pack(bytes(16), NUMBERS[name] | 1 << 8 | GATHERED, 0, arguments)
        for name in ("path_create_directory", "path_unlink_file")
    ]
    entrypoint = Entrypoint(program="/app.wasm", function=None, argv=("/app.wasm",), env=(), cwd="/")
    pipe = Recording(calls[0] + b"file" + calls[1] + b"file"[:length])
    with Wasi(preopens=[Preopen(tmp_path, "/")]) as wasi:
        Service(entrypoint, wasi, pipe).run()

    assert (tmp_path / "file").exists() is (length < 4)

"""What a Wasm file is, told from its bytes."""

from __future__ import annotations

import gzip
import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from tests.wasm.assemble import COMPONENT_PREAMBLE, PREAMBLE, custom, function, leb, module, name, section, vector
from tests.wasm.engines import assembled
from wasmoci.errors import InvalidModule
from wasmoci.wasm.module import (
    Export,
    Feature,
    FuncType,
    GlobalType,
    Import,
    MemoryType,
    Module,
    ModuleKind,
    Range,
    TableType,
    TagType,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PREAMBLE, ModuleKind.CORE),
        (COMPONENT_PREAMBLE, ModuleKind.COMPONENT),
        (b"(module)", ModuleKind.TEXT),
        (b"(component)", ModuleKind.TEXT),
        (b"(func)", ModuleKind.TEXT),
        (b"( module $name)", ModuleKind.TEXT),
        (b" \t\r\n;; a comment\n(; (; nested ;) ;)\n(module)", ModuleKind.TEXT),
        (b";; a comment\n;; another\n\n(memory 1)", ModuleKind.TEXT),
    ],
)
def test_kinds(data: bytes, kind: ModuleKind) -> None:
    """A file is a core module, a component, or text, by its content."""
    assert Module.from_bytes(data).kind is kind


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "the file is empty"),
        (b"\0as", "ends after 3 bytes, inside the preamble"),
        (b"\0asm\x01\0", "ends after 6 bytes, inside the preamble"),
        (b"\0asm\x02\0\0\0", "a core module of version 0x2"),
        (b"\0asm\x01\0\x01\0", "a component of version 0x1"),
        (b"\0asm\x0d\0\0\0", "a core module of version 0xd"),
        (b"\0asm\x01\0\x02\0", "version 0x1 of an unknown layer 0x2"),
        (b"\x7fELF\x02\x01\x01", "this is an ELF program, not WebAssembly"),
        (b"#!/bin/sh\n", "this is a script, not WebAssembly"),
        (gzip.compress(PREAMBLE, mtime=0), "this is compressed by gzip, not WebAssembly"),
        (b"\n<!DOCTYPE html><html>", "this is an HTML or XML page, not WebAssembly"),
        (b"PK\x03\x04", "this is a zip archive, not WebAssembly"),
        (b"a/b".ljust(257, b"\0") + b"ustar", "this is a tar archive, not WebAssembly"),
        (b"hello", "a file that begins with the bytes 68 65 6c 6c"),
        (b"(define x 1)", "a file that begins with the bytes 28 64 65 66"),
        (b"(modules)", "a file that begins with"),
        (b"(; a comment without an end", "a file that begins with"),
        (b"(module \xff)", "byte 0x8: the text is not UTF-8"),
    ],
)
def test_what_is_not_webassembly_is_named(data: bytes, found: str) -> None:
    """The message says what a file is that is no module."""
    with pytest.raises(InvalidModule) as caught:
        Module.from_bytes(data, source="app.wasm")
    assert str(caught.value).startswith("app.wasm: byte ")
    assert found in str(caught.value)


def test_imports_and_exports_have_their_types() -> None:
    """Each of the five kinds is listed in the file's order, with its type."""
    data = module(
        types=vector(b"\x60\x02\x7f\x7e\x01\x7c", b"\x60\0\x01\x7f", b"\x60\x01\x7f\0"),
        imports=b"",
        functions=vector(b"\x01"),
        tags=vector(b"\0\x02"),
        exports=vector(
            name("f") + b"\0\x01",
            name("again") + b"\0\0",
            name("t") + b"\x01\x01",
            name("m") + b"\x02\x01",
            name("g") + b"\x03\x01",
            name("e") + b"\x04\x01",
        ),
        elements=b"",
    ).replace(section(3, vector(b"\x01")), b"", 1)
    imports = section(
        2,
        vector(
            name("env") + name("call") + b"\0\0",
            name("env") + name("table") + b"\x01\x6f\x01\x02\x03",
            name("env") + name("memory") + b"\x02\x03\x01\x02",
            name("env") + name("größe") + b"\x03\x7d\x01",
            name("env") + name("error") + b"\x04\0\x02",
        ),
    )
    functions = section(3, vector(b"\x01"))
    at = data.index(section(4, vector(b"\x70\0\x01")))
    read = Module.from_bytes(data[:at] + imports + functions + data[at:])

    assert read.imports == (
        Import("env", "call", "func", FuncType(("i32", "i64"), ("f64",))),
        Import("env", "table", "table", TableType("externref", Range(2, 3))),
        Import("env", "memory", "memory", MemoryType(Range(1, 2), shared=True)),
        Import("env", "größe", "global", GlobalType("f32", mutable=True)),
        Import("env", "error", "tag", TagType(FuncType(("i32",)))),
    )
    assert read.exports == (
        Export("f", "func", FuncType((), ("i32",))),
        Export("again", "func", FuncType(("i32", "i64"), ("f64",))),
        Export("t", "table", TableType("funcref", Range(1))),
        Export("m", "memory", MemoryType(Range(1))),
        Export("g", "global", GlobalType("i32")),
        Export("e", "tag", TagType(FuncType(("i32",)))),
    )
    assert read.memories == (MemoryType(Range(1, 2), shared=True), MemoryType(Range(1)))
    assert read.export("again") == read.exports[1]
    assert read.export("missing") is None
    assert [str(item) for item in read.missing_imports({("env", "call"), ("env", "table"), ("env", "memory")})] == [
        "env.größe",
        "env.error",
    ]


def test_types_are_written_as_in_the_text_format() -> None:
    """A function's type reads as people write it."""
    assert str(FuncType(("i32", "(ref null 3)"), ("f64",))) == "(i32, (ref null 3)) -> (f64)"


def test_a_function_behind_many_types_has_its_own() -> None:
    """Numbers of types that take two bytes are told apart from those that take one."""
    types = [b"\x60\0\0"] * 200 + [b"\x60\x01\x7e\0"]
    data = (
        PREAMBLE
        + section(1, vector(*types))
        + section(3, vector(leb(7), leb(200), leb(150)))
        + section(7, vector(name("a") + b"\0\x01", name("b") + b"\0\x02"))
        + section(10, vector(*[function(b"")] * 3))
    )
    assert [export.type for export in Module.from_bytes(data).exports] == [FuncType(("i64",)), FuncType()]


@pytest.mark.parametrize(("start", "expected"), [(b"", False), (section(8, b"\0"), True)])
def test_start_functions_are_seen(start: bytes, expected: bool) -> None:  # noqa: FBT001
    """A module says whether it runs something by itself."""
    elements = section(9, vector(b"\0\x41\0\x0b" + vector(b"\0")))
    data = module(types=vector(b"\x60\0\0")).replace(elements, start + elements)
    assert Module.from_bytes(data).start is expected


def test_size_and_digest() -> None:
    """Both are those of the whole file."""
    data = module()
    read = Module.from_bytes(bytearray(data))
    assert (read.size, read.data, type(read.data)) == (len(data), data, bytes)
    assert read.digest == hashlib.sha256(data).hexdigest()


def test_a_component_lists_its_imports_and_exports() -> None:
    """Names and kinds of a component are read, whatever stands between them."""
    data = (
        COMPONENT_PREAMBLE
        + section(7, b"anything")
        + section(
            10,
            vector(
                b"\0" + name("wasi:http/types@0.2.3") + b"\x05\0",
                b"\x01" + name("f") + b"\x01\0",
                b"\0" + name("t") + b"\x03\x01",
                b"\0" + name("u") + b"\x03\0\x05",
                b"\0" + name("v") + b"\x02\x01\x73",
                b"\0" + name("m") + b"\0\x11\0",
            ),
        )
        + section(1, module())
        + custom("producers", b"\xff\xff")
        + section(11, vector(b"\0" + name("wasi:cli/run@0.2.3") + b"\x05\x01\0"))
        + section(11, vector(b"\0" + name("g") + b"\x01\0\x01\x01\x02"))
    )
    read = Module.from_bytes(data)
    assert read.imports == (
        Import("", "wasi:http/types@0.2.3", "instance"),
        Import("", "f", "func"),
        Import("", "t", "type"),
        Import("", "u", "type"),
        Import("", "v", "value"),
        Import("", "m", "module"),
    )
    assert read.exports == (Export("wasi:cli/run@0.2.3", "instance"), Export("g", "func"))
    assert str(read.imports[0]) == "wasi:http/types@0.2.3"
    assert read.features == {Feature.COMPONENT_MODEL}
    assert read.memories == ()


def test_a_component_as_an_assembler_writes_it() -> None:
    """All sorts of imports and exports are read from a real component."""
    data = assembled(
        """(import "wasi:http/types@0.2.3" (instance (export "f" (func (param "a" u32)))))
        (import "g" (func (param "x" string) (result (list u8))))
        (import "m" (core module)) (import "c" (component)) (import "t" (type (sub resource)))
        (type $bytes (list u8)) (import "e" (type (eq $bytes)))
        (core module $m (func (export "run") (result i32) i32.const 0)) (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i "run"))) (instance $n (export "run" (func $run)))
        (export "wasi:cli/run@0.2.3" (instance $n)) (export "m2" (core module $m)) (export "run" (func $run))
        (type $u (record (field "a" u8))) (export "u" (type $u))""",
        "component",
    )
    read = Module.from_bytes(data)
    assert [(item.name, item.kind) for item in read.imports] == [
        ("wasi:http/types@0.2.3", "instance"),
        ("g", "func"),
        ("m", "module"),
        ("c", "component"),
        ("t", "type"),
        ("e", "type"),
    ]
    assert [(item.name, item.kind) for item in read.exports] == [
        ("wasi:cli/run@0.2.3", "instance"),
        ("m2", "module"),
        ("run", "func"),
        ("u", "type"),
    ]


_BIG = b"\xff\xff\xff\xff\x0f"  # 2**32 - 1


@pytest.mark.parametrize(
    ("data", "offset", "found"),
    [
        (PREAMBLE + b"\x0e\0", 8, "0x0e is not the number of a section"),
        (PREAMBLE + b"\x01\x05\0", 10, "ends after 1 bytes where 5 were expected"),
        (PREAMBLE + b"\x01", 9, "ends too early"),
        (PREAMBLE + b"\x01\x80\x80\x80\x80\x80\0", 9, "more bytes than 32 bits take"),
        (PREAMBLE + b"\x01\xff\xff\xff\xff\x1f", 9, "does not fit into 32 bits"),
        (PREAMBLE + section(1, _BIG), 10, "announces 4294967295 entries in 0 bytes"),
        (PREAMBLE + section(1, b"\0\0"), 11, "1 bytes are left over"),
        (PREAMBLE + section(1, vector(b"\x60\x01\x10\0")), 13, "0x10 is not a value type"),
        (PREAMBLE + section(1, vector(b"\x20")), 11, "0x20 does not begin a type"),
        (PREAMBLE + section(1, b"\0") * 2, 11, "the type section: is there twice"),
        (PREAMBLE + section(3, b"\0") + section(1, b"\0"), 11, "the type section: comes too late"),
        (PREAMBLE + section(2, vector(name("a") + b"\x01\xff\0\0")), 14, "a name is not UTF-8"),
        (PREAMBLE + section(2, vector(b"\x7fabc")), 12, "ends after 3 bytes where 127 were expected"),
        (PREAMBLE + section(2, vector(name("a") + name("b") + b"\x05\0")), 15, "0x05 is not a kind of import"),
        (PREAMBLE + section(2, vector(name("a") + name("b") + b"\0\0")), 16, "there is no type 0"),
        (PREAMBLE + section(5, vector(b"\x10\x01")), 11, "unknown flags 0x10 of limits"),
        (PREAMBLE + section(5, vector(b"\x01\x02\x01")), 11, "the minimum, 2, is above the maximum, 1"),
        (PREAMBLE + section(6, vector(b"\x7f\x07\x41\0\x0b")), 12, "0x07 says neither mutable nor immutable"),
        (PREAMBLE + section(6, vector(b"\x7f\0\x27\x0b")), 13, "0x27 is not an instruction"),
        (PREAMBLE + section(7, vector(name("f") + b"\0\0")), 14, "'f' is func 0, which does not exist"),
        (PREAMBLE + section(8, b"\0"), 10, "there is no function 0"),
        (module(exports=vector(name("f") + b"\0\0", name("f") + b"\0\0")), 45, "'f' is exported twice"),
        (module(functions=vector(b"\0", b"\0")), 57, "has types for 2 functions and bodies for 1"),
        (module(functions=b"\x03\0"), 17, "announces 3 entries in 1 bytes"),
        (PREAMBLE + b"\0\x01\x05", 11, "a custom section: ends after 0 bytes where 5 were expected"),
        (COMPONENT_PREAMBLE + b"\x0d\0", 8, "0x0d is not the number of a section"),
        (COMPONENT_PREAMBLE + section(10, _BIG), 10, "announces 4294967295 entries"),
        (COMPONENT_PREAMBLE + section(10, vector(b"\x09")), 11, "0x09 does not begin a name"),
        (COMPONENT_PREAMBLE + section(11, vector(b"\0" + name("a") + b"\x09")), 14, "0x09 is not a sort"),
    ],
)
def test_damage_is_told_with_its_place(data: bytes, offset: int, found: str) -> None:
    """A damaged module gives the byte offset and what is wrong there."""
    with pytest.raises(InvalidModule) as caught:
        Module.from_bytes(data, source="app.wasm")
    assert found in str(caught.value)
    assert caught.value.offset == offset
    assert f"app.wasm: byte {offset:#x}: " in str(caught.value)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (module(b"\x27"), "0x27 is not an instruction"),
        (module(b"\xfc\x7f"), "0xfc 0x7f is not an instruction"),
        (module(b"\x44"), "ends after 1 bytes where 8 were expected"),
        (module(b"", local_types=_BIG), "announces 4294967295 entries"),
        (module(b"\x0e" + _BIG), "announces 4294967295 entries"),
        (module(b"\x02\x41\x0b"), "0x41 is not a value type"),
        (module(b"\x1f\x40\x01\x07\0\0\x0b"), "0x07 is not a kind of clause"),
        (module(bodies=vector(b"\x7f\0")), "ends after 1 bytes where 127 were expected"),
        (module(elements=vector(b"\x09")), "0x9 is not a kind of element segment"),
        (module(elements=vector(b"\x01\x01\0")), "an element segment is not of functions"),
        (module(data=vector(b"\x03")), "0x3 is not a kind of data segment"),
        (module(data=vector(b"\x01\x05ab")), "ends after 2 bytes where 5 were expected"),
    ],
)
def test_damage_behind_the_head_shows_when_features_are_asked_for(data: bytes, found: str) -> None:
    """Code, elements and data are read only for the features; damage there is told then."""
    read = Module.from_bytes(data)
    with pytest.raises(InvalidModule) as caught:
        _ = read.features
    assert found in str(caught.value)
    assert caught.value.offset is not None


def test_files_are_read_by_path_and_by_descriptor(tmp_path: Path) -> None:
    """A descriptor is read from its beginning and left open where it was."""
    path = tmp_path / "app.wasm"
    path.write_bytes(module())
    assert Module.read(path).data == module()
    assert Module.read(path).source == str(path)
    with path.open("rb") as file:
        file.seek(5)
        read = Module.read(file.fileno(), source="in the image")
        assert (read.data, read.source, file.tell()) == (module(), "in the image", 5)


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda _: None, "can't be read: No such file or directory"),
        (lambda path: path.mkdir(), "this is a directory"),
        (os.mkfifo, "this is not a regular file"),
        (lambda path: path.symlink_to(path.name), "can't be read: Too many levels of symbolic links"),
    ],
)
def test_what_is_not_a_file_can_not_be_read(tmp_path: Path, make: Callable[[Path], None], found: str) -> None:
    """A path without a module in it gives an error that names it, and nobody waits."""
    path = tmp_path / "app.wasm"
    make(path)
    with pytest.raises(InvalidModule, match=found) as caught:
        Module.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("head", "found"), [(PREAMBLE, "the file has"), (b"\x7fELF", "an ELF program")])
def test_a_file_that_is_too_long_is_not_loaded(tmp_path: Path, head: bytes, found: str) -> None:
    """Past 1 GiB the beginning alone is looked at."""
    path = tmp_path / "app.wasm"
    with path.open("wb") as file:
        file.write(head)
        file.truncate((1 << 30) + 1)
    with pytest.raises(InvalidModule, match=found):
        Module.read(path)

"""Where the C library keeps its working directory, in modules of compilers and in others."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.guests import SOURCES, TOOLCHAINS, assembled, compile_c
from wasmoci.wasm.module import Module

if TYPE_CHECKING:
    from types import FrameType

RESOLVING = """(func $resolve (result i32)
  {load} {load} i32.add i32.const 47 i32.add i32.const 68 i32.add i32.const 48 i32.add)"""
LOAD = "i32.const 0 i32.load offset={0}"
CONSTANT = "i32.const {0} i32.load"


def module(
    code: str, data: str = '(data (i32.const 1024) "a/\\00\\00") (data (i32.const 1032) "\\01\\04\\00\\00")'
) -> Module:
    """A module with a pointer to ``/`` at 1032."""
    return Module.from_bytes(assembled(f"(module (memory 1) {data} {code})"))


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
@pytest.mark.parametrize("flags", [("-DCHDIR",), ("-DCHDIR", "-Wl,--strip-all")])
def test_programs_that_change_their_directory(toolchain: str, flags: tuple[str, ...]) -> None:
    """It is found, with symbols and without."""
    found = Module.read(compile_c(SOURCES / "paths.c", toolchain, *flags)).c_library
    assert found.directory is not None
    assert found.begin < found.directory < found.end
    assert found.resolves


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_programs_without_one(toolchain: str) -> None:
    """There is nothing to be found, but for where the data are."""
    found = Module.read(compile_c(SOURCES / "paths.c", toolchain)).c_library
    assert (found.directory, found.resolves) == (None, False)
    assert 0 < found.begin < found.end


@pytest.mark.parametrize("load", [LOAD, CONSTANT])
def test_what_resolves_paths(load: str) -> None:
    """A function that loads the pointer more than once, and knows the slash and the library's errors."""
    assert module(RESOLVING.format(load=load.format(1032))).c_library == (1032, True, 1024, 1036)


@pytest.mark.parametrize(
    "code",
    [
        "(func)",
        RESOLVING.format(load=LOAD.format(1028)),
        RESOLVING.format(load=LOAD.format(1032)).replace("i32.const 68", "i32.const 69"),
        RESOLVING.format(load=LOAD.format(1032)).replace("i32.const 48", "i32.const 49"),
    ],
    ids=["nothing", "another pointer", "no ERANGE", "no ENOMEM"],
)
def test_what_may_be_the_programs_own(code: str) -> None:
    """A pointer to ``/`` that something else uses is left alone."""
    assert module(code).c_library == (None, False, 1024, 1036)


def test_two_are_none() -> None:
    """Where it can't be told which, nothing is."""
    data = '(data (i32.const 1024) "/\\00\\00\\00\\00\\04\\00\\00\\00\\04\\00\\00")'
    code = "".join(RESOLVING.replace("$resolve", "").format(load=LOAD.format(place)) for place in (1028, 1032))
    assert module(code, data).c_library.directory is None


@pytest.mark.parametrize("text", ["(module)", "(module (memory 1) (func))", '(module (memory 1) (data "/\\00"))'])
def test_modules_without_data(text: str) -> None:
    """They have no library to speak of."""
    assert Module.from_bytes(assembled(text)).c_library == (None, False, 0, 0)


def test_components_and_texts() -> None:
    """Neither have they."""
    assert Module.from_bytes(b"(module)").c_library.directory is None
    assert Module.from_bytes(assembled("(component)")).c_library.directory is None


def test_many_pointers_cost_no_more_than_one() -> None:
    """The code of a hostile module is gone through once, not once for each pointer: that would be hours of the caller's time."""
    pointers, size = 3000, 30_000
    head = r"/\00\00\00" + r"\00\10\00\00" * pointers
    body = "(drop (i32.const 0))" * (size // 10)
    module = Module.from_bytes(
        assembled(
            f'(module (memory (export "memory") 2) (data (i32.const 4096) "{head}") (func (export "_start") {body}))'
        )
    )
    steps = 0

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal steps
        steps += event == "call" and frame.f_code.co_name != "<genexpr>"  # which counts its values

    sys.setprofile(count)
    try:
        found = module.c_library
    finally:
        sys.setprofile(None)
    assert found.directory is None
    assert steps < 1000

"""Compiles the guests of ``tests/guests``, once for each compiler and version of a source."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.requirements import require

SOURCES = Path(__file__).parent.parent / "guests"
CACHE = Path(__file__).parents[2] / ".cache"
TOOLCHAINS = ("clang", "ziglang")

_FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror")
_DEBIAN = "apt install clang lld wasi-libc libclang-rt-dev-wasm32"


def build(name: str, toolchain: str = "clang") -> Path:
    """Return the ``.wasm`` file of a guest.

    Args:
        name: The source's name in ``tests/guests``, without its suffix (``.c`` or ``.wat``).
        toolchain: ``clang`` (Debian's, plain MVP code) or ``ziglang`` (current LLVM: padded LEB128, bulk memory and more).
            A text module is always assembled by wasmtime.
    """
    source = SOURCES / f"{name}.c"
    if source.exists():
        return compile_c(source, toolchain)
    return assemble(SOURCES / f"{name}.wat")


def compile_c(source: Path, toolchain: str = "clang", *flags: str) -> Path:
    """Compile a C source for ``wasm32-wasi``.

    Args:
        source: The file.
        toolchain: See :func:`build`.
        flags: Further options for the compiler.
    """
    command = [*_compiler(toolchain), *_FLAGS, *flags]
    key = [_version(toolchain), *command[1:], source.read_text(encoding="utf-8")]
    target = _target(source, toolchain, key)
    if not target.exists():
        environment = {**os.environ, **(zig_environment() if toolchain == "ziglang" else {})}
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            partial = Path(scratch, "guest.wasm")
            subprocess.run(
                [*command, "-o", str(partial), str(source)], check=True, env=environment, stdin=subprocess.DEVNULL
            )
            partial.replace(target)
    return target


def assemble(source: Path) -> Path:
    """Assemble a module in the text format."""
    text = source.read_text(encoding="utf-8")
    require(importlib.util.find_spec("wasmtime"), "guests in text form need wasmtime: pip install wasmtime")
    target = _target(source, "wat", [importlib.metadata.version("wasmtime"), text])
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            partial = Path(scratch, "guest.wasm")
            partial.write_bytes(assembled(text))
            partial.replace(target)
    return target


def assembled(text: str) -> bytes:
    """Assemble a text, and return the module."""
    require(importlib.util.find_spec("wasmtime"), "guests in text form need wasmtime: pip install wasmtime")
    from wasmtime import wat2wasm  # noqa: PLC0415  an engine, which may be missing

    return bytes(wat2wasm(text))


@functools.cache
def zig_environment() -> dict[str, str]:
    """Environment variables with which zig makes its C library for a target once, and not once for each Python.

    It knows what it has made by the path of its sources, which is another one in each environment. Without zig there are none.
    """
    found = importlib.util.find_spec("ziglang")
    if found is None:
        return {}
    library = CACHE / f"zig-{importlib.metadata.version('ziglang')}"
    if not library.exists():
        assert found.origin is not None
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            copy = Path(scratch, "lib")
            shutil.copytree(Path(found.origin).with_name("lib"), copy, copy_function=_link)
            with contextlib.suppress(OSError):  # another process was faster
                copy.rename(library)
    cache = str(CACHE / "zig")
    return {"ZIG_LIB_DIR": str(library), "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}


def _link(source: str, target: str) -> None:
    """Make a hard link, or a copy where there can't be one."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _target(source: Path, toolchain: str, key: list[str]) -> Path:
    directory = CACHE / "guests"
    directory.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256("\0".join(key).encode()).hexdigest()[:16]
    return directory / f"{source.stem}-{toolchain}-{digest}.wasm"


def _compiler(toolchain: str) -> list[str]:
    if toolchain == "clang":
        reason = f"guests in C need clang and a libc for WASI: {_DEBIAN}"
        require(shutil.which("clang") and shutil.which("wasm-ld"), reason)
        require(_has_wasi_libc(), reason)
        return ["clang", "--target=wasm32-wasi"]
    require(importlib.util.find_spec("ziglang"), "guests in C need ziglang: pip install ziglang")
    return [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-wasi"]


@functools.cache
def _version(toolchain: str) -> str:
    command = ["clang"] if toolchain == "clang" else [sys.executable, "-m", "ziglang"]
    option = "--version" if toolchain == "clang" else "version"
    return subprocess.run([*command, option], check=True, capture_output=True, text=True).stdout


@functools.cache
def _has_wasi_libc() -> bool:
    source = b'#include <stdio.h>\nint main(void) { return puts(""); }\n'
    command = ["clang", "--target=wasm32-wasi", "-x", "c", "-", "-o", os.devnull]
    return subprocess.run(command, input=source, capture_output=True, check=False).returncode == 0

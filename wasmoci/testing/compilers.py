"""Compiles C for WASI, and caches the modules."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from wasmoci.host.temporary_directory import temporary_directory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FLAGS = ("-O2",)
INSTALL = (
    "a compiler for C to WASI is missing; install one of:\n"
    "  pip install ziglang\n"
    "  apt install clang lld wasi-libc libclang-rt-dev-wasm32\n"
    "or name one: wasm_cc = /opt/wasi-sdk/bin/clang in pytest's configuration"
)

_PROBE = b'#include <stdio.h>\nint main(void) { return puts(""); }\n'


class CompilerMissing(Exception):
    """No compiler for C to WASI is installed; the message says what to install."""


class CompileFailed(Exception):
    """A source can't be compiled; the message has the compiler's output."""


class Compiler:
    """A C compiler for WASI with a cache.

    Args:
        root: The host directory that relative paths are relative to, including those in options.
        cache: A host directory for modules, kept between sessions; several processes may share it.
        command: The compiler with its options, as ``clang --target=wasm32-wasi``; None to find one: clang with a libc
            for WASI, or else the package ``ziglang``.
    """

    def __init__(self, root: Path, cache: Path, command: Sequence[str] | None = None) -> None:
        self._root = root
        self._cache = cache
        self._given = None if command is None else tuple(command)
        self._found: tuple[str, ...] | None = None
        self._known: dict[tuple[object, ...], Path] = {}

    def compile(self, *sources: str | os.PathLike[str], flags: Sequence[str] = ()) -> Path:
        """Compile a program, and return its module.

        Args:
            sources: Its files, or texts in C: a string with a newline or a brace is a text.
            flags: Options of the compiler, after ``-O2``.

        Returns:
            The ``.wasm`` file, which must not be changed.

        Raises:
            CompilerMissing: No compiler is installed.
            CompileFailed: The source has an error.
        """
        files = [self._file(source) for source in sources]
        options = [*FLAGS, *flags]
        key = (*options, *((file, file.stat().st_mtime_ns, file.stat().st_size) for file in files if file.exists()))
        # Headers are assumed not to change within a session.
        if key not in self._known:
            self._known[key] = self._compile(files, options)
        return self._known[key]

    def _compile(self, files: Sequence[Path], options: Sequence[str]) -> Path:
        command = [*self._command(), *options, *map(str, files)]
        # The key includes all headers, so that a changed header compiles the program again.
        parts = [
            " ".join(command).encode(),
            self._run([*command, "-E", "-P"]),
            self._run([command[0], *self._version()]),
        ]
        digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
        target = self._cache / f"{files[0].stem}-{digest}.wasm"
        if not target.exists():
            with temporary_directory("", parent=self._cache) as scratch:
                partial = scratch / "program.wasm"
                self._run([*command, "-o", str(partial)])
                partial.replace(target)
        return target

    def _file(self, source: str | os.PathLike[str]) -> Path:
        if isinstance(source, str) and any(mark in source for mark in "\n{"):
            self._cache.mkdir(parents=True, exist_ok=True)
            file = self._cache / f"source-{hashlib.sha256(source.encode()).hexdigest()[:16]}.c"
            if not file.exists():
                with temporary_directory("", parent=self._cache) as scratch:
                    (scratch / "source.c").write_text(source, encoding="utf-8")
                    (scratch / "source.c").replace(file)
            return file
        return self._root / source

    def _command(self) -> tuple[str, ...]:
        self._cache.mkdir(parents=True, exist_ok=True)
        if self._found is None:
            self._found = self._given or self._find()
        return self._found

    def _find(self) -> tuple[str, ...]:
        clang = ("clang", "--target=wasm32-wasi")
        if shutil.which("clang") and shutil.which("wasm-ld"):
            probe = [*clang, "-x", "c", "-", "-o", os.devnull]
            if subprocess.run(probe, input=_PROBE, capture_output=True, check=False).returncode == 0:  # noqa: S603
                return clang
        if importlib.util.find_spec("ziglang"):
            return (sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-wasi")
        raise CompilerMissing(INSTALL)

    def _version(self) -> tuple[str, ...]:
        return ("-m", "ziglang", "version") if "ziglang" in self._command() else ("--version",)

    def _run(self, command: Sequence[str]) -> bytes:
        environment = {
            "ZIG_LOCAL_CACHE_DIR": str(self._cache / "zig"),
            **os.environ,
        }  # otherwise it is relative to the working directory
        try:
            result = subprocess.run(  # noqa: S603  the user's compiler
                command, stdin=subprocess.DEVNULL, capture_output=True, cwd=self._root, env=environment, check=False
            )
        except OSError as error:
            raise CompilerMissing(f"{command[0]}: can't be run: {error.strerror}") from None
        if result.returncode:
            words = result.stderr.decode("utf-8", "replace").rstrip()
            raise CompileFailed(f"{shlex.join(command)} ended with {result.returncode}:\n{words}")
        return result.stdout

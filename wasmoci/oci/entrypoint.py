"""Finds and reads the program that a container runs, by ``process.args``, ``process.env`` and ``process.cwd``."""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import stat

from wasmoci._startup import attrs
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import EntrypointError, EntrypointNotFound, InvalidInput, InvalidSpec
from wasmoci.host.file_cache import Cache, state_of
from wasmoci.oci.filesystem import GuestFiles, plan
from wasmoci.oci.init_program import stepped_over
from wasmoci.wasi.abi import Errno
from wasmoci.wasi.errno import Refusal
from wasmoci.wasi.open_tree import OpenTree
from wasmoci.wasi.resolver import Resolver
from wasmoci.wasm.module import FuncType, Module, ModuleKind, read_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.oci.spec import Spec

_SHOWN = 8  # names in a message

modules = Cache(count=32, cost=128 << 20)
_REFUSALS = {Errno.LOOP: errno.ELOOP, Errno.NOTDIR: errno.ENOTDIR}

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@attrs.frozen(kw_only=True)
class Entrypoint:
    """The program, its function and its arguments.

    Args:
        program: ``args[0]`` without the function, behind an init: a guest path, as the spec has it.
        function: The exported function to call; None for the default (``_start``, for a component ``wasi:cli/run``).
        argv: The arguments of the guest, beginning with :attr:`program`.
        env: The environment, in order, split at the first ``=``.
        cwd: The working directory, an absolute guest path.
    """

    program: str
    function: str | None
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str

    @classmethod
    def of(cls, spec: Spec) -> Entrypoint:
        """Read a spec's process.

        Raises:
            InvalidSpec: There is no process, or it has no arguments.
        """
        process = spec.process
        if process is None or not process.args:
            missing = "$.process" if process is None else "$.process.args"
            raise InvalidSpec("is missing; a program to run was expected", path=missing)
        args = stepped_over(process.args)
        program, mark, function = args[0].partition("#")
        if not program or (mark and not function):
            raise InvalidSpec(
                f"found {args[0]!r}; a path, or a path and a function as in /app.wasm#main, was expected",
                path="$.process.args[0]",
            )
        return cls(
            program=program,
            function=function or None,
            argv=(program, *args[1:]),
            env=tuple(_split(variable) for variable in process.env),
            cwd=process.cwd,
        )

    def load(self, files: GuestFiles) -> Module:
        """Read the program. It is looked up like ``execvp`` does, and then in the working directory.

        Args:
            files: The guest's files; every tmpfs has its directory.

        Raises:
            EntrypointNotFound: It doesn't exist.
            EntrypointError: It is a directory or a special file, or can't be read.
            InvalidSpec: The working directory isn't a directory.
            InvalidModule: It isn't WebAssembly, or is damaged.
        """
        with _Finder(files) as finder:
            if files.cwd != "/":
                finder.check_directory(self.cwd)
            descriptor = finder.open(self)
            try:
                return _read(descriptor, self.program)
            finally:
                os.close(descriptor)

    def check_function(self, module: Module) -> None:
        """Refuse a core module that lacks the entry function.

        Raises:
            EntrypointError: It isn't exported, or takes parameters.
        """
        if module.kind is not ModuleKind.CORE:
            return
        name = self.function or "_start"
        export = module.export(name)
        if export is None or export.kind != "func":
            hint = None
            if self.function is None:
                hint = "a program exports _start; to call a function of a library, name it: /lib.wasm#function"
            functions = sorted(export.name for export in module.exports if export.kind == "func")
            shown = ", ".join(functions[:_SHOWN]) or "no function at all"
            raise EntrypointError(f"{module.source}: exports no function {name!r}; it exports {shown}", hint=hint)
        signature = export.type
        if isinstance(signature, FuncType) and signature.params:
            raise EntrypointError(
                f"{module.source}: the function {name!r} takes {len(signature.params)} parameters;"
                " one without parameters was expected"
            )

    def candidates(self) -> tuple[str, ...]:
        """Return the absolute guest paths of the program, in the order in which they are tried."""
        if self.program.startswith("/"):
            return (self.program,)
        if "/" in self.program:
            return (posixpath.join(self.cwd, self.program),)
        search = dict(self.env).get("PATH") or DEFAULT_PATH
        directories = [*search.split(":"), self.cwd]
        return tuple(posixpath.join(self.cwd, directory, self.program) for directory in directories)


def first_bytes(spec: Spec, rootfs: Path, count: int) -> bytes | None:
    """Return the first bytes of a spec's program; None when it can't be read, for whatever reason.

    Args:
        spec: The spec; if its mounts are invalid, only the root file system is searched.
        rootfs: The root file system, a host path.
        count: How many bytes.
    """
    try:
        files = plan(spec, rootfs)
    except InvalidInput:
        files = GuestFiles(rootfs=rootfs, read_only=True, cwd="/")
    try:
        with files.materialise() as made, _Finder(made) as finder:
            descriptor = finder.open(Entrypoint.of(spec))
            try:
                return os.read(descriptor, count)
            finally:
                os.close(descriptor)
    except (InvalidInput, EntrypointError, OSError):
        return None


def _read(descriptor: int, program: str) -> Module:
    """Read a module, or return the one that was read before from the same unchanged file."""
    status = os.fstat(descriptor)
    state = state_of(status)
    if state is None:
        data = read_bytes(descriptor, source=program)
        return modules.get((program, data), len(data), lambda: Module.from_bytes(data, source=program))
    return modules.get((program, *state), status.st_size, lambda: Module.read(descriptor, source=program))


def _split(variable: str) -> tuple[str, str]:
    name, _, value = variable.partition("=")
    return name, value


class _Finder:
    """Opens a guest's files, which are always beneath its root."""

    def __init__(self, files: GuestFiles) -> None:
        self._files = files
        self._open_tree = OpenTree(files.tree)
        self._resolver = Resolver(self._open_tree)

    def __enter__(self) -> _Finder:
        return self

    def __exit__(self, *_: object) -> None:
        self._open_tree.close()

    def open(self, entrypoint: Entrypoint) -> int:
        """Return a descriptor of the program."""
        *others, last = entrypoint.candidates()
        for path in others:
            # Like execvp: what can't be run in one directory may exist in the next.
            with contextlib.suppress(EntrypointError):
                return self._open_file(path)
        try:
            return self._open_file(last)
        except EntrypointNotFound:
            if not others:
                raise
            where = f"isn't in any directory of PATH, nor in the working directory {entrypoint.cwd}"
            raise EntrypointNotFound(f"{entrypoint.program}: {where}") from None

    def _open_file(self, path: str) -> int:
        descriptor = self._open(path, os.O_RDONLY | os.O_NONBLOCK)
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            return descriptor
        os.close(descriptor)
        kind = "a directory" if stat.S_ISDIR(mode) else "a special file"
        raise EntrypointError(f"{path}: is {kind}; a Wasm file was expected")

    def _open(self, path: str, flags: int) -> int:
        relative = path.lstrip("/").encode() or b"."
        try:
            descriptor, *_ = self._resolver.open(self._open_tree.root, relative, flags | os.O_CLOEXEC, follow=True)
        except (OSError, Refusal) as error:
            number = error.errno if isinstance(error, OSError) else _REFUSALS.get(error.code)
            if number is None:
                raise EntrypointError(f"{path}: leads out of the root file system") from None
            if number in (errno.ENOENT, errno.ENOTDIR):
                raise EntrypointNotFound(f"{path}: isn't in the root file system {self._files.rootfs}") from None
            raise EntrypointError(f"{path}: can't be opened: {os.strerror(number)}") from None
        return descriptor

    def check_directory(self, path: str) -> None:
        """Refuse a working directory that isn't a directory; a missing one is created before the program runs."""
        try:
            descriptor = self._open(path, os.O_PATH | os.O_DIRECTORY)
        except EntrypointError as error:
            if isinstance(error, EntrypointNotFound) and not self._exists(path):
                return
            reason = "is not a directory" if self._exists(path) else error.message
            raise InvalidSpec(f"{path!r}: {reason}", path="$.process.cwd") from None
        os.close(descriptor)

    def _exists(self, path: str) -> bool:
        try:
            os.close(self._open(path, os.O_PATH))
        except EntrypointError:
            return False
        return True

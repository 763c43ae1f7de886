"""Calling wasmtime's WASI from a host function.

wasmtime's WASI takes its arguments from the memory of the instance that calls it. So a small module of our own calls it,
with a memory of its own, and the guest's memory stays as it is.
"""

from __future__ import annotations

from wasmoci.handlers._wasmtime import calls
from wasmoci.wasi import FUNCTIONS, Errno
from wasmoci.wasi.abi import IOVEC
from wasmoci.wasi.failure import Refusal
from wasmoci.wasi.memory import region

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import attrs

    from wasmoci.handlers._wasmtime.library import Owned
    from wasmoci.handlers._wasmtime.run import Run
else:
    from wasmoci import _attrs as attrs

WASI = "wasi_snapshot_preview1"
_PATH_MAX = 4096  # bytes, the limit of Linux, with its NUL
_PATHS = (0, 2 * _PATH_MAX)  # where the paths of a call are in the module's memory
_OUTPUTS = (4 * _PATH_MAX, 6 * _PATH_MAX)  # where its results are
_PAGE = 1 << 16
_DATA = _PAGE  # where what is to be written is
_DATA_PAGES = 16

GuestPath = tuple[int, bytes]
"""A descriptor and a path that starts there."""


@attrs.frozen
class PathArgument:
    """Where a call has a path among its arguments; the length comes after the pointer.

    Args:
        fd: The argument with the descriptor.
        pointer: The argument that points to the path.
        name: Whether the call gives the name away or takes it, whatever is there.
        flags: The argument whose lowest bit says that a link at the end is followed; None when it never is.
    """

    fd: int
    pointer: int
    name: bool = False
    flags: int | None = None


@attrs.frozen
class _Output:
    """A result that a call writes to memory: the argument that points there, and its size or the argument with that."""

    pointer: int
    size: int = 0
    size_in: int | None = None

    def size_of(self, arguments: Sequence[int]) -> int:
        """Its size in a call; more than a path is never written."""
        return self.size if self.size_in is None else min(arguments[self.size_in], _PATH_MAX)


@attrs.frozen
class _Text:
    """A text that a call takes as it is: the argument that points to it, before the one with its length."""

    pointer: int


@attrs.frozen
class Call:
    """A function of WASI and what its arguments are.

    Args:
        name: Its name.
        paths: The paths that it looks up.
        outputs: What it writes to the guest's memory.
        text: A text that is no path to look up.
    """

    name: str
    paths: tuple[PathArgument, ...] = ()
    outputs: tuple[_Output, ...] = ()
    text: _Text | None = None

    def read(self, arguments: Sequence[int], memory: memoryview) -> tuple[list[GuestPath], bytes]:
        """The paths of a call, and its text.

        Raises:
            Refusal: A pointer doesn't lead into the memory, or a path is too long.
        """
        for output in self.outputs:
            region(memory, arguments[output.pointer], output.size_of(arguments))
        paths = [(arguments[path.fd], _read(memory, arguments, path.pointer)) for path in self.paths]
        return paths, b"" if self.text is None else _read(memory, arguments, self.text.pointer)


def _read(memory: memoryview, arguments: Sequence[int], pointer: int) -> bytes:
    start, length = arguments[pointer : pointer + 2]
    if length >= _PATH_MAX:
        raise Refusal(Errno.NAMETOOLONG)
    return bytes(region(memory, start, length))


CALLS = {
    call.name: call
    for call in (
        Call("fd_close"),
        Call("fd_renumber"),
        Call("path_create_directory", (PathArgument(0, 1, name=True),)),
        Call("path_filestat_get", (PathArgument(0, 2, flags=1),), (_Output(4, 64),)),
        Call("path_filestat_set_times", (PathArgument(0, 2, flags=1),)),
        Call("path_link", (PathArgument(0, 2, flags=1), PathArgument(4, 5, name=True))),
        Call("path_open", (PathArgument(0, 2, flags=1),), (_Output(8, 4),)),
        Call("path_readlink", (PathArgument(0, 1),), (_Output(3, size_in=4), _Output(5, 4))),
        Call("path_remove_directory", (PathArgument(0, 1, name=True),)),
        Call("path_rename", (PathArgument(0, 1, name=True), PathArgument(3, 4, name=True))),
        Call("path_symlink", (PathArgument(2, 3, name=True),), text=_Text(0)),
        Call("path_unlink_file", (PathArgument(0, 1, name=True),)),
    )
}
"""All that take a path, and those that move and close descriptors."""

_WRITE = "fd_write"


def _module() -> str:
    imports, exports = [], []
    for name in (*CALLS, _WRITE):
        params = FUNCTIONS[name].params
        kind = f"(param {' '.join(params)}) (result i32)"
        arguments = " ".join(f"(local.get {index})" for index in range(len(params)))
        imports.append(f'(import "{WASI}" "{name}" (func ${name} {kind}))')
        exports.append(f'(func (export "{name}") {kind} (call ${name} {arguments}))')
    pages = 1 + _DATA_PAGES
    return f'(module $wasmoci {" ".join(imports)} (memory (export "memory") {pages} {pages}) {" ".join(exports)})'


MODULE = _module()
"""The module in the text format: it exports each of :data:`CALLS`, ``fd_write``, and its memory."""


class Inner:
    """The module's instance in the store of a guest.

    Args:
        context: The store's context.
        program: The module, linked with wasmtime's WASI.
    """

    def __init__(self, context: int, program: Owned) -> None:
        self._instance, error = calls.instantiate(program, context)
        if error is not None:
            raise error
        self._memory = calls.exported_memory(context, self._instance, "memory")
        self._functions: dict[str, calls.InnerFunction] = {}

    def perform(
        self, context: int, call: Call, arguments: Sequence[int], paths: Sequence[GuestPath], text: bytes
    ) -> int:
        """Call a function.

        Args:
            context: The store's context.
            call: The function.
            arguments: The guest's arguments.
            paths: What to put in the place of its paths.
            text: Its text.

        Returns:
            The errno.

        Raises:
            Trapped: The guest is to end.
        """
        values = list(arguments)
        for place, argument, (fd, path) in zip(_PATHS[-len(paths) :], call.paths, paths, strict=False):
            values[argument.fd] = fd
            self._put(values, argument.pointer, place, path)
        if call.text is not None:
            self._put(values, call.text.pointer, _PATHS[0], text)
        for place, output in zip(_OUTPUTS, call.outputs, strict=False):
            values[output.pointer] = place
            if output.size_in is not None:
                values[output.size_in] = output.size_of(arguments)
        return self._function(context, call.name)(context, values)

    def results(self, call: Call, arguments: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """What the last call wrote, each with the place where the guest wants it."""
        for place, output in zip(_OUTPUTS, call.outputs, strict=False):
            size = output.size_of(arguments)
            yield arguments[output.pointer], bytes(self._memory[place : place + size])

    def write(self, context: int, fd: int, pieces: Sequence[memoryview]) -> tuple[int, int]:
        """Write to a descriptor.

        Args:
            context: The store's context.
            fd: The guest's number.
            pieces: What to write; of much only the beginning is taken.

        Returns:
            The errno, and how many bytes were written.

        Raises:
            Trapped: The guest is to end.
        """
        end = _DATA
        for piece in pieces:
            part = piece[: len(self._memory) - end]
            self._memory[end : end + len(part)] = part
            end += len(part)
        [vector, _], [result, _] = _PATHS, _OUTPUTS
        IOVEC.pack_into(self._memory, vector, _DATA, end - _DATA)
        errno = self._function(context, _WRITE)(context, (fd, vector, 1, result))
        return errno, int.from_bytes(self._memory[result : result + 4], "little")

    def _put(self, values: list[int], pointer: int, place: int, data: bytes) -> None:
        self._memory[place : place + len(data)] = data
        values[pointer : pointer + 2] = place, len(data)

    def _function(self, context: int, name: str) -> calls.InnerFunction:
        function = self._functions.get(name)
        if function is None:
            exported = calls.exported_function(context, self._instance, name)
            function = self._functions[name] = calls.InnerFunction(exported, FUNCTIONS[name])
        return function


class LinkedInner:
    """The module for one run, instantiated when it is first needed.

    Args:
        link: Gives the module, linked.
        run: The run.
    """

    def __init__(self, link: Callable[[], Owned], run: Run) -> None:
        self._link = link
        self._run = run
        self._inner: Inner | None = None

    def made(self) -> Inner:
        """The instance in the store of the run's guest."""
        if self._inner is None:
            with self._run.instantiating(accounted=False):
                self._inner = Inner(self._run.context, self._link())
        return self._inner

"""Combines the host functions, descriptors and memory into the WASI host of one guest."""

from __future__ import annotations

import os

from wasmoci._startup.typing import TYPE_CHECKING, NamedTuple
from wasmoci.errors import InvalidInput
from wasmoci.wasi.abi import Rights
from wasmoci.wasi.calls.arguments import Arguments
from wasmoci.wasi.calls.clock import Clock
from wasmoci.wasi.calls.fd import Fd
from wasmoci.wasi.calls.io import Io
from wasmoci.wasi.calls.open import Open
from wasmoci.wasi.calls.path import Path
from wasmoci.wasi.calls.poll import Poll
from wasmoci.wasi.calls.process import Process
from wasmoci.wasi.calls.random import Random
from wasmoci.wasi.calls.readdir import Readdir
from wasmoci.wasi.calls.sock import Sock
from wasmoci.wasi.clocks import SystemClocks
from wasmoci.wasi.descriptors import MAX_DESCRIPTORS, Table
from wasmoci.wasi.directory import READ_DIRECTORY, Place
from wasmoci.wasi.errno import Refusal
from wasmoci.wasi.file_tree import FileTree
from wasmoci.wasi.files import Directory
from wasmoci.wasi.host import Host
from wasmoci.wasi.open_tree import OpenTree
from wasmoci.wasi.resolver import Resolver
from wasmoci.wasi.signatures import FUNCTIONS
from wasmoci.wasi.sockets import Socket
from wasmoci.wasi.streams import HostStream, InjectedStream

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Mapping

    from wasmoci.wasi.clocks import Clocks
    from wasmoci.wasi.file_tree import Preopen
    from wasmoci.wasi.memory import Memory
    from wasmoci.wasi.streams import Stream

_FAMILIES = (Arguments, Clock, Fd, Io, Readdir, Path, Open, Poll, Process, Random, Sock)


class Function(NamedTuple):
    """A host function, ready to be linked.

    Args:
        params: The value types of its parameters, ``"i32"`` or ``"i64"``.
        results: The value types of its results.
        call: Takes exactly those parameters, as integers signed or unsigned, and returns the errno. ``proc_exit``
            raises :exc:`ProcExit` instead.
    """

    params: tuple[str, ...]
    results: tuple[str, ...]
    call: Callable[..., int | None]


class Wasi:
    """A WASI preview 1 host for one guest, on any engine that can call Python.

    Link the result of :meth:`functions` under each of :data:`MODULES`, :meth:`bind` the memory of the instance, call
    its entry point, and :meth:`close`. It is also a context manager, which closes it.

    Args:
        args: The arguments, the program's name first.
        env: The environment, as pairs of name and value.
        preopens: The directories that are open from the start, as descriptors 3, 4, ... in this order.
        sockets: Listening or connected sockets, or their host descriptors, as the descriptors after those. They are
        duplicated, and the caller's stay open.
        stdin: A descriptor of the host or a :class:`Stream`; the caller has to close it.
        stdout: Likewise.
        stderr: Likewise.
        clocks: The guest's clocks; those of the host by default.
        random: Returns as many random bytes as requested; the host's cryptographic generator by default.
        max_descriptors: The maximum number of the guest's descriptors, so that it can't exhaust the host's.
        use_openat2: ``False`` resolves paths as on kernels without ``openat2``.

    Raises:
        InvalidInput: An argument or variable contains a NUL byte, or a preopen isn't a directory.
        InvalidMount: A mount of a preopen's tree isn't possible.
    """

    def __init__(
        self,
        *,
        args: Iterable[str | bytes] = (),
        env: Iterable[tuple[str | bytes, str | bytes]] = (),
        preopens: Iterable[Preopen] = (),
        sockets: Iterable[int | socket.socket] = (),
        stdin: int | Stream = 0,
        stdout: int | Stream = 1,
        stderr: int | Stream = 2,
        clocks: Clocks | None = None,
        random: Callable[[int], bytes] = os.urandom,
        max_descriptors: int = MAX_DESCRIPTORS,
        use_openat2: bool = True,
    ) -> None:
        arguments = [_text("argument", arg) for arg in args]
        environ = [_text("variable", name) + b"=" + _text("variable", value) for name, value in env]
        self._table = Table(max_descriptors)
        self._trees: list[tuple[FileTree, Resolver]] = []
        self._use_openat2 = use_openat2
        self._host = Host(arguments, environ, self._table, clocks or SystemClocks(), random)
        try:
            for stream, rights in ((stdin, Rights.STDIN), (stdout, Rights.STDOUT), (stderr, Rights.STDOUT)):
                self._table.add(
                    HostStream(stream, rights) if isinstance(stream, int) else InjectedStream(stream, rights)
                )
            for preopen in preopens:
                self._table.add(self._directory(preopen))
            for sock in sockets:
                self._table.add(_socket(sock))
        except BaseException:
            self.close()
            raise
        families = [family(self._host) for family in _FAMILIES]
        self._functions = {
            name: Function(*signature, next(getattr(family, name) for family in families if hasattr(family, name)))
            for name, signature in FUNCTIONS.items()
        }

    def functions(self) -> Mapping[str, Function]:
        """Return every function of WASI preview 1, by name."""
        return self._functions

    def bind(self, memory: Memory) -> None:
        """Set the guest's memory; until then, every pointer is out of bounds."""
        self._host.view = memory.view

    def close(self) -> None:
        """Close everything that was opened for the guest and by it. May be called again."""
        self._table.close()
        while self._trees:
            self._trees.pop()[1].tree.close()

    def __enter__(self) -> Wasi:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _resolver(self, tree: FileTree) -> Resolver:
        for known, resolver in self._trees:
            if known is tree:
                return resolver
        resolver = Resolver(OpenTree(tree), use_openat2=self._use_openat2)
        self._trees.append((tree, resolver))
        return resolver

    def _directory(self, preopen: Preopen) -> Directory:
        tree = FileTree(preopen.host_path, preopen.read_only) if preopen.tree is None else preopen.tree
        resolver = self._resolver(tree)
        root = resolver.tree.root
        path = os.fsencode(preopen.position.strip("/") or ".")
        try:
            fd, position, layer = resolver.open(root, path, READ_DIRECTORY, follow=True)
        except (OSError, Refusal) as error:
            raise InvalidInput(
                f"{preopen.position} is no directory in the guest's files, which are {os.fspath(tree.root)}; "
                f"it was to be preopened as {preopen.guest_path}"
            ) from error
        return Directory(
            Place(fd, position, layer, owned=True),
            resolver,
            Rights.DIRECTORY,
            Rights.DIRECTORY | Rights.FILE,
            guest_path=_text("preopen", preopen.guest_path),
            fallback=root if preopen.fallback else None,
        )


def _text(what: str, value: str | bytes) -> bytes:
    result = value if isinstance(value, bytes) else value.encode(errors="surrogateescape")
    if b"\0" in result:
        raise InvalidInput(f"the {what} {value!r} has a NUL byte in it, which would end it for the guest")
    return result


def _socket(sock: int | socket.socket) -> Socket:
    import socket  # noqa: PLC0415  3 ms of each start, and most guests have none

    own = socket.socket(fileno=os.dup(sock if isinstance(sock, int) else sock.fileno()))
    listens = own.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return Socket(own, Rights.LISTENER, Rights.CONNECTION) if listens else Socket(own, Rights.CONNECTION)

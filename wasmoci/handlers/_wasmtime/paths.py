"""The paths of a guest: those that wasmtime's own WASI doesn't follow, and everything else at its hands.

wasmtime's WASI refuses links that are absolute or lead above the directory where a path starts. So the functions that take
paths are host functions here. Each asks wasmtime's WASI first; only a path that it refuses in that way is resolved here,
within the root file system, and then wasmtime's WASI is asked for the place that it leads to. It opens everything and holds
the sandbox: what is resolved here may be outdated when it is used, but never dangerous.

This serves guests with one directory, the root. Those with mounts or another working directory get the WASI host in Python:
wasmtime's WASI has no tree that these would belong to.
"""

from __future__ import annotations

import contextlib
import functools
import os

from wasmoci.handlers._wasmtime import calls
from wasmoci.handlers._wasmtime.inner import CALLS, WASI, Call, GuestPath, LinkedInner, PathArgument
from wasmoci.wasi import FUNCTIONS, Errno, FileTree
from wasmoci.wasi.failure import FAILURES, errno_of
from wasmoci.wasi.namespace import Namespace
from wasmoci.wasi.resolver import Resolver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import attrs

    from wasmoci.handlers._wasmtime.library import Owned
    from wasmoci.handlers._wasmtime.run import Run
    from wasmoci.wasi.place import Location, Position
else:
    from wasmoci import _attrs as attrs

_ROOT = 3  # the descriptor of the preopen /
_CREATE, _EXCLUSIVE = 1, 4  # of the $oflags of path_open, its argument 4
_MAX_DEPTH = 1000
_REFUSALS = (Errno.PERM, Errno.NOTCAPABLE)  # of a path that leaves its directory, among others


def define(linker: Owned) -> None:
    """Define the functions in a linker, over wasmtime's WASI."""
    for name, function in _functions.items():
        calls.define(linker, WASI, name, FUNCTIONS[name], function)


def _called(call: Call, run: Run, caller: int, *arguments: int) -> int:
    return Errno.NOSYS if run.paths is None else run.paths.call(run, caller, call, arguments)


_functions = calls.host_functions(
    {name: (FUNCTIONS[name], functools.partial(_called, call)) for name, call in CALLS.items() if name != "fd_close"}
)


@attrs.define
class _Descriptor:
    """What a descriptor of the guest is: where it is in the root file system, or, until somebody asks, how it was opened.

    ``depth`` counts the descriptors that led to it, each opened from the one before.
    """

    position: Position | None = None
    parent: _Descriptor | None = None
    path: bytes = b""
    follow: bool = False
    depth: int = 0


class GuestPaths:
    """The paths of one run.

    Args:
        rootfs: The directory that is the guest's root, a host path.
        inner: Calls wasmtime's WASI.
    """

    def __init__(self, rootfs: Path, inner: LinkedInner) -> None:
        self._rootfs = rootfs
        self._inner = inner
        self._namespace: Namespace | None = None
        self._descriptors = {_ROOT: _Descriptor(position=())}

    def close(self) -> None:
        """Close what was opened."""
        if self._namespace is not None:
            self._namespace.close()

    def call(self, run: Run, caller: int, call: Call, arguments: Sequence[int]) -> int:
        """Answer a call of the guest.

        Args:
            run: Its run.
            caller: The guest's instance, a ``wasmtime_caller_t``.
            call: The function.
            arguments: Its arguments, unsigned.

        Returns:
            The errno.

        Raises:
            Trapped: The guest is to end.
        """
        memory = calls.memory_of(run, caller)
        inner = self._inner.made()
        try:
            paths, text = call.read(arguments, memory)
        except FAILURES as failure:
            return errno_of(failure)

        def perform(asked: list[GuestPath]) -> int:
            return inner.perform(run.context, call, arguments, asked, text)

        errno = perform(paths)
        if errno in _REFUSALS:
            resolved = self._resolve(call, arguments, paths)
            if call.name == "path_readlink":
                return self._read_link(arguments, resolved, memory, errno)
            if resolved != paths:
                errno = perform(resolved)
        else:
            errno = self._mended(errno, call, paths, perform)
        if errno == Errno.SUCCESS:
            for pointer, data in inner.results(call, arguments):
                memory[pointer : pointer + len(data)] = data
            self._remember(call, arguments, paths, memory)
        return errno

    def _mended(self, errno: int, call: Call, paths: list[GuestPath], perform: Callable[[list[GuestPath]], int]) -> int:
        """The answer that the system would give, where wasmtime's WASI has another."""
        if errno == Errno.INVAL and call.name == "path_remove_directory":
            # rmdir(2) takes a slash at the end, as the WASI test suite has it.
            stripped = [(fd, path.rstrip(b"/")) for fd, path in paths]
            if stripped != paths and all(path for _, path in stripped):
                return perform(stripped)
        if errno == Errno.IO and any(self._is_read_only(fd, path) for fd, path in paths):
            return Errno.ROFS
        return errno

    def _read_link(self, arguments: Sequence[int], paths: list[GuestPath], memory: memoryview, errno: int) -> int:
        """Answer ``path_readlink`` for an absolute link, which wasmtime's WASI doesn't let the guest see."""
        [(fd, path)], (buffer, size, result) = paths, arguments[3:6]
        if fd != _ROOT:
            return errno
        try:
            with self._located((), path, follow=False, name=False) as location:
                target = os.readlink(location.name, dir_fd=location.fd)[:size]
        except FAILURES:
            return errno
        memory[buffer : buffer + len(target)] = target
        memory[result : result + 4] = len(target).to_bytes(4, "little")
        return Errno.SUCCESS

    def _resolve(self, call: Call, arguments: Sequence[int], paths: list[GuestPath]) -> list[GuestPath]:
        """The same paths without links, from the root; unchanged where that can't be done."""
        try:
            return [
                self._resolve_one(argument, fd, path, follow=_follows(call, arguments, argument))
                for argument, (fd, path) in zip(call.paths, paths, strict=True)
            ]
        except FAILURES:
            return paths

    def _resolve_one(self, argument: PathArgument, fd: int, path: bytes, *, follow: bool) -> GuestPath:
        start = self._position(self._descriptors.get(fd))
        if start is None:
            return fd, path
        resolved = b"/".join(self._locate(start, path, follow=follow, name=argument.name)) or b"."
        return _ROOT, resolved + b"/" if path.endswith(b"/") else resolved

    def _locate(self, start: Position, path: bytes, *, follow: bool, name: bool) -> Position:
        with self._located(start, path, follow=follow, name=name) as location:
            return location.position

    @contextlib.contextmanager
    def _located(self, start: Position, path: bytes, *, follow: bool, name: bool) -> Iterator[Location]:
        """Find where a path leads to that starts from a directory."""
        if self._namespace is None:
            self._namespace = Namespace(FileTree(self._rootfs))
        # Not by openat2, which doesn't tell where a path led.
        resolver = Resolver(self._namespace, use_openat2=False)
        place = resolver.directory(self._namespace.root, list(start)) if start else self._namespace.root
        try:
            location = resolver.locate_new(place, path) if name else resolver.locate(place, path, follow=follow)
            try:
                yield location
            finally:
                location.close()
        finally:
            place.close()

    def _is_read_only(self, fd: int, path: bytes) -> bool:
        """Whether a path is on a file system, or a mount, that can't be written to."""
        start = self._position(self._descriptors.get(fd))
        if start is None:
            return False
        try:
            with self._located(start, path, follow=True, name=False) as location:
                return bool(os.fstatvfs(location.fd).f_flag & os.ST_RDONLY)
        except FAILURES:
            return False

    def _position(self, descriptor: _Descriptor | None) -> Position | None:
        """Where a descriptor is; None when that can't be told any more."""
        chain = []
        while descriptor is not None and descriptor.position is None:
            chain.append(descriptor)
            descriptor = descriptor.parent
        position = None if descriptor is None else descriptor.position
        for opened in reversed(chain):
            if position is None:
                return None
            position = opened.position = self._locate(position, opened.path, follow=opened.follow, name=False)
        return position

    def _remember(self, call: Call, arguments: Sequence[int], paths: list[GuestPath], memory: memoryview) -> None:
        """Keep how a descriptor came about."""
        if call.name == "path_open":
            (fd, path), argument = paths[0], call.paths[0]
            opened = int.from_bytes(memory[arguments[8] : arguments[8] + 4], "little")
            parent = self._descriptors.get(fd)
            if parent is None or parent.depth == _MAX_DEPTH:
                self._descriptors.pop(opened, None)
            else:
                follow = _follows(call, arguments, argument)
                self._descriptors[opened] = _Descriptor(parent=parent, path=path, follow=follow, depth=parent.depth + 1)
        elif call.name == "fd_renumber":
            self._descriptors[arguments[1]] = self._descriptors.pop(arguments[0], _Descriptor())


def _follows(call: Call, arguments: Sequence[int], argument: PathArgument) -> bool:
    """Whether a link at the end of a path is followed."""
    if argument.flags is None or not arguments[argument.flags] & 1:
        return False
    return not (call.name == "path_open" and arguments[4] & _CREATE and arguments[4] & _EXCLUSIVE)

"""The paths of a guest: those that wasmtime's own WASI doesn't follow, and everything else at its hands.

wasmtime's WASI refuses absolute links, and knows directories, but not the tree that they make up with its mounts. So the
functions that take paths are host functions here. Each asks wasmtime's WASI first; only a path that fails as such paths do,
or that may come to a mount, is resolved here, and then wasmtime's WASI is asked for the place that it leads to. It opens
everything and holds the sandbox: what is resolved here may be outdated when it is used, but never dangerous.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import attrs
from wasmtime import _ffi as ffi

from wasmoci.handlers._wasmtime import calls
from wasmoci.handlers._wasmtime.inner import CALLS, WASI, Call, GuestPath, Inner, Intent, PathArgument
from wasmoci.handlers._wasmtime.places import FIRST_PREOPEN, Preopen, Start, Tree
from wasmoci.handlers._wasmtime.run import current_run
from wasmoci.wasi import FUNCTIONS, Errno
from wasmoci.wasi.failure import FAILURES, errno_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import wasmtime

    from wasmoci.filesystem import GuestFiles

_CREATE, _EXCLUSIVE = 1, 4  # of the $oflags of path_open, its argument 4
_MAX_DEPTH = 1000
_OUTSIDE = (Errno.PERM, Errno.NOTCAPABLE)  # how wasmtime's WASI refuses a path that leaves its directory


def define(linker: wasmtime.Linker) -> None:
    """Define the functions in a linker, over wasmtime's WASI."""
    for name, function in _functions.items():
        calls.define(linker, WASI, name, FUNCTIONS[name], function)


def _called(call: Call, caller: Any, *arguments: int) -> int:
    paths = current_run().paths
    return Errno.NOSYS if paths is None else paths.call(caller, call, arguments)


_functions = {
    name: calls.host_function(FUNCTIONS[name], functools.partial(_called, call)) for name, call in CALLS.items()
}


@attrs.define
class _Descriptor:
    """What a descriptor of the guest is: where it starts in the tree, or, until somebody asks, how it was opened.

    ``depth`` counts the descriptors that led to it, each opened from the one before.
    """

    start: Start | None = None
    parent: _Descriptor | None = None
    path: bytes = b""
    follow: bool = False
    depth: int = 0


class GuestPaths:
    """The paths of one run.

    Args:
        files: What the guest sees; every tmpfs has its directory.
        inner: Gives the module that calls wasmtime's WASI, linked.
    """

    def __init__(self, files: GuestFiles, inner: Callable[[], wasmtime.InstancePre]) -> None:
        self._files = files
        self._link_inner = inner
        self._inner: Inner | None = None
        self._tree: Tree | None = None
        self._descriptors: dict[int, _Descriptor] = {}
        self._preopened: list[_Descriptor] = []

    def preopens(self) -> list[Preopen]:
        """The directories that are open from the start, in the order of their descriptors; to be asked for once.

        Raises:
            InvalidInput: The root file system isn't there.
            InvalidMount: A mount isn't possible.
            InvalidSpec: The working directory isn't there.
        """
        files = self._files
        preopens = [Preopen("/", os.fsencode(files.rootfs), files.read_only)]
        preopens += [
            Preopen(mount.destination, os.fsencode(mount.source), mount.read_only)
            for mount in files.mounts
            if mount.source is not None and not mount.is_file
        ]
        self._preopened = [_Descriptor() for _ in preopens]
        if files.cwd != "/":
            self._preopened.append(_Descriptor())
            preopens.append(Preopen(".", *self._opened_tree().cwd()))
        self._descriptors = dict(enumerate(self._preopened, FIRST_PREOPEN))
        return preopens

    def close(self) -> None:
        """Close what was opened."""
        if self._tree is not None:
            self._tree.close()

    def call(self, caller: Any, call: Call, arguments: Sequence[int]) -> int:
        """Answer a call of the guest.

        Args:
            caller: The guest's instance, a ``wasmtime_caller_t``.
            call: The function.
            arguments: Its arguments, unsigned.

        Returns:
            The errno.

        Raises:
            CallTrapped: The guest is to end.
        """
        context = ffi.wasmtime_caller_context(caller)
        memory = calls.memory_of(caller)
        if self._inner is None:
            with current_run().unaccounted():
                self._inner = Inner(context, self._link_inner())
        try:
            paths, text = call.read(arguments, memory)
            errno = self._perform(context, call, arguments, paths, text)
        except FAILURES as failure:
            return errno_of(failure)
        if errno == Errno.SUCCESS:
            for pointer, data in self._inner.results(call, arguments):
                memory[pointer : pointer + len(data)] = data
            self._remember(call, arguments, paths, memory)
        return errno

    def _perform(self, context: Any, call: Call, arguments: Sequence[int], paths: list[GuestPath], text: bytes) -> int:
        assert self._inner is not None  # noqa: S101  for the type checker
        if not any(self._may_come_to_mount(fd) for fd, _ in paths):
            errno = self._inner.perform(context, call, arguments, paths, text)
            if not self._may_be_elsewhere(errno, paths):
                return errno
            try:
                resolved = self._resolve(call, arguments, paths)
            except FAILURES:
                return errno
            if resolved == paths:
                return errno
        else:
            resolved = self._resolve(call, arguments, paths)
        return self._inner.perform(context, call, arguments, resolved, text)

    def _may_come_to_mount(self, fd: int) -> bool:
        if not self._files.mounts:
            return False
        start = self._start(self._descriptors.get(fd))
        return start is not None and self._opened_tree().meets_mounts(start)

    def _may_be_elsewhere(self, errno: int, paths: list[GuestPath]) -> bool:
        if errno == Errno.NOENT:
            descriptors = (self._descriptors.get(fd) for fd, _ in paths)
            return any(item is not None and item.start is not None and item.start.fallback for item in descriptors)
        return errno in _OUTSIDE and bool(paths)

    def _resolve(self, call: Call, arguments: Sequence[int], paths: list[GuestPath]) -> list[GuestPath]:
        return [
            self._resolve_one(call, arguments, argument, fd, path)
            for argument, (fd, path) in zip(call.paths, paths, strict=True)
        ]

    def _resolve_one(
        self, call: Call, arguments: Sequence[int], argument: PathArgument, fd: int, path: bytes
    ) -> GuestPath:
        start = self._start(self._descriptors.get(fd))
        if start is None:
            return fd, path
        intent = argument.intent
        if call.name == "path_open" and arguments[4] & _CREATE:
            intent = Intent.MAKE
        with self._opened_tree().locate(start, path, intent, follow=_follows(call, arguments, argument)) as location:
            return self._opened_tree().address(location) or (fd, path)

    def _remember(self, call: Call, arguments: Sequence[int], paths: list[GuestPath], memory: memoryview) -> None:
        """Keep how a descriptor came about."""
        if call.name == "path_open":
            (fd, path), argument = paths[0], call.paths[0]
            opened = int.from_bytes(memory[arguments[8] : arguments[8] + 4], "little")
            parent = self._descriptors.get(fd) or _Descriptor()
            follow = _follows(call, arguments, argument)
            if parent.depth < _MAX_DEPTH:
                self._descriptors[opened] = _Descriptor(parent=parent, path=path, follow=follow, depth=parent.depth + 1)
            else:
                self._descriptors.pop(opened, None)
        elif call.name == "fd_renumber":
            self._descriptors[arguments[1]] = self._descriptors.pop(arguments[0], _Descriptor())

    def _start(self, descriptor: _Descriptor | None) -> Start | None:
        """Where the paths start that belong to a descriptor; None when that can't be told any more."""
        self._opened_tree()
        chain = []
        while descriptor is not None and descriptor.start is None:
            chain.append(descriptor)
            descriptor = descriptor.parent
        start = None if descriptor is None else descriptor.start
        for opened in reversed(chain):
            if start is None:
                return None
            try:
                with self._opened_tree().locate(start, opened.path, Intent.FIND, follow=opened.follow) as location:
                    start = opened.start = Start(location.position)
            except FAILURES:
                return None
        return start

    def _opened_tree(self) -> Tree:
        """The guest's tree, opened when it is first needed."""
        if self._tree is None:
            self._tree = Tree(self._files)
            for descriptor, start in zip(self._preopened, self._tree.starts, strict=True):
                descriptor.start = start
        return self._tree


def _follows(call: Call, arguments: Sequence[int], argument: PathArgument) -> bool:
    """Whether a link at the end of a path is followed."""
    if argument.flags is None or not arguments[argument.flags] & 1:
        return False
    return not (call.name == "path_open" and arguments[4] & _CREATE and arguments[4] & _EXCLUSIVE)

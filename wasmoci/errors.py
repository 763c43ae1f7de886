"""Defines the exceptions that wasmoci raises.

::

    WasmociError                      exit status 125
    ├── InvalidInput                  a file or an argument is not what it has to be
    │   ├── InvalidSpec               config.json: unreadable, not JSON, a wrong type
    │   ├── InvalidBundle             the directory around it: no rootfs, no config.json
    │   ├── InvalidConfiguration      a configuration file or an environment variable of wasmoci's own
    │   ├── InvalidMount              a mount without a source, a destination with ".."
    │   └── InvalidModule             not WebAssembly, or damaged (126)
    ├── EntrypointError               the program that the spec names (126)
    │   └── EntrypointNotFound        it isn't there (127)
    ├── UnsupportedModule             an engine can't run this module: a feature or an import (126)
    ├── UnsupportedWorkload           an engine can't give what the spec or the caller asks for (126)
    ├── CompileLimitExceeded          validating or compiling a module took too long, or too much memory (126)
    ├── EngineError                   125
    │   ├── UnknownEngine             no handler has this name
    │   ├── EngineUnavailable         the handler is there, its engine isn't
    │   ├── DuplicateEngine           two distributions register one name
    │   ├── NoSuitableEngine          every engine was passed over (126)
    │   ├── EngineCrashed             the engine's process died under the guest, or over its module
    │   └── JailUnavailable           the engine isn't a sandbox by itself, and this machine has no jail for it
    ├── ImageError                    125
    │   ├── InvalidReference          an image's name that can't be read
    │   ├── ImageNotFound             no image, tag or platform as asked for
    │   ├── InvalidImage              damaged: a digest, a size, a media type, JSON, a layer's archive
    │   │   └── UnsafeLayer           a layer that reaches out of the root file system
    │   ├── ImageLimitExceeded        more bytes, entries, compression, layers or time than allowed
    │   ├── StoreError                the local store can't do it: in use, not writable
    │   └── RegistryError             a registry can't be reached, or refuses
    │       └── RegistryDenied        401 and 403
    ├── IntegrationError              the configuration of a container engine can't be changed as asked for
    ├── NativeRefused                 a native workload that nobody has allowed, or that would act on the host (126)
    ├── NativeRuntimeError            crun, runc or youki could not be run
    │   └── NativeRuntimeNotFound     none is installed
    └── UnsafePlace                   a directory or a file of wasmoci's own that another user could have made, or could change

Two more carry what is known of a guest, and are in :mod:`wasmoci.result`: ``GuestNotReady`` and ``GuestFailed``.

``exit_status`` is what the commands exit with when the guest never ran, the same numbers as Docker's and Podman's.
Messages and hints may quote what a registry, an image or a guest says, so they are made fit to be shown here: :mod:`wasmoci.text.escape`.
"""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.text.escape import one_line

if TYPE_CHECKING:
    from typing import ClassVar


class WasmociError(Exception):
    """The base of all errors of this package.

    Args:
        message: One sentence that names the file and the place in it, what was found and what was expected. Characters that
            aren't printable are escaped, line breaks too.
        hint: What to do about it, when that is known; shown on a line of its own. Escaped like the message.
    """

    exit_status: ClassVar[int] = 125
    _keeps: ClassVar[str] = ""
    """Of the characters that aren't printable, those that a message may have: line breaks, where it is put together of lines."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(one_line(message, keep=self._keeps))
        self.restate(message, hint=hint)

    def restate(self, message: str, *, hint: str | None) -> None:
        """Replace the message and the hint.

        Args:
            message: As at first.
            hint: As at first.
        """
        self.message = one_line(message, keep=self._keeps)
        self.hint = None if hint is None else one_line(hint)

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n{self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        # An exception crosses from a worker process to its caller: keep it whole, whatever __init__ wants.
        return (_restore, (type(self), self.args, self.__dict__))


def _restore(kind: type[WasmociError], args: tuple[object, ...], state: dict[str, object]) -> WasmociError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidInput(WasmociError):
    """A file or an argument is not what it has to be."""


class InvalidSpec(InvalidInput):
    """A ``config.json`` that can't be read or breaks the OCI runtime specification.

    Args:
        message: What was found and what was expected.
        source: The file, as the caller named it.
        path: Where in it, as a JSON path (``$.process.args[0]``).
        hint: What to do about it.
    """

    def __init__(
        self, message: str, *, source: str | None = None, path: str | None = None, hint: str | None = None
    ) -> None:
        where = ": ".join(part for part in (source, path) if part)
        super().__init__(f"{where}: {message}" if where else message, hint=hint)
        self.source = source
        self.path = path


class InvalidBundle(InvalidInput):
    """A bundle directory that is missing, or lacks its ``config.json`` or root file system."""


class InvalidConfiguration(InvalidInput):
    """A configuration file of wasmoci, or an environment variable, with a wrong value."""


class InvalidMount(InvalidInput):
    """A mount whose source is missing, or whose destination can't be one."""


class InvalidModule(InvalidInput):
    """Bytes that are not WebAssembly, or damaged WebAssembly.

    Args:
        message: What was found and what was expected.
        source: The file, as the caller named it.
        offset: Where in it, in bytes from its beginning.
        hint: What to do about it.
    """

    exit_status = 126

    def __init__(
        self, message: str, *, source: str | None = None, offset: int | None = None, hint: str | None = None
    ) -> None:
        where = ": ".join(part for part in (source, None if offset is None else f"byte {offset:#x}") if part)
        super().__init__(f"{where}: {message}" if where else message, hint=hint)
        self.source = source
        self.offset = offset


class EntrypointError(WasmociError):
    """The program that ``process.args[0]`` names can't be run: a directory, unreadable, or without the function."""

    exit_status = 126


class EntrypointNotFound(EntrypointError):
    """The program that ``process.args[0]`` names isn't in the root file system."""

    exit_status = 127


class UnsupportedModule(WasmociError):
    """An engine can't run a module: it lacks a feature, or nobody provides an import."""

    exit_status = 126


class UnsupportedWorkload(WasmociError):
    """An engine doesn't support what the spec or the caller asks for, such as a mount of a single file."""

    exit_status = 126


class EngineError(WasmociError):
    """An error of an engine that isn't the guest's."""


class UnknownEngine(EngineError):
    """No handler is registered under the name."""


class EngineUnavailable(EngineError):
    """The handler is registered, and its engine can't be loaded here."""


class DuplicateEngine(EngineError):
    """Two distributions register a handler under one name."""


class NoSuitableEngine(EngineError):
    """No engine that is installed can run the workload; the message gives each one's reason."""

    exit_status = 126
    _keeps = "\n"


class EngineCrashed(EngineError):
    """The process that ran the guest, or that validated or compiled its module, died of a fault in the engine.

    Args:
        message: What happened.
        signal: The signal's number that ended the process, when it was one.
        stderr: The last that the process wrote about it, as text.
        hint: What to do about it.
    """

    def __init__(self, message: str, *, signal: int | None = None, stderr: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.signal = signal
        self.stderr = stderr


class JailUnavailable(EngineError):
    """An engine that isn't a sandbox by itself can't be put into the jail: Landlock, seccomp or a single thread is missing."""


class CompileLimitExceeded(WasmociError):
    """Validating or compiling a module exceeded a limit of time or memory. Nothing of the guest has run.

    Args:
        message: Which module, which engine, and what it was refused.
        limit: ``time`` or ``memory``.
        hint: What to do about it.
    """

    exit_status = 126

    def __init__(self, message: str, *, limit: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.limit = limit


class ImageError(WasmociError):
    """An error with an image, its store or its registry."""


class InvalidReference(ImageError):
    """An image's name that is not in the notation of containers/image, nor a path that holds an image."""


class ImageNotFound(ImageError):
    """No image under this name, no such tag in a layout, or none for the platform."""


class InvalidImage(ImageError):
    """An image that is damaged or of an unknown kind.

    Args:
        message: What was found and what was expected.
        source: The blob, file or archive member, as a user would look for it.
        path: Where in it: a JSON path, or an entry of a layer.
        hint: What to do about it.
    """

    def __init__(
        self, message: str, *, source: str | None = None, path: str | None = None, hint: str | None = None
    ) -> None:
        where = ": ".join(part for part in (source, path) if part)
        super().__init__(f"{where}: {message}" if where else message, hint=hint)
        self.source = source
        self.path = path


class UnsafeLayer(InvalidImage):
    """A layer with an entry that would write, link or delete outside the root file system."""


class ImageLimitExceeded(ImageError):
    """An image that unpacks to more than ``wasmoci.image.UnpackLimits`` allows, or is transferred at more than ``TransferLimits``."""


class StoreError(ImageError):
    """The local store of images can't do what was requested."""


class RegistryError(ImageError):
    """A registry that can't be reached, or that answers with an error.

    Args:
        message: What was asked of which registry, and the answer.
        status: The HTTP status, when there was one.
        hint: What to do about it.
    """

    def __init__(self, message: str, *, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class RegistryDenied(RegistryError):
    """The registry requires credentials (401), refuses them (403), or wants them sent to an untrusted host."""


class IntegrationError(WasmociError):
    """The configuration of Podman, containerd, CRI-O or Docker can't be changed as asked for; nothing was changed.

    Args:
        message: What was found and what was expected.
        source: The configuration file, a host path.
        line: Where in it, counted from 1.
        hint: What to do about it.
    """

    def __init__(
        self, message: str, *, source: str | None = None, line: int | None = None, hint: str | None = None
    ) -> None:
        where = ": ".join(part for part in (source, None if line is None else f"line {line}") if part)
        super().__init__(f"{where}: {message}" if where else message, hint=hint)
        self.source = source
        self.line = line


class NativeRefused(WasmociError):
    """A native workload that isn't run: the caller asked for Wasm, an image's was not allowed, or it would mount on the host."""

    exit_status = 126


class NativeRuntimeError(WasmociError):
    """The native OCI runtime could not do what was requested."""


class NativeRuntimeNotFound(NativeRuntimeError):
    """Neither crun nor runc nor youki is installed, or the one that was named isn't."""

    exit_status = 127


class UnsafePlace(WasmociError):
    """A directory or a file of wasmoci's own on the host that another user could have made, or could change or replace."""

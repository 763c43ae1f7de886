"""The base class of the conformance kit: the handler under test, and functions to run the kit's guests on it."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pytest

from wasmoci import isolation
from wasmoci.errors import EngineError
from wasmoci.handlers.capabilities import Capability
from wasmoci.isolation.handler_import import reference_of
from wasmoci.limits import Limits
from wasmoci.stdio import Stdio
from wasmoci.testing.bundles import bundle
from wasmoci.testing.conformance.process_state import changes, standing
from wasmoci.testing.conformance.waiting_guest import waiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wasmoci.handlers.contract import EngineHandler
    from wasmoci.oci.bundle import Bundle
    from wasmoci.result import ExecutionResult
    from wasmoci.testing.conformance.waiting_guest import WaitingGuest

GUESTS = Path(__file__).parents[1] / "guests"
NO_LIMITS = Limits()


def guest_bytes(name: str) -> bytes:
    """Return a guest of the kit: ``guests/NAME.wasm``, whose source is in the same directory."""
    return (GUESTS / f"{name}.wasm").read_bytes()


class Runner:
    """Runs guests of the kit on one handler.

    Args:
        handler: The handler.
        directory: The test's own directory.
        patience: See :class:`Conformance`.
    """

    def __init__(self, handler: EngineHandler, directory: Path, patience: int) -> None:
        self.handler = handler
        self.directory = directory
        self.patience = patience
        self._numbers = itertools.count()

    def claims(self, *capabilities: Capability) -> None:
        """Skip the test unless the handler claims all of these capabilities."""
        missing = [capability.value for capability in capabilities if capability not in self.handler.capabilities]
        if missing:
            pytest.skip(f"{self.handler.name} doesn't claim {' and '.join(missing)}")

    def bundle(self, guest: str | bytes, *args: str, **options: Any) -> Bundle:
        """Create a bundle with a guest, given by name or as bytes; the options are those of :func:`wasmoci.testing.bundle`."""
        wasm = guest_bytes(guest) if isinstance(guest, str) else guest
        return bundle(self.directory / f"bundle{next(self._numbers)}", wasm, args=args, **options)

    def execute(self, made: Bundle, *, stdio: Stdio | None = None, limits: Limits = NO_LIMITS) -> ExecutionResult:
        """Run a bundle on the handler in this process; output is captured by default."""
        kind = type(self.handler)
        before = None if kind in _first_changes else standing()
        try:
            return self.handler.execute(made.spec, made.rootfs, stdio=stdio or Stdio.capture(), limits=limits)
        except SystemExit as error:
            message = f"execute called sys.exit({error.code!r}); it has to return a result, whatever the guest did"
            raise AssertionError(message) from None
        finally:
            if before is not None:
                _first_changes.setdefault(kind, changes(before, standing()))

    def first_changes(self) -> list[str]:
        """Return what the first run of such a handler has changed in the process."""
        return _first_changes[type(self.handler)]

    def __call__(
        self,
        guest: str | bytes,
        *args: str,
        stdio: Stdio | None = None,
        limits: Limits = NO_LIMITS,
        **options: Any,
    ) -> ExecutionResult:
        """Create a bundle with a guest and run it; see :meth:`bundle` and :meth:`execute`."""
        return self.execute(self.bundle(guest, *args, **options), stdio=stdio, limits=limits)

    def output(self, guest: str | bytes, *args: str, **options: Any) -> bytes:
        """Run a guest that has to exit with 0, and return its output."""
        result = self(guest, *args, **options)
        assert result.ok, f"the guest was expected to exit with 0: {ended(result)}"
        assert result.stdout is not None, "the standard output was to be captured, and the result has None"
        return result.stdout

    @contextlib.contextmanager
    def waiting(self) -> Iterator[WaitingGuest]:
        """Run a guest, and yield while it waits in the middle of its run."""
        made = self.bundle("cat")
        with waiting(lambda stdio: self.execute(made, stdio=stdio), self.patience) as guest:
            yield guest

    @property
    def apart(self) -> isolation.Isolation:
        """Return the isolation with which the dispatcher runs guests of this handler in a process of their own."""
        is_trusted = Capability.SANDBOXED in self.handler.capabilities
        return isolation.Isolation.PROCESS if is_trusted else isolation.Isolation.JAIL

    def in_worker(
        self,
        made: Bundle,
        limits: Limits,
        stdio: Stdio | None = None,
        isolated: isolation.Isolation | None = None,
    ) -> ExecutionResult:
        """Run a bundle in a worker process, as the dispatcher does for limits that a handler can't enforce; or with another isolation."""
        try:
            reference_of(self.handler)
        except EngineError as error:
            pytest.skip(f"{error.message}; {error.hint}")
        return isolation.execute(
            self.handler,
            made.spec,
            made.rootfs,
            stdio=stdio or Stdio.capture(),
            limits=limits,
            isolation=isolated or self.apart,
        )


class Conformance:
    """The base of the kit's classes.

    Attributes:
        handler: The class of the handler under test, which is made without arguments; or a handler.
        patience: Seconds, a whole number, that a guest continues if its time limit isn't enforced.
        gives_backtraces: Whether the engine provides a guest's frames after a trap.
        tells_of_refusals: Whether it reports that a guest which exited was refused memory.
    """

    handler: ClassVar[Any]
    patience: ClassVar[int] = 20
    gives_backtraces: ClassVar[bool] = True
    tells_of_refusals: ClassVar[bool] = True

    @pytest.fixture
    def subject(self) -> EngineHandler:
        """The handler under test. Override it if the handler has to be created in another way."""
        return made(type(self).handler)

    @pytest.fixture
    def run(self, subject: EngineHandler, tmp_path: Path) -> Runner:
        """A runner for core modules of the kit on the handler under test."""
        runner = Runner(subject, tmp_path, self.patience)
        runner.claims(Capability.WASI_PREVIEW1)
        return runner


_made: dict[type, EngineHandler] = {}
_first_changes: dict[type, list[str]] = {}


def made(handler: Any) -> EngineHandler:
    """Return a handler of a class, the same at each call, as it caches compiled modules; or a given handler unchanged."""
    if not isinstance(handler, type):
        return cast("EngineHandler", handler)
    if handler not in _made:
        _made[handler] = handler()
    return _made[handler]


def parted(found: bytes, expected: bytes) -> str:
    """Describe where a long output differs from the expected one; empty when it doesn't.

    When ``CI`` is set, pytest shows the whole difference of two values, which takes minutes for half a MiB.
    """
    if found == expected:
        return ""
    both = min(len(found), len(expected))
    place = next((index for index in range(both) if found[index] != expected[index]), both)
    counts = f"{len(found)} bytes of {len(expected)}"
    if place == both:
        return counts
    return (
        f"{counts}, and from byte {place} on {found[place : place + 20]!r} instead of {expected[place : place + 20]!r}"
    )


def ended(result: ExecutionResult) -> str:
    """Describe how a guest ended, for a message."""
    shown = f"{result.reason.name} with {result.exit_code}"
    return f"{shown} ({result.message})" if result.message else shown

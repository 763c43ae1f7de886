"""Runs the guests of a test, and keeps each run until the test's end for its report."""

from __future__ import annotations

import collections
import contextlib
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import attrs

from wasmoci.api import start
from wasmoci.determinism import Determinism, applied, current
from wasmoci.dispatch.dispatcher import Dispatcher
from wasmoci.dispatch.request import Request
from wasmoci.errors import UnsupportedModule, UnsupportedWorkload, WasmociError
from wasmoci.oci.bundle import Bundle
from wasmoci.options import RunOptions, StartOptions
from wasmoci.result import ExecutionResult
from wasmoci.stdio import Stdio
from wasmoci.testing.changes import Watch
from wasmoci.testing.comparison import report_differences
from wasmoci.testing.guest_run import GuestRun
from wasmoci.testing.recorded_run import Attempt
from wasmoci.testing.tracebacks import short_traceback

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from wasmoci.isolation.running_guest import RunningGuest
    from wasmoci.testing.building import Builder, Wasm
    from wasmoci.testing.engine_choice import EngineChoice

_Options = TypeVar("_Options", RunOptions, StartOptions)

_TWO = 2  # engines to compare: one has nobody to agree with
_KEPT = 8  # runs of a test that can be shown


_OF_THE_BUNDLE = {"bundle", "args", "env", "volumes", "cwd", "read_only"}
"""Options of a run that a test gives where its bundle is made."""

_NOT_FOR_TESTS = {"stdio", "platform", "native"}
"""Options that a test has no use for: it sees what the guest writes, and is about Wasm."""


class Workbench:
    """Runs the guests of one test. Closing it ends all of them.

    Args:
        builder: Makes bundles.
        choices: The engines that :meth:`compare` runs on.
        timeout: The default time limit in seconds.
        memory: The default memory limit in bytes.
        determinism: The default deterministic time and random bytes.
        leave_out: Called with the reason when the engine can't run a workload that another one can; doesn't return.
        miss: Called with the reason when something isn't installed; doesn't return.

    Attributes:
        engine: The engine that the test runs on; None for one to be chosen.
        attempts: The last runs, in order.
    """

    def __init__(
        self,
        builder: Builder,
        *,
        choices: Callable[[], Sequence[EngineChoice]],
        timeout: float | None,
        memory: int | None,
        determinism: Determinism | None,
        leave_out: Callable[[str], NoReturn],
        miss: Callable[[str], NoReturn],
    ) -> None:
        self._builder = builder
        self.engine: str | None = None
        self._choices = choices
        self._timeout = timeout
        self._memory = memory
        self._determinism = determinism
        self._leave_out = leave_out
        self._miss = miss
        self._stack = contextlib.ExitStack()
        self.attempts: collections.deque[Attempt] = collections.deque(maxlen=_KEPT)

    def __repr__(self) -> str:
        return "wasmoci"  # pytest shows the fixtures of a test that fails

    def close(self) -> None:
        """End all running guests, and remove what was unpacked for the test."""
        self._stack.close()

    @short_traceback
    def run(self, wasm: Wasm, *, deterministic: Determinism | bool | None = None, **options: Any) -> GuestRun:
        """Run a guest to its end.

        Args:
            wasm: See :data:`wasmoci.testing.building.Wasm`.
            deterministic: Whether it gets the same time and random bytes at each run, or which.
            **options: Of the run: ``stdin``, ``engine``, ``timeout``, ``memory``, ``fuel`` and ``isolation``, see
                :func:`wasmoci.run`; without them it is the test's engine, and the limits that are configured. And of the bundle;
                see :meth:`Builder.workload`.

        Raises:
            WasmociError: It could not be run.
        """
        __tracebackhide__ = True
        engine = options.get("engine")
        bundle, asked = self._asked(RunOptions, wasm, options)
        attempt = self._begin(Request.of(asked, bundle, asked.streams), deterministic)
        try:
            return self._execute(attempt)
        except (UnsupportedModule, UnsupportedWorkload) as error:
            if engine is None:
                self._pass_over(attempt, error)
            raise

    @short_traceback
    def compare(
        self,
        wasm: Wasm,
        *,
        deterministic: Determinism | bool | None = None,
        ignore: Sequence[str] = (),
        **options: Any,
    ) -> GuestRun:
        """Run a guest on all engines, each time with its own copy of the files, and check that the results agree.

        Args:
            wasm: As for :meth:`run`.
            deterministic: As for :meth:`run`.
            ignore: What to ignore: ``stdout``, ``stderr``, ``files``, or a prefix of guest paths.
            **options: As for :meth:`run`, but for ``engine``.

        Returns:
            The result on the first engine.

        Raises:
            AssertionError: They don't agree; the message has the differences.
            WasmociError: It could not be run on any.
        """
        __tracebackhide__ = True
        choices = self._choices()
        usable = [choice for choice in choices if not choice.missing and not choice.excluded]
        left_out = [f"{choice.name}: {choice.missing or choice.excluded}" for choice in choices if choice not in usable]
        refuse = self._miss if any(choice.missing for choice in choices) else self._leave_out
        if len(usable) < _TWO:  # with no engine at all, a text can't be assembled either
            refuse(_alone([choice.name for choice in usable], left_out))
        bundle, asked = self._asked(RunOptions, wasm, options, without={"engine"})
        runs, errors = [], []
        for choice in usable:
            request = Request.of(attrs.evolve(asked, engine=choice.name), self._builder.copy(bundle), asked.streams)
            attempt = self._begin(request, deterministic)
            try:
                runs.append(self._execute(attempt))
            except (UnsupportedModule, UnsupportedWorkload) as error:
                errors.append(error)
                left_out.append(f"{choice.name} can't run it: {error.message}")
        if errors and not runs:
            raise errors[0]
        if len(runs) < _TWO:
            refuse(_alone([run.engine for run in runs], left_out))
        problem = report_differences(runs, ignore)
        if problem:
            raise AssertionError("\n".join((problem, *(f"left out: {reason}" for reason in left_out))))
        return runs[0]

    @short_traceback
    def start(self, wasm: Wasm, *, deterministic: Determinism | bool | None = None, **options: Any) -> RunningGuest:
        """Start a guest, and return once it runs. It is ended at the end of the test at the latest.

        Args:
            wasm: As for :meth:`run`.
            deterministic: As for :meth:`run`.
            **options: As for :meth:`run`; without ``stdin`` it reads what is written to the guest that this gives.

        Raises:
            WasmociError: It could not be started.
        """
        __tracebackhide__ = True
        engine = options.get("engine")
        bundle, asked = self._asked(StartOptions, wasm, options)
        attempt = self._begin(Request.of(asked, bundle, Stdio.null()), deterministic)
        try:
            with applied(attempt.determinism):
                guest = start(**attrs.asdict(asked, recurse=False))
                attempt.guest = self._stack.enter_context(guest)
        except WasmociError as error:
            attempt.error = error
            if engine is None and isinstance(error, (UnsupportedModule, UnsupportedWorkload)):
                self._pass_over(attempt, error)
            raise
        return attempt.guest

    def _asked(
        self, kind: type[_Options], wasm: Wasm, options: dict[str, Any], *, without: Collection[str] = ()
    ) -> tuple[Bundle, _Options]:
        """The bundle, and what the test wants of the run; the options that belong to neither are refused."""
        names = {field.name for field in attrs.fields(kind)} - _OF_THE_BUNDLE - _NOT_FOR_TESTS - {*without}
        given = {name: options.pop(name) for name in names & options.keys()}
        given["engine"] = given.get("engine") or self.engine
        workload = self._builder.workload(wasm, options)
        # An image stays unpacked until the end of the test, so that its files can be inspected and its run explained.
        bundle = workload if isinstance(workload, Bundle) else self._stack.enter_context(workload)
        return bundle, kind(bundle, **{"timeout": self._timeout, "memory": self._memory, **given})

    def _begin(self, request: Request, wish: Determinism | bool | None) -> Attempt:  # noqa: FBT001  as the test has it
        determinism = self._determinism or current()
        if isinstance(wish, Determinism):
            determinism = wish
        elif wish is not None:
            determinism = (determinism or Determinism()) if wish else None
        attempt = Attempt(attrs.evolve(request, wasm=True), determinism)
        self.attempts.append(attempt)
        return attempt

    def _execute(self, attempt: Attempt) -> GuestRun:
        try:
            watch = Watch(attempt.request.bundle)
            with applied(attempt.determinism):
                result = Dispatcher().execute(attempt.request)
        except WasmociError as error:
            attempt.error = error
            raise
        known = {field.name: getattr(result, field.name) for field in attrs.fields(ExecutionResult)}
        attempt.run = GuestRun(**known, changes=watch.changes())
        return attempt.run

    def _pass_over(self, attempt: Attempt, error: WasmociError) -> None:
        """Skip the test's engine, unless no other can run the workload either."""
        __tracebackhide__ = True
        if self.engine is not None and attempt.runs_elsewhere():
            self._leave_out(f"{self.engine} can't run it: {error.message}")


def _alone(engines: Sequence[str], left_out: Sequence[str]) -> str:
    return "; ".join((f"a comparison takes two engines, and has {', '.join(engines) or 'none'}", *left_out))

"""Classifies a bundle, selects the engine or the native runtime for it, and runs it."""

from __future__ import annotations

import contextlib

from wasmoci import isolation as isolations
from wasmoci import native as natives
from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.dispatch import native_consent, native_program, registry
from wasmoci.dispatch.request import Request
from wasmoci.dispatch.selection import Selection, Wasm, select, suggest
from wasmoci.dispatch.settings import Settings
from wasmoci.errors import NativeRefused, UnsupportedModule, UnsupportedWorkload
from wasmoci.limits import NO_LIMITS, Limits
from wasmoci.oci.classification import Classification, Kind, classify
from wasmoci.oci.program import in_hand
from wasmoci.stdio import INHERIT, Stdio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from wasmoci.dispatch.registry import Registry
    from wasmoci.isolation import Isolation
    from wasmoci.isolation.child_process import ChildProcess
    from wasmoci.isolation.warm_servers import OnlyForked, Servers
    from wasmoci.oci.bundle import Bundle
    from wasmoci.oci.program import GuestProgram
    from wasmoci.result import ExecutionResult


class Dispatcher:
    """Runs bundles, each on the engine that fits it. Safe to use from several threads.

    Args:
        engines: The engines to choose from where none is named, in order; None for the user's settings.
        settings: The user's settings; None to read them from the configuration file and the environment.
        registry: The handlers; None for those that are registered.
        forced: ``wasm``, or an engine's name, to make every container but a sandbox Wasm.
        servers: Where worker processes come from; None for those that all dispatchers share.
    """

    def __init__(
        self,
        engines: Sequence[str] | None = None,
        *,
        settings: Settings | None = None,
        registry: Registry | None = None,
        forced: str | None = None,
        servers: Servers | OnlyForked | None = None,
    ) -> None:
        self._engines = tuple(engines) if engines is not None else None
        self._settings = settings
        self._registry = registry
        self._forced = forced
        self._servers = servers

    # No functools.cached_property, which takes a lock for it on old Pythons: that is much of a small run.
    @property
    def settings(self) -> Settings:
        """The settings."""
        if self._settings is None:
            self._settings = Settings.load()
        return self._settings

    @property
    def registry(self) -> Registry:
        """The handlers to choose from."""
        if self._registry is None:
            self._registry = registry.default()
        return self._registry

    def classify(self, request: Request, *, quiet: bool = False) -> Classification:
        """Decide whether what is to be run is Wasm or native; see :func:`wasmoci.oci.classification.classify`."""
        bundle = request.bundle
        # What would be refused doesn't run natively, which is what a warning says.
        refused = request.means_wasm or (bundle.image is not None and not request.native)
        return classify(
            bundle.spec,
            bundle.rootfs,
            handlers=self.registry.names,
            detection=self.settings.detection,
            forced=self._forced,
            wasm=request.means_wasm,
            quiet=quiet or refused,
        )

    def check_native(self, request: Request, classification: Classification) -> None:
        """Check that a native workload may run.

        Raises:
            NativeRefused: It may not.
        """
        asked = native_consent.asked_for(request)
        if not asked and self._engines is not None and not request.native:
            asked = f"the choice among the engines {', '.join(self._engines)}"
        native_consent.check(request, classification, asked=asked)

    def run(
        self,
        bundle: Bundle,
        *,
        engine: str | None = None,
        stdio: Stdio = INHERIT,
        limits: Limits = NO_LIMITS,
        isolation: Isolation | None = None,
        wasm: bool | None = None,
        native: bool = False,
    ) -> ExecutionResult:
        """Run a bundle to its end, Wasm or native.

        Args:
            bundle: What to run.
            engine: The engine to use, which means that it is Wasm; None to have one chosen.
            stdio: Its streams.
            limits: What it may use; the spec's memory limit holds where these have none.
            isolation: Where a guest runs, which means that it is Wasm; None to have it chosen.
            wasm: Whether a native workload is refused; False says that the isolation doesn't mean it. A dispatcher that was given
                engines refuses one, too, unless it is ``native``.
            native: Whether a native workload of an image may run; that of a bundle may, unless Wasm is asked for.

        Raises:
            WasmociError: It could not be run; see :mod:`wasmoci.errors`.
        """
        return self.execute(Request(bundle, engine, stdio, limits, isolation, wasm, native))

    def execute(self, request: Request, *, ready: Callable[[], None] | None = None) -> ExecutionResult:
        """See :meth:`run`.

        Args:
            request: What is to be run.
            ready: Called when a guest is next to start, its engine chosen and its module compiled.
        """
        bundle, stdio = request.bundle, request.stdio
        classification = self.classify(request)
        if classification.kind is Kind.NATIVE:
            self.check_native(request, classification)
            with _explained(bundle, classification):
                return natives.run(bundle, runtime=self.settings.native_runtime, stdio=stdio, limits=request.limits)
        program = native_program.read(bundle, classification)
        selection = self.select(request, classification, program, runs=True)
        if ready is not None:
            ready()
        token = in_hand.set(program)
        try:
            return isolations.execute(
                selection.handler,
                bundle.spec,
                bundle.rootfs,
                stdio=stdio,
                limits=selection.workload.limits,
                isolation=selection.isolation,
                servers=self._servers,
                module=program.module,
                preparing=self.settings.bounds,
            )
        except (UnsupportedModule, UnsupportedWorkload) as error:
            self._suggest(error, selection)
            raise
        finally:
            in_hand.reset(token)

    @contextlib.contextmanager
    def launch(self, request: Request) -> Iterator[ChildProcess]:
        """Start a bundle, Wasm or native, in a process of its own, which is gone at the end of the context.

        Args:
            request: What is to be run; its isolation is ``PROCESS`` or ``JAIL``, or None for the one that the engine is trusted with.

        Raises:
            WasmociError: It could not be run, which may show itself at its end alone: in :meth:`ChildProcess.finish`.
        """
        bundle, stdio = request.bundle, request.stdio
        classification = self.classify(request)
        if classification.kind is Kind.NATIVE:
            self.check_native(request, classification)
            with contextlib.ExitStack() as stack:
                with _explained(bundle, classification):
                    container = stack.enter_context(
                        natives.launch(bundle, runtime=self.settings.native_runtime, stdio=stdio, limits=request.limits)
                    )
                yield container
            return
        program = native_program.read(bundle, classification)
        selection = self.select(request, classification, program, apart=True, runs=True)
        try:
            with isolations.launch(
                selection.handler,
                bundle.spec,
                bundle.rootfs,
                stdio=stdio,
                limits=selection.workload.limits,
                isolation=selection.isolation,
                servers=self._servers,
                module=program.module,
                preparing=self.settings.bounds,
            ) as worker:
                yield worker
        except (UnsupportedModule, UnsupportedWorkload) as error:
            self._suggest(error, selection)
            raise

    def _suggest(self, error: UnsupportedModule | UnsupportedWorkload, selection: Selection) -> None:
        """Add other suitable engines to an engine's refusal."""
        if error.hint is None:
            suggest(error, selection.workload, self.registry, selection.handler.name)

    def select(
        self,
        request: Request,
        classification: Classification,
        program: GuestProgram | None = None,
        *,
        apart: bool = False,
        thorough: bool = False,
        runs: bool = False,
    ) -> Selection:
        """Choose the engine for what is Wasm; the arguments are those of :class:`Wasm` and of :func:`select`.

        Its program is read, unless it is given; where it ``runs`` next, it may be compiled at the same go.

        Raises:
            WasmociError: None fits, or the program can't be run on any.
        """
        program = program or native_program.read(request.bundle, classification)
        workload = self.workload(request, program, apart=apart, runs=runs)
        named = self.named(classification, request.engine)
        order, first = (self.order(), self.first) if named is None else ((), None)
        return select(workload, self.registry, named=named, order=order, first=first, thorough=thorough)

    def workload(self, request: Request, program: GuestProgram, *, apart: bool = False, runs: bool = False) -> Wasm:
        """What the choice of an engine depends on."""
        return Wasm(
            module=program.module,
            files=program.files,
            stdio=request.stdio,
            limits=request.effective_limits,
            isolation=request.isolation,
            apart=apart,
            bounds=self.settings.bounds,
            runs=runs,
        )

    def named(self, classification: Classification, engine: str | None = None) -> str | None:
        """Return the engine that is named by the caller, else by the spec, else by the environment."""
        restricted = self._engines is not None
        return engine or classification.engine or (None if restricted else self.settings.engine)

    @property
    def first(self) -> str:
        """Return the first engine in the list of the caller or of the user's settings, which counts as named."""
        engines = self.settings.engines if self._engines is None else self._engines
        return next(iter(engines), "")

    def order(self) -> tuple[str, ...]:
        """Return the engines to try when none is named: those in the settings, then all other registered ones."""
        if self._engines is not None:
            return self._engines
        registered = self.registry.names()
        preferred = tuple(name for name in self.settings.engines if name in registered)
        return preferred + tuple(name for name in registered if name not in preferred)


@contextlib.contextmanager
def _explained(bundle: Bundle, classification: Classification) -> Iterator[None]:
    """Add the annotation that would have made the workload Wasm to a refusal of its native spec."""
    try:
        yield
    except NativeRefused as error:
        native_consent.explain(error, bundle, classification)
        raise

"""The public names as a user writes them. Nothing runs here: mypy checks that they have the types that a user expects."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wasmoci
from wasmoci.testing import Changes, GuestRun, bundle

if TYPE_CHECKING:
    from typing_extensions import assert_type  # noqa: TC004  mypy brings it along, and nothing runs here


def running(bundle: str | Path) -> None:
    """The one call."""
    result = wasmoci.run(
        bundle,
        engine="wasm3",
        args=["-v", "x"],
        env={"A": "1"},
        volumes=["/srv:/srv:ro"],
        cwd="/srv",
        read_only=True,
        stdin=b"in",
        timeout=5.0,
        memory=64 << 20,
        isolation="process",
    )
    assert_type(result, wasmoci.ExecutionResult)
    assert_type(result.exit_code, int)
    assert_type(result.exit_status, int)
    assert_type(result.reason, wasmoci.ExitReason)
    assert_type(result.stdout, bytes | None)
    assert_type(result.stderr_truncated, bool)
    assert_type(result.engine, str)
    assert_type(result.duration, float)
    assert_type(result.message, str)
    assert_type(result.backtrace, tuple[str, ...])
    assert_type(result.check(), wasmoci.ExecutionResult)
    assert_type(wasmoci.run(bundle=bundle, timeout=None), wasmoci.ExecutionResult)
    wasmoci.run(wasmoci.Bundle.load(bundle), env=["A=1"], stdin=Path("file"), fuel=1000)
    wasmoci.run(bundle, stdio=wasmoci.Stdio.inherit(), isolation=wasmoci.Isolation.INLINE)
    wasmoci.run(bundle, stdio=wasmoci.Stdio(stdin=wasmoci.Stream.NULL, stdout=print, stderr=wasmoci.Capture(1024)))


def pooling(bundle: Path) -> None:
    """Many guests."""
    with wasmoci.WorkerPool(4, engines=("wasm3", "wasmtime")) as pool:
        assert_type(pool, wasmoci.WorkerPool)
        assert_type(pool.run(bundle, args=["x"], timeout=5.0), wasmoci.ExecutionResult)
        pool.run(bundle, isolation="process")


async def awaiting(bundle: Path) -> None:
    """A guest in a task."""
    with wasmoci.WorkerPool() as pool:
        assert_type(await pool.run_async(bundle, engine="wasm3"), wasmoci.ExecutionResult)
    assert_type(await wasmoci.run_async(bundle, engine="wasm3", timeout=5.0), wasmoci.ExecutionResult)
    await wasmoci.run_async(bundle, isolation="jail")
    assert_type(await wasmoci.run_async(bundle, platform="linux/amd64", native=True), wasmoci.ExecutionResult)


def starting(bundle: Path) -> None:
    """A guest that is talked to."""
    with wasmoci.start(bundle, engine="wasm3", args=["-v"], env={"A": "1"}, timeout=5.0, memory=64 << 20) as guest:
        assert_type(guest, wasmoci.RunningGuest)
        assert_type(guest.wait_for_line("ready").string, str)
        guest.wait_for_line(re.compile("x"), stream="stderr", timeout=1)
        guest.wait_for_file("/run/ready")
        guest.wait_for_time(0.5)
        guest.write("text\n")
        guest.write(b"bytes\n", timeout=1)
        guest.close_stdin()
        for line in guest.lines():
            assert_type(line, str)
        assert_type(guest.stdout, bytes)
        assert_type(guest.poll(), wasmoci.ExecutionResult | None)
        assert_type(guest.wait(timeout=1.0), wasmoci.ExecutionResult)
        assert_type(guest.stop(signal.SIGINT, grace=1), wasmoci.ExecutionResult)
        assert_type(guest.pid, int)
        guest.wait_for_line("x", stream="both")  # type: ignore[arg-type]


def mistakes(bundle: Path) -> None:
    """What a user may get wrong is found before it runs."""
    wasmoci.run(bundle, timeout="5")  # type: ignore[arg-type]
    wasmoci.run(bundle, stdin="text")  # type: ignore[arg-type]
    wasmoci.run(bundle, "wasmtime")  # type: ignore[call-arg]
    wasmoci.run(bundle, time=5)  # type: ignore[call-arg]
    wasmoci.run()  # type: ignore[call-arg]
    wasmoci.start(bundle, stdio=wasmoci.Stdio.null())  # type: ignore[call-arg]
    wasmoci.explain(bundle, fuel="1")  # type: ignore[arg-type]
    wasmoci.WorkerPool().run(bundle, engine=1)  # type: ignore[arg-type]
    wasmoci.Limits(memory="64Mi")  # type: ignore[arg-type]


def looking(bundle: Path) -> None:
    """Specs, classifications, explanations, engines."""
    spec = wasmoci.Spec.load(bundle / "config.json")
    assert_type(spec.annotations, dict[str, str])
    assert_type(spec.memory_limit, int | None)
    decision = wasmoci.classify(spec, bundle / "rootfs")
    assert_type(decision, wasmoci.Classification)
    assert_type(decision.kind, wasmoci.Kind)
    assert_type(decision.engine, str | None)
    explanation = wasmoci.explain(bundle, engine="wasmtime", timeout=1, volumes=["/srv:/srv"])
    assert_type(explanation, wasmoci.Explanation)
    assert_type(explanation.to_dict(), dict[str, Any])
    assert_type(explanation.module, Mapping[str, Any])
    for status in wasmoci.engines():
        assert_type(status, wasmoci.EngineStatus)
        assert_type(status.available, bool)
        assert_type(status.capabilities, frozenset[wasmoci.Capability])


def dispatching(bundle: Path, tell: Callable[[str], None]) -> int:
    """A dispatcher of one's own, and errors."""
    dispatcher = wasmoci.Dispatcher(engines=("wasm3", "wasmtime"))
    try:
        result = dispatcher.run(
            wasmoci.Bundle.load(bundle),
            stdio=wasmoci.Stdio.capture(b"in"),
            limits=wasmoci.Limits(time=5, memory=1 << 20),
        )
    except wasmoci.UnsupportedModule as error:
        assert_type(error.message, str)
        assert_type(error.hint, str | None)
        return error.exit_status
    except wasmoci.WasmociError as error:
        tell(str(error))
        return error.exit_status
    try:
        result.check()
    except wasmoci.GuestFailed as failed:
        assert_type(failed.result, wasmoci.ExecutionResult)
    return result.exit_status


def testing(wasm_run: Callable[..., GuestRun], directory: Path) -> None:
    """What tests are given."""
    run = wasm_run(bundle(directory, "(module)"), deterministic=wasmoci.Determinism(seed=1)).check()
    assert_type(run.out, str)
    assert_type(run.files, Mapping[str, bytes])
    assert_type(run.changes, Changes)
    with wasmoci.deterministic(time=0.0):
        assert_type(run.stdout, bytes | None)

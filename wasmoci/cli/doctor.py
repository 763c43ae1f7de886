"""``wasmoci doctor``: reports what is installed, what is missing, and what to do about it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from wasmoci.api import engines
from wasmoci.cli.options import add_json
from wasmoci.cli.output import say, say_json, table
from wasmoci.dispatch.settings import Settings
from wasmoci.errors import IntegrationError, InvalidConfiguration
from wasmoci.integration import containerd, crio
from wasmoci.isolation.jail.self_test import attempt
from wasmoci.native.programs import RUNTIMES
from wasmoci.native.runtimes import installed
from wasmoci.wasi.syscalls import openat2_available

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from wasmoci.native.runtimes import NativeRuntime

OK, MISSING, PROBLEM = "ok", "missing", "problem"
_STATE_WIDTH = 7
_VERSION_LIMIT = 10  # seconds that another program may take to print its version


@attrs.frozen(kw_only=True)
class Finding:
    """The result of one check.

    Args:
        topic: ``host``, ``engines``, ``native runtimes``, ``integration`` or ``settings``.
        name: What was checked.
        state: ``ok``, ``missing`` (for something optional) or ``problem``.
        detail: What was found.
        advice: What to do about it; empty when there is nothing to do.
    """

    topic: str
    name: str
    state: str
    detail: str
    advice: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print the findings; return 1 if one is a problem."""
    findings = tuple(_findings())
    if options.json:
        say_json([attrs.asdict(finding) for finding in findings])
    else:
        for topic in dict.fromkeys(finding.topic for finding in findings):
            _print(topic, [finding for finding in findings if finding.topic == topic])
        problems = [finding for finding in findings if finding.state == PROBLEM]
        say(f"{len(problems)} problem{'s' * (len(problems) != 1)}" if problems else "all is well")
    return 1 if any(finding.state == PROBLEM for finding in findings) else 0


def _print(topic: str, findings: list[Finding]) -> None:
    say(topic)
    rows = [(f"{finding.state:<{_STATE_WIDTH}}", finding.name, finding.detail) for finding in findings]
    for line, finding in zip(table(rows, indent="  ").splitlines(), findings, strict=True):
        say(line)
        if finding.advice:
            say(f"{'':{_STATE_WIDTH + 4}}{finding.advice}")


def _findings() -> Iterator[Finding]:
    yield from _host()
    yield from _engines()
    yield from _native_runtimes()
    yield from integration()
    yield _settings()


def _host() -> Iterator[Finding]:
    yield Finding(topic="host", name="wasmoci", state=OK, detail=version("wasmoci"))
    python = f"{platform.python_implementation()} {platform.python_version()} at {sys.executable or 'an unknown place'}"
    yield Finding(topic="host", name="python", state=OK, detail=python)
    yield Finding(
        topic="host",
        name="system",
        state=OK,
        detail=f"{platform.system()} {platform.release()} on {platform.machine()}",
    )
    if openat2_available():
        yield Finding(
            topic="host", name="openat2", state=OK, detail="the kernel keeps guests beneath their directories"
        )
    else:
        yield Finding(
            topic="host",
            name="openat2",
            state=MISSING,
            detail="paths are resolved one component at a time, which is as safe but slower",
            advice="it needs Linux 5.6 or later, and a seccomp profile that allows it",
        )

    yield _jail()


def _jail() -> Finding:
    trial = attempt()
    if trial.problem:
        advice = "without it, an engine without a sandbox, such as wasm3, runs only with --isolation process or inline"
        return Finding(topic="host", name="jail", state=MISSING, detail=trial.problem, advice=advice)
    advice = (
        "" if trial.is_apart else "with user namespaces, a guest in the jail couldn't even see that other files exist"
    )
    return Finding(topic="host", name="jail", state=OK, detail=trial.detail, advice=advice)


def _engines() -> Iterator[Finding]:
    statuses = engines()
    for status in statuses:
        if status.available:
            able = ", ".join(sorted(capability.value for capability in status.capabilities))
            detail = f"{status.engine_version} ({status.distribution}): {able}".strip()
            yield Finding(topic="engines", name=status.name, state=OK, detail=detail)
        else:
            yield Finding(
                topic="engines", name=status.name, state=MISSING, detail=status.reason, advice=status.hint or ""
            )
    if not any(status.available for status in statuses):
        yield Finding(
            topic="engines",
            name="any",
            state=PROBLEM,
            detail="no engine is usable, so no Wasm workload can run",
            advice="install all of them with: pip install 'wasmoci[all]'",
        )


def _native_runtimes() -> Iterator[Finding]:
    found = {runtime.name: runtime for runtime in installed()}
    for name, runtime in found.items():
        yield Finding(topic="native runtimes", name=name, state=OK, detail=f"{_version(runtime)} at {runtime.path}")
    for name in RUNTIMES:
        if name not in found:
            advice = "" if found else f"native workloads need one of {', '.join(RUNTIMES)}: apt-get install crun"
            yield Finding(topic="native runtimes", name=name, state=MISSING, detail="not installed", advice=advice)
    if found and os.geteuid() != 0:
        yield Finding(
            topic="native runtimes",
            name="user",
            state=MISSING,
            detail="you are not root, so a native bundle has to be made for rootless use",
            advice="make its spec with: crun spec --rootless",
        )
    if "crun" in found and Path("/sys/fs/cgroup/unified/cgroup.controllers").exists():
        yield Finding(
            topic="native runtimes",
            name="cgroups",
            state=MISSING,
            detail="this host mixes cgroup versions 1 and 2, which crun refuses",
            advice="" if "runc" in found else "install runc, which works here: apt-get install runc",
        )


def _version(runtime: NativeRuntime) -> str:
    try:
        answer = subprocess.run(  # noqa: S603  a runtime that would run containers as well
            [str(runtime.path), "--version"], capture_output=True, text=True, timeout=_VERSION_LIMIT, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unknown version ({error})"
    first = answer.splitlines()[0] if answer.strip() else ""
    return first.replace(runtime.name, "").replace("version", "").strip() or "unknown version"


def integration(root: Path | None = None) -> Iterator[Finding]:
    """Report what in the configuration of containerd and CRI-O gives authors of pods control of the host.

    Args:
        root: The machine's root directory; None for this machine.
    """
    for name, module in (("containerd", containerd), ("cri-o", crio)):
        try:
            found = module.openings(root)
        except IntegrationError as error:
            yield Finding(
                topic="integration",
                name=name,
                state=MISSING,
                detail=f"its configuration can't be checked: {error.message}",
                advice=error.hint or "",
            )
            continue
        for opening in found:
            advice = f"name annotations exactly, as in: wasmoci config {name}"
            yield Finding(topic="integration", name=name, state=PROBLEM, detail=str(opening), advice=advice)


def _settings() -> Finding:
    try:
        settings = Settings.load()
    except InvalidConfiguration as error:
        return Finding(
            topic="settings", name="file", state=PROBLEM, detail=error.message, advice=error.hint or "correct the file"
        )
    detail = f"{settings.source or 'no configuration file'}; engines: {', '.join(settings.engines)}"
    if settings.engine:
        detail += f"; WASMOCI_ENGINE: {settings.engine}"
    return Finding(topic="settings", name="file", state=OK, detail=detail)

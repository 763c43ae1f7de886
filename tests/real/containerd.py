"""containerd with root, state and socket below one directory, called through ``ctr`` and through its CRI socket."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.real import programs
from tests.real.images import PAUSE
from tests.real.programs import RUNTIME, Done
from tests.support.waiting import wait_for
from wasmoci.integration.configuration_plan import ANNOTATIONS
from wasmoci.integration.toml_edit import value

if TYPE_CHECKING:
    from tests.real.podman import Podman

CONFIGURATION = """\
version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = [{disabled}]
[grpc]
  address = "{socket}"
[ttrpc]
  address = "{socket}.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "{directory}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "{pause}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{directory}/cni"
    conf_dir = "{directory}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "wasm"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.wasm]
      runtime_type = "io.containerd.runc.v2"
      pod_annotations = {annotations}
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.wasm.options]
        BinaryName = "{runtime}"
"""

DISABLED = ("btrfs", "zfs", "devmapper", "aufs")


class Containerd:
    """The daemon while it runs.

    Args:
        directory: Where all that it keeps is. Its sockets have a directory of their own: their paths have to be short.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.sockets = Path(tempfile.mkdtemp(prefix="ctrd-"))
        self.socket = self.sockets / "s"
        self.log = directory / "log"
        (directory / "config.toml").write_text(
            CONFIGURATION.format(
                directory=directory,
                socket=self.socket,
                runtime=RUNTIME,
                annotations=value(ANNOTATIONS),
                pause=PAUSE,
                disabled=", ".join(f'"io.containerd.snapshotter.v1.{name}"' for name in DISABLED),
            )
        )

    def __enter__(self) -> Containerd:
        """Start it, and wait until it answers."""
        command = [programs.program("containerd"), "--config", str(self.directory / "config.toml")]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_for("containerd", lambda: self.ctr("version", check=False).returncode == 0)
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and the shims that a test has left."""
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # any process may end meanwhile
                if str(self.socket).encode() in process.read_bytes() and process.parent.name != str(self.process.pid):
                    os.kill(int(process.parent.name), signal.SIGKILL)
        self.process.terminate()
        self.process.wait(programs.PATIENCE)
        shutil.rmtree(self.sockets)

    def ctr(self, *arguments: str | Path, namespace: str = "default", check: bool = True) -> Done:
        """Call ``ctr``."""
        return programs.run(*self.command(*arguments, namespace=namespace), check=check)

    def command(self, *arguments: str | Path, namespace: str = "default") -> list[str]:
        """The command line of a call of ``ctr``."""
        return [programs.program("ctr", "containerd"), "-a", str(self.socket), "-n", namespace, *map(str, arguments)]

    def load(self, podman: Podman, image: str) -> None:
        """Give it an image of Podman's, for ``ctr`` and for CRI."""
        archive = self.directory / "image.tar"
        archive.unlink(missing_ok=True)
        programs.run(
            programs.program("buildah"), "push", "--quiet", image, f"oci-archive:{archive}:{image}", **podman.place
        )
        for namespace in ("default", "k8s.io"):
            self.ctr("images", "import", archive, namespace=namespace)

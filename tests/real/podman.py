"""Podman and Buildah with storage, state and configuration below one directory."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from tests.real import programs
from tests.real.programs import RUNTIME, Done
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Hard limits can't be raised in a container, which Podman's defaults would do. There is no systemd, nor its journal. Locks in
# shared memory would be those of every other Podman of the user.
CONFIGURATION = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
lock_type = "file"
events_logger = "file"
tmp_dir = "{directory}/tmp"
runtime_supports_json = ["runc", "crun", "wasmoci-runtime", "wasmoci-wasm"]
"""

STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{directory}/graph"
runroot = "{directory}/run"
"""


class Podman:
    """Podman, with a place of its own.

    Args:
        directory: Where all that it keeps is.
        configuration: Its ``containers.conf``.
    """

    def __init__(self, directory: Path, configuration: str = CONFIGURATION) -> None:
        self.directory = directory
        home = directory / "home"
        policy = home / ".config" / "containers" / "policy.json"
        policy.parent.mkdir(parents=True)
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        for name, text in (("containers.conf", configuration), ("storage.conf", STORAGE)):
            (directory / name).write_text(text.format(directory=directory))
        self.environment = {
            **os.environ,
            "HOME": str(home),
            "CONTAINERS_CONF": str(directory / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(directory / "storage.conf"),
            "TMPDIR": str(directory),
        }

    def __call__(
        self, *arguments: str | Path, runtime: Path = RUNTIME, check: bool = True, stdin: str | None = None
    ) -> Done:
        """Call ``podman`` over a runtime."""
        return programs.run(*self.command(*arguments, runtime=runtime), check=check, stdin=stdin, **self.place)

    @property
    def place(self) -> dict[str, Any]:
        """The environment and the directory in which the programs run."""
        return {"environment": self.environment, "directory": self.directory}

    def command(self, *arguments: str | Path, runtime: Path = RUNTIME) -> list[str]:
        """The command line of a call."""
        return [programs.program("podman"), "--runtime", str(runtime), *map(str, arguments)]

    def inspect(self, container: str, part: str = "State") -> Any:
        """A part of what ``podman inspect`` tells of a container."""
        return json.loads(self("inspect", container).stdout)[0][part]

    def wait_for_log(self, container: str, text: str) -> None:
        """Wait until a container has written something."""
        wait_for(f"{text!r} from {container}", lambda: text in self("logs", container).stdout)

    def build(
        self, name: str, files: Mapping[str, Path], *commands: str, annotations: Mapping[str, str] | None = None
    ) -> str:
        """Build an image from nothing with Buildah's single steps, and return its name.

        Args:
            name: Its name.
            files: Guest paths, and the host's files.
            commands: Options of ``buildah config``.
            annotations: Annotations on the image.
        """
        buildah = programs.program("buildah")
        container = programs.run(buildah, "from", "scratch", **self.place).stdout.strip()
        for path, source in files.items():
            programs.run(buildah, "copy", "--quiet", container, source, path, **self.place)
        options = [f"--annotation={key}={value}" for key, value in (annotations or {}).items()]
        programs.run(buildah, "config", *options, *commands, container, **self.place)
        programs.run(buildah, "commit", "--quiet", "--rm", container, name, **self.place)
        return name

    def end(self) -> None:
        """Remove all containers and images."""
        self("pod", "rm", "--all", "--force", "--time=0", check=False)
        self("rm", "--all", "--force", "--time=0")
        programs.run(programs.program("buildah"), "rm", "--all", check=False, **self.place)
        self("rmi", "--all", "--force")

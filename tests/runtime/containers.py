"""Calls ``wasmoci-runtime`` with a root of its own, and sees what it leaves on the machine."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.bundles import write_bundle
from tests.support.guests import build
from wasmoci.runtime import state_directories

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROGRAM = [sys.executable, "-c", "from wasmoci.runtime.main import program; program()"]
# crun refuses a host whose cgroups are half version 1, half version 2, and makes directories where the second half was.
_HIDE = "umount /sys/fs/cgroup/unified && mount -t tmpfs none /sys/fs/cgroup/unified"
ONE_HIERARCHY = ["unshare", "--mount", "sh", "-c", f'{_HIDE}; exec "$@"', "sh"]
HYBRID = Path("/sys/fs/cgroup/unified/cgroup.controllers").exists()
over_each_native = pytest.mark.parametrize("runtime", ["runc", "crun"], indirect=True)
LIMIT = 60  # seconds in which any command ends
NOTHING: dict[str, Sequence[object]] = {"cgroups": [], "states": [], "records": [], "mounts": [], "processes": []}
"""What :meth:`Runtime.remains` gives where all containers were deleted, as it does a moment after their processes were killed."""

_NAMESPACES = ("pid", "ipc", "uts", "mount", "network")


class Runtime:
    """The runtime for one test.

    Args:
        directory: Where its root, its bundles and its logs are; a directory of the test's own.
        native: The native runtime's name.
    """

    def __init__(self, directory: Path, native: str) -> None:
        self.directory = directory
        self.native = native
        self.root = directory / "root"
        self.root.mkdir()
        self._bundles = 0
        self._group = f"wasmoci-tests-{os.getpid()}-{directory.name}"

    def bundle(self, guest: str | Path, *args: str, **options: Any) -> Path:
        """A bundle of a guest of ``tests/guests``, complete enough for a native runtime; see :func:`write_bundle`."""
        self._bundles += 1
        extra = options.pop("extra", {})
        process, linux = extra.pop("process", {}), extra.pop("linux", {})
        wasm = build(guest) if isinstance(guest, str) else guest
        path = write_bundle(self.directory / f"bundle{self._bundles}", wasm, args=args, **options)
        document = json.loads((path / "config.json").read_text(encoding="utf-8"))
        document["process"] = {"user": {"uid": 0, "gid": 0}, **document["process"], **process}
        document["mounts"].insert(0, {"destination": "/proc", "type": "proc", "source": "proc"})
        namespaces = [{"type": kind} for kind in _NAMESPACES]
        group = {"cgroupsPath": f"/{self._group}-{self._bundles}"}
        document["linux"] = {"namespaces": namespaces, **group, **document.get("linux", {}), **linux}
        document |= extra
        (path / "config.json").write_text(json.dumps(document), encoding="utf-8")
        return path

    def command(self, *arguments: str | Path) -> list[str]:
        """The whole command line of a call."""
        prefix = ONE_HIERARCHY if self.native == "crun" and HYBRID else []
        options = ("--native-runtime", self.native, "--root", str(self.root))
        return [*prefix, *PROGRAM, *options, *map(str, arguments)]

    def call(
        self, *arguments: str | Path, stdin: bytes | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Call it, and wait for its end."""
        source: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        return subprocess.run(
            self.command(*arguments), capture_output=True, timeout=LIMIT, check=False, env=env, **source
        )

    def ok(self, *arguments: str | Path) -> str:
        """Call it, and have its output; it has to succeed."""
        done = self.call(*arguments)
        assert (done.returncode, done.stderr.decode()) == (0, ""), arguments
        return done.stdout.decode()

    def run(self, guest: str | Path, *args: str, name: str = "c", **options: Any) -> subprocess.CompletedProcess[bytes]:
        """Run a guest in a container to its end."""
        return self.call("run", "--bundle", self.bundle(guest, *args, **options), name)

    @contextlib.contextmanager
    def running(self, guest: str, name: str = "c", **options: Any) -> Iterator[subprocess.Popen[bytes]]:
        """A container that runs, and whose guest has begun; the process is that of ``run``."""
        command = self.command("run", "--bundle", self.bundle(guest, **options), name)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                if guest == "cat":
                    process.stdin.write(b"begun\n")
                    process.stdin.flush()
                assert process.stdout.readline() == b"begun\n"
                yield process
            finally:
                self.call("delete", "--force", name)
                process.kill()

    def create(self, guest: str | Path, *args: str, name: str = "c", **options: Any) -> int:
        """Create a container with its output in the file ``output``, and have its process's id."""
        pid = self.directory / "pid"
        with (self.directory / "output").open("wb") as output:
            command = self.command("create", "--pid-file", pid, "--bundle", self.bundle(guest, *args, **options), name)
            subprocess.run(command, check=True, timeout=LIMIT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        return int(pid.read_text(encoding="ascii"))

    def output(self) -> str:
        """What a created container has written so far."""
        return (self.directory / "output").read_text(encoding="utf-8")

    def remains(self) -> dict[str, Sequence[object]]:
        """What there is of its containers on the machine, and of no other's: a test of another worker may be called alike."""
        return {
            "cgroups": [
                str(path)
                for pattern in (f"{self._group}-*", f"*/{self._group}-*")
                for path in Path("/sys/fs/cgroup").glob(pattern)
            ],
            "states": sorted(entry.name for entry in self.root.iterdir()),
            "records": [str(self.records)] if self.records.exists() else [],
            "mounts": [line for line in _lines("/proc/self/mountinfo") if self._is_mine(line)],
            "processes": [pid for pid in _processes() if self._owns(pid)],
        }

    @property
    def records(self) -> Path:
        """What the runtime itself keeps of its containers."""
        return Path(state_directories.container(str(self.root), "any")).parent

    def _is_mine(self, mount: str) -> bool:
        return f"{self.directory}/" in mount or self.records.name in mount

    def _owns(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return any(map(self._is_mine, _lines(f"/proc/{pid}/mountinfo")))
        return False


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()


def _processes() -> list[int]:
    own = Path("/proc/self/ns/mnt").stat().st_ino
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "ns" / "mnt").stat().st_ino != own:
                found.append(int(entry.name))
    return found

"""What those find who enter a Wasm container's mount namespace: its own root, as in a native container."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.runtime.containers import Runtime, over_each_native
from tests.support.guests import build

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENTER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
namespace = os.open(f"/proc/{sys.argv[1]}/ns/mnt", os.O_RDONLY)
assert libc.setns(namespace, 0) == 0, ctypes.get_errno()
"""


def entered(pid: int, then: str) -> str:
    """What a program of Python's prints in the mount namespace of a process."""
    command = [sys.executable, "-c", ENTER + then, str(pid)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def pid_of(runtime: Runtime) -> int:
    """The first process of the container ``c``."""
    return int(json.loads(runtime.ok("state", "c"))["pid"])


def volumes(tmp_path: Path) -> list[object]:
    """A volume with a file, and a tmpfs."""
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "file").write_text("of the volume")
    return [(tmp_path / "volume", "/volume", "rbind"), {"type": "tmpfs", "destination": "/tmp"}]


def test_created(runtime: Runtime, tmp_path: Path) -> None:
    """From its creation on they find the image's files and the mounts, and nothing of the engine's."""
    pid = runtime.create("sleep", files={"/etc/image": "x"}, mounts=volumes(tmp_path))
    found = entered(pid, "print(sorted(os.listdir('/')), open('/volume/file').read())")
    assert found == "['app.wasm', 'etc', 'tmp', 'volume'] of the volume\n"
    assert entered(pid, "print(os.listdir('/etc'))") == "['image']\n"


@over_each_native
def test_they_share_files_with_the_guest(runtime: Runtime, tmp_path: Path) -> None:
    """What one of them writes a module that is executed reads, and the other way round; each time it is the same place."""
    files = {"/bin/files.wasm": build("files").read_bytes()}
    with runtime.running("sleep", files=files, mounts=volumes(tmp_path)):
        pid = pid_of(runtime)
        entered(pid, "open('/tmp/in', 'w').write('from outside')")
        assert runtime.ok("exec", "c", "/bin/files.wasm", "read", "/tmp/in") == "read /tmp/in: from outside\n"
        runtime.ok("exec", "c", "/bin/files.wasm", "write", "/tmp/out", "from inside")
        assert entered(pid, "print(open('/tmp/out').read())") == "from inside\n"
        assert entered(pid, "print(sorted(os.listdir('/')))") == "['app.wasm', 'bin', 'tmp', 'volume']\n"


def test_read_only(runtime: Runtime) -> None:
    """A root that is read-only for the guest is so for everybody."""
    pid = runtime.create("sleep", readonly=True)
    code = "\ntry: open('/new', 'w')\nexcept OSError as error: print(error.strerror)"
    assert entered(pid, code) == "Read-only file system\n"


def test_an_interpreter_of_the_images(runtime: Runtime) -> None:
    """A program that lies in the image where the interpreter is on the host is never run in its place."""
    files: dict[str, str | bytes] = {sys.executable: "#!/bin/sh\n", "/bin/show.wasm": build("show").read_bytes()}
    with runtime.running("sleep", files=files):
        assert runtime.ok("exec", "c", "/bin/show.wasm", "x") == "arg 0: /bin/show.wasm\narg 1: x\nenv: HOME=/\n"


def test_exec_leaves_nothing(runtime: Runtime) -> None:
    """The copy of the namespace ends with the call; the container's own is as it was."""
    with runtime.running("sleep", files={"/bin/show.wasm": build("show").read_bytes()}):
        pid = pid_of(runtime)
        before = entered(pid, "print(os.listdir('/'))"), _mounts(pid)
        runtime.ok("exec", "c", "/bin/show.wasm")
        assert (entered(pid, "print(os.listdir('/'))"), _mounts(pid)) == before


def _mounts(pid: int) -> Iterator[str] | list[str]:
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as stream:  # noqa: PTH123
        return [line.split()[4] for line in stream]

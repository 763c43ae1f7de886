"""A process that enters the jail, and then does what native code would do that has taken over an engine.

Started as ``python inmate.py``, with what it is to do on its standard input as JSON: the places, whether there are namespaces, and
whether they are made ahead, by a process that may mount or not. Its standard output is a JSON object of their outcomes.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
import struct
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wasmoci.isolation.jail import allowed_syscalls, root
from wasmoci.isolation.jail.entering import enter, prepare
from wasmoci.isolation.jail.root import Place

if TYPE_CHECKING:
    from collections.abc import Callable

_libc = ctypes.CDLL(None, use_errno=True)
_CAPABILITIES = struct.pack("=Ii", 0x2008_0522, 0)  # struct __user_cap_header_struct
_CAP_SYS_ADMIN = 21
_HIGHEST = 500  # no system call has a higher number yet
_PROBES = {
    335,
    336,
}  # uretprobe and uprobe of x86_64, for the kernel's own trampolines, which seccomp never sees: SIGILL
_LISTED = {rule.number for rule in allowed_syscalls.policy(sees_only_its_own=True).rules}
_COLUMN = allowed_syscalls.COLUMNS[os.uname().machine]


def raw(number: int, *arguments: int) -> str:
    """A system call as native code makes it: ``ok`` or the name of its errno."""
    ctypes.set_errno(0)
    padded = [ctypes.c_long(value) for value in (*arguments, *(0,) * (6 - len(arguments)))]
    if _libc.syscall(ctypes.c_long(number), *padded) >= 0:
        return "ok"
    return errno.errorcode[ctypes.get_errno()]


def outcome(attack: Callable[[], object]) -> Any:
    """What becomes of an attack: its result, or the name of the errno."""
    try:
        return attack()
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def every_other_call() -> list[int]:
    """The numbers of all calls that aren't on the list, and do something else than fail with EPERM."""
    return [number for number in range(_HIGHEST) if number not in _LISTED | _PROBES and raw(number) != "EPERM"]


def conditional_calls() -> dict[str, str]:
    """Calls that are on the list, with arguments that aren't."""
    parent = os.getppid()
    number = {name: pair[_COLUMN] for name, pair in allowed_syscalls.CONDITIONAL.items()}
    address = ctypes.create_string_buffer(struct.pack("=H", socket.AF_UNIX) + b"/x", 110)
    new_user, thread = 0x1000_0000, 0x0001_0100
    return {
        "fork": raw(number["clone"], signal.SIGCHLD),
        "thread in a new user namespace": raw(number["clone"], thread | new_user),
        "clone3": raw(number["clone3"]),
        "F_SETOWN": raw(number["fcntl"], 0, 8, parent),
        "F_NOTIFY": raw(number["fcntl"], 0, 1026, 1),
        "TIOCSTI": raw(number["ioctl"], 0, 0x5412, ctypes.addressof(address)),
        "TIOCLINUX": raw(number["ioctl"], 0, 0x541C, ctypes.addressof(address)),
        "PR_SET_PTRACER": raw(number["prctl"], 0x59616D61, parent),
        "PR_SET_PDEATHSIG": raw(number["prctl"], 1, 0),
        "prlimit of the parent": raw(number["prlimit64"], parent, 7),
        "sendto an address": raw(number["sendto"], 1, 0, 0, 0, ctypes.addressof(address), 110),
        "a socket for the Internet": raw(number["socketpair"], socket.AF_INET, 1),
        "signal to everybody": raw(number["kill"], -1, 0),
        "signal to its group": raw(number["kill"], 0, 0),
        "signal to the parent by its process": raw(number["kill"], parent, 0),
        "signal to the parent": raw(number["tgkill"], parent, parent, 0),
    }


def files(places: list[str]) -> dict[str, Any]:
    """What there is of the host's files, by every call that tells of one."""
    inside, read_only, *_ = places
    return {
        "list /": outcome(lambda: os.listdir("/")),
        "stat /etc/passwd": outcome(lambda: bool(os.stat("/etc/passwd"))),
        "read /etc/passwd": outcome(lambda: Path("/etc/passwd").read_text(encoding="utf-8")),
        "read .. of the root": outcome(lambda: Path(inside, "../../../../etc/passwd").read_text(encoding="utf-8")),
        "list /proc": outcome(lambda: os.listdir("/proc")),
        "own environment": outcome(lambda: Path("/proc/self/environ").read_bytes().decode()),
        "own memory": outcome(lambda: bool(Path("/proc/self/mem").open("r+b"))),
        "parent's environment": outcome(lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes().decode()),
        "make a file in /": outcome(lambda: Path("/made").write_text("x", encoding="utf-8")),
        "make a file in /tmp": outcome(lambda: Path("/tmp/made").write_text("x", encoding="utf-8")),
        "cut a file that may be read": outcome(
            lambda: os.close(os.open(f"{read_only}/kept", os.O_RDONLY | os.O_TRUNC))
        ),
        "make a file where only reading is allowed": outcome(
            lambda: Path(read_only, "n").write_text("", encoding="utf-8")
        ),
        "move a file out of there": outcome(lambda: os.rename(f"{read_only}/kept", f"{inside}/kept")),
        "link a file out of there": outcome(lambda: os.link(f"{read_only}/kept", f"{inside}/linked")),
        "change a mode": outcome(lambda: os.chmod(f"{inside}/own", 0o4777)),
        "a device": outcome(lambda: os.mknod(f"{inside}/device", 0o20666, os.makedev(1, 1))),
        "a FIFO": outcome(lambda: os.mkfifo(f"{inside}/fifo")),
        "a Unix socket": outcome(lambda: bool(socket.socket(socket.AF_UNIX))),
        "run a program": outcome(lambda: os.execv("/bin/true", ["true"])),
    }


def own(places: list[str]) -> dict[str, Any]:
    """What the process has, and what it can still do, which a guest needs."""
    inside, read_only, file = places

    def rename() -> None:
        Path(inside, "made").write_text("x", encoding="utf-8")
        Path(inside, "directory").mkdir()
        Path(inside, "made").rename(Path(inside, "directory", "moved"))

    def thread() -> str:
        told: list[str] = []
        started = threading.Thread(target=told.append, args=("told",))
        started.start()
        started.join()
        return told[0]

    def descriptors() -> list[int]:
        found = []
        for number in range(1024):
            with contextlib.suppress(OSError):
                os.fstat(number)
                found.append(number)
        return found

    return {
        "rename": outcome(rename),
        "read": outcome(lambda: Path(read_only, "kept").read_text(encoding="utf-8")),
        "read a file": outcome(lambda: Path(file).read_text(encoding="utf-8")),
        "set times": outcome(lambda: os.utime(f"{inside}/own", (1, 1))),
        "thread": outcome(thread),
        "descriptors": descriptors(),
        "environment": dict(os.environ),
    }


def forgo_mounting() -> None:
    """Give up the capability that mounting takes."""
    data = ctypes.create_string_buffer(24)
    _libc.capget(_CAPABILITIES, data)
    effective, permitted, *rest = struct.unpack("=6I", data.raw)
    kept = 0xFFFF_FFFF & ~(1 << _CAP_SYS_ADMIN)
    _libc.capset(_CAPABILITIES, struct.pack("=6I", effective & kept, permitted & kept, *rest))
    assert not root.may_mount()


def main() -> None:
    """Enter, attack, tell."""
    request = json.load(sys.stdin)
    if request["ahead"] and not request["may_mount"]:
        forgo_mounting()
    if request["ahead"]:
        try:
            prepare()
        except OSError as error:
            os.write(1, json.dumps({"unavailable": str(error)}).encode())
            return
    if not request["namespaces"]:

        def refuse(_proc: int) -> bool:
            raise root.NoNamespace(errno.EPERM, "refused")

        root._separate = refuse
    sys.stdout.flush()
    jailed = enter([Place(path, read_only) for path, read_only in request["places"]], {0, 1, 2})
    places = [place.path for place in jailed.places]
    told = {"files": files(places), "own": own(places), "calls": conditional_calls(), "others": every_other_call()}
    os.write(1, json.dumps(told).encode())
    os._exit(0)


if __name__ == "__main__":
    main()

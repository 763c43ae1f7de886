"""Lists the system calls allowed in the jail: those that an engine and the WASI host need on open files and descriptors.

None of them creates a process, a socket, a mount or a namespace, accesses another process, or changes the
owner or the mode of a file by its path.
"""

from __future__ import annotations

import errno
import functools
import os
import platform

from wasmoci.isolation.jail.seccomp import Argument, Policy, Rule

_TABLE = """
accept 43 202; accept4 288 242; access 21 -; brk 12 214; clock_getres 229 114; clock_gettime 228 113; clock_nanosleep 230 115
close 3 57; close_range 436 436; dup 32 23; dup2 33 -; dup3 292 24; epoll_create1 291 20; epoll_ctl 233 21; epoll_pwait 281 22
epoll_pwait2 441 441; epoll_wait 232 -; eventfd2 290 19; exit 60 93; exit_group 231 94; faccessat 269 48; faccessat2 439 439
fadvise64 221 223; fallocate 285 47; fdatasync 75 83; fstat 5 80; fstatfs 138 44; fsync 74 82; ftruncate 77 46; futex 202 98
getcwd 79 17; getdents64 217 61; getegid 108 177; geteuid 107 175; getgid 104 176; getpeername 52 205; getpid 39 172
getppid 110 173; getrandom 318 278; getrlimit 97 163; getrusage 98 165; getsockname 51 204; getsockopt 55 209; gettid 186 178
gettimeofday 96 169; getuid 102 174; link 86 -; linkat 265 37; lseek 8 62; lstat 6 -; madvise 28 233; membarrier 324 283
mkdir 83 -; mkdirat 258 34; mprotect 10 226; mremap 25 216; munmap 11 215; nanosleep 35 101
newfstatat 262 79; open 2 -; openat 257 56; openat2 437 437; pipe 22 -; pipe2 293 59; poll 7 -; ppoll 271 73; pread64 17 67
preadv 295 69; preadv2 327 286; pselect6 270 72; pwrite64 18 68; pwritev 296 70; pwritev2 328 287; read 0 63; readlink 89 -
readlinkat 267 78; readv 19 65; recvfrom 45 207; rename 82 -; renameat 264 38; renameat2 316 276; restart_syscall 219 128
rmdir 84 -; rseq 334 293; rt_sigaction 13 134; rt_sigprocmask 14 135; rt_sigreturn 15 139; sched_getaffinity 204 123
sched_yield 24 124; select 23 -; set_robust_list 273 99; shutdown 48 210; sigaltstack 131 132; stat 4 -; statfs 137 43
statx 332 291; symlink 88 -; symlinkat 266 36; sync_file_range 277 84; time 201 -; times 100 153; unlink 87 -; unlinkat 263 35
write 1 64; writev 20 66
"""
"""Calls that are allowed with any arguments: their names, and numbers on x86_64 and aarch64."""

CONDITIONAL = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "kill": (62, 129),
    "memfd_create": (319, 279),
    "mmap": (9, 222),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "sendto": (44, 206),
    "socketpair": (53, 199),
    "tgkill": (234, 131),
    "utimensat": (280, 88),
}
"""Calls that are allowed with some arguments."""

COLUMNS = {"x86_64": 0, "aarch64": 1}
"""The architectures whose numbers are known, by their place in the tables."""

_AUDIT_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_THREAD = 0x0001_0100  # CLONE_THREAD | CLONE_VM
_NAMESPACES = 0x7E02_0080  # every CLONE_NEW*
_FCNTL = (0, 1, 2, 3, 4, 1030, 1032, 1033, 1034)  # duplicate, flags of descriptor and file, a pipe's size, seals
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_PRCTL = (15, 16)  # a thread's name
_AF_UNIX = 1
_SHARED, _ANONYMOUS, _GROWS_DOWN = 0x01, 0x20, 0x100  # MAP_*


def architecture() -> str | None:
    """Return this machine's architecture; None if its system calls aren't known."""
    machine = platform.machine()
    return machine if machine in COLUMNS else None


def policy(*, sees_only_its_own: bool) -> Policy:
    """Return the policy for this process, which may signal only its own threads.

    Args:
        sees_only_its_own: Whether no file but the guest's can be named. Otherwise no call stays that changes a file's times
            by its path, which Landlock doesn't look at.

    Raises:
        LookupError: The calls of this architecture aren't known.
    """
    beginning = of_any_process(sees_only_its_own=sees_only_its_own)
    own = (Argument(0, (os.getpid(),)),)
    column = COLUMNS[platform.machine()]
    return beginning.with_rules(Rule(CONDITIONAL[name][column], own) for name in ("kill", "tgkill"))


@functools.cache
def of_any_process(*, sees_only_its_own: bool) -> Policy:
    """Return the part of the policy that is the same in all processes, which is slow to create; see :func:`policy`."""
    machine = architecture()
    if machine is None:
        raise LookupError(f"the system calls of {platform.machine()} aren't known")
    column = COLUMNS[machine]
    plain = [line.split() for line in _TABLE.replace("\n", ";").split(";") if line.strip()]
    numbers = {name: pair[column] for name, pair in CONDITIONAL.items()}
    rules = [Rule(int(number)) for _, *pair in plain if (number := pair[column]) != "-"]
    rules += [
        Rule(numbers["clone"], (Argument(0, (_THREAD,), mask=_THREAD | _NAMESPACES),)),
        Rule(numbers["clone3"], error=errno.ENOSYS),  # its flags can't be seen; the C library falls back to clone
        # Memory that RLIMIT_DATA doesn't count: what is shared, and is no file, and what the kernel takes for a stack.
        Rule(numbers["memfd_create"], error=errno.ENOSYS),
        Rule(
            numbers["mmap"],
            (Argument(3, (_ANONYMOUS, 0, _SHARED), mask=_SHARED | _ANONYMOUS | _GROWS_DOWN),),
        ),
        Rule(numbers["fcntl"], (Argument(1, _FCNTL),)),
        Rule(numbers["ioctl"], (Argument(1, _IOCTL),)),  # none that types into a terminal
        Rule(numbers["prctl"], (Argument(0, _PRCTL),)),
        Rule(numbers["prlimit64"], (Argument(0, (0,)),)),
        Rule(numbers["sendto"], (Argument(4, (0,)), Argument(4, (0,), high=True))),  # to its peer, and to no address
        Rule(numbers["socketpair"], (Argument(0, (_AF_UNIX,)),)),
    ]
    any_path = (Argument(1, (0,)), Argument(1, (0,), high=True))
    rules.append(Rule(numbers["utimensat"], () if sees_only_its_own else any_path))
    return Policy.of(_AUDIT_ARCHITECTURES[machine], rules)

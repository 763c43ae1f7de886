"""Defines the seccomp profile of a native container from an image: Podman's default, for its default capabilities.

The names are those of Podman 5's default profile (containers-common, ``seccomp.json``), resolved for
:data:`wasmoci.image.running.native_confinement.CAPABILITIES`. They are listed here so that a host without that file has the
filter as well; a test compares them with the file where it is installed.
"""

from __future__ import annotations

import os
from typing import Any

_ALLOW, _ERRNO = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
_EPERM, _ENOSYS = 1, 38

_ALLOWED = """
_llseek _newselect accept accept4 access adjtimex alarm bind brk capget capset chdir chmod chown chown32 chroot
clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
clock_nanosleep_time64 clone clone3 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create
epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve
execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat
fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsconfig
fsetxattr fsmount fsopen fspick fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex
futex_time64 futimesat get_mempolicy get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid
getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid
getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt
gettid gettimeofday getuid getuid32 getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel
io_destroy io_getevents io_setup io_submit ioctl ioprio_get ioprio_set ipc keyctl kill landlock_add_rule
landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listxattr llistxattr
lremovexattr lseek lsetxattr lstat lstat64 madvise mbind membarrier memfd_create memfd_secret mincore mkdir mkdirat
mknod mknodat mlock mlock2 mlockall mmap mmap2 mount mount_setattr move_mount mprotect mq_getsetattr mq_notify mq_open
mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap msgctl msgget msgrcv msgsnd
msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open open_tree openat openat2 pause pidfd_getfd
pidfd_open pidfd_send_signal pipe pipe2 pivot_root pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl
pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace
pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv reboot recv recvfrom recvmmsg recvmmsg_time64
recvmsg remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending
rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler
sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg
sendto set_mempolicy set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid
setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid
setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr shmat shmctl shmdt shmget
shutdown sigaltstack signal signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs
statfs64 statx symlink symlinkat sync sync_file_range syncfs sysinfo syslog tee tgkill time timer_create timer_delete
timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask umount umount2
uname unlink unlinkat unshare utime utimensat utimensat_time64 utimes vfork wait4 waitid waitpid write writev
"""

_DENIED = """
acct bdflush bpf cachestat clock_settime clock_settime64 delete_module fanotify_init finit_module futex_requeue
futex_wait futex_waitv futex_wake init_module io_pgetevents io_pgetevents_time64 ioperm iopl kcmp kexec_file_load
kexec_load lookup_dcookie map_shadow_stack migrate_pages move_pages nfsservctl nice oldfstat oldlstat oldolduname
oldstat olduname open_by_handle_at pciconfig_iobase pciconfig_read pciconfig_write perf_event_open process_madvise
query_module quotactl quotactl_fd setdomainname sethostname setns settimeofday sgetmask ssetmask stime swapcontext
swapoff swapon syscall sysfs uselib userfaultfd ustat vhangup vm86 vm86old vmsplice
"""
"""The calls that fail with EPERM; any other call fails with ENOSYS, as on a kernel without it."""

_X86 = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
_S390X = ["SCMP_ARCH_S390X", "SCMP_ARCH_S390"]
_MACHINES: dict[str, tuple[list[str], str]] = {
    "x86_64": (_X86, "arch_prctl modify_ldt"),
    "aarch64": (
        ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2",
    ),
    "s390x": (_S390X, "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr"),
    "ppc64le": ([], "sync_file_range2"),
}
"""The architectures of a machine whose programs may run (none for its own alone), and the calls that only it has."""

_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
_AF_NETLINK, _AF_VSOCK, _FAMILIES = 16, 40, 46
_NETLINK_AUDIT, _NETLINK_PROTOCOLS = 9, 23


def profile(machine: str | None = None) -> dict[str, Any]:
    """Return ``linux.seccomp`` of a runtime spec.

    Args:
        machine: The processor, as ``uname`` names it; None for this machine's.
    """
    architectures, own = _MACHINES.get(machine or os.uname().machine, ([], ""))
    rules = [
        {"names": sorted([*_ALLOWED.split(), *own.split()]), "action": _ALLOW},
        {"names": _DENIED.split(), "action": _ERRNO, "errnoRet": _EPERM},
        *(_allow("personality", _is(0, value)) for value in _PERSONALITIES),
        *_sockets(),
    ]
    return {
        "defaultAction": _ERRNO,
        "defaultErrnoRet": _ENOSYS,
        **({"architectures": architectures} if architectures else {}),
        "syscalls": rules,
    }


def _sockets() -> list[dict[str, Any]]:
    """Return the rules for sockets: all families except vsock, and netlink except audit.

    Each family has a rule of its own. The kernel compares 64 bits but uses only 32 for the family, so a rule for all
    families but one would permit that one with a higher bit set.
    """
    families = [n for n in range(_FAMILIES) if n not in (_AF_NETLINK, _AF_VSOCK)]
    protocols = [n for n in range(_NETLINK_PROTOCOLS) if n != _NETLINK_AUDIT]
    netlink = _is(0, _AF_NETLINK)
    return [
        *(_allow("socket", _is(0, family)) for family in families),
        *(_allow("socket", netlink, _is(2, protocol)) for protocol in protocols),
    ]


def _allow(name: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {"names": [name], "action": _ALLOW, "args": list(conditions)}


def _is(index: int, value: int) -> dict[str, Any]:
    return {"index": index, "value": value, "op": "SCMP_CMP_EQ"}

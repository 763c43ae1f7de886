"""Restricts this process by seccomp to a list of system calls.

The list is compiled to a filter for classic BPF (``seccomp(2)``). A refused call fails with ``EPERM``, and a call of another
architecture kills the process.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import platform
import struct
from typing import TYPE_CHECKING

import attrs

from wasmoci.isolation.jail.kernel import call, libc, syscall

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LOAD, _AND, _EQUAL, _NOT_LESS, _RETURN = (
    0x20,
    0x54,
    0x15,
    0x35,
    0x06,
)  # BPF_LD_W_ABS, ALU_AND_K, JMP_JEQ_K, JMP_JGE_K, RET_K
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _KILL, _ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_X32 = 0x4000_0000  # the calls of x86_64 with short pointers
_REFUSED = _ERRNO | errno.EPERM

_INSTRUCTION = struct.Struct("=HBBI")
_PR_SET_NO_NEW_PRIVS, _PR_GET_SECCOMP = 38, 21
_SET_MODE_FILTER, _GET_ACTION_AVAIL, _TSYNC = 1, 2, 1
_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}


@attrs.frozen
class Argument:
    """A condition on an argument of a system call.

    Args:
        index: Which it is, from 0.
        values: What it may be.
        mask: The bits of it that count.
        high: Whether its upper 32 bits are meant, which the kernel ignores of a number, and not of an address.
    """

    index: int
    values: tuple[int, ...]
    mask: int | None = None
    high: bool = False


@attrs.frozen
class Rule:
    """A system call that is allowed, or fails with a certain error.

    Args:
        number: The call.
        arguments: What its arguments have to be, all of them.
        error: The errno that it fails with.
    """

    number: int
    arguments: tuple[Argument, ...] = ()
    error: int | None = None


@attrs.frozen
class Policy:
    """The allowed system calls.

    Args:
        rules: The calls.
        beginning: The filter for them, but for its end.
    """

    rules: tuple[Rule, ...]
    beginning: bytes

    @classmethod
    def of(cls, architecture: int, rules: Iterable[Rule]) -> Policy:
        """A policy.

        Args:
            architecture: The architecture, as the kernel's audit names it.
            rules: The calls.
        """
        head = (
            _instruction(_LOAD, _ARCHITECTURE),
            _instruction(_EQUAL, architecture, 1, 0),
            _instruction(_RETURN, _KILL),
            _instruction(_LOAD, _NUMBER),
            _instruction(_NOT_LESS, _X32, 0, 1),
            _instruction(_RETURN, _KILL),
        )
        return cls((), b"".join(head)).with_rules(rules)

    def with_rules(self, rules: Iterable[Rule]) -> Policy:
        """Return the same policy with more rules."""
        more = tuple(rules)
        return Policy(self.rules + more, self.beginning + b"".join(_instructions(more)))

    def program(self) -> bytes:
        """Return the filter, an array of ``struct sock_filter``."""
        return self.beginning + _instruction(_RETURN, _REFUSED)


@functools.cache
def available() -> bool:
    """Return whether the kernel supports seccomp filters, and lets this process use them."""
    number = _SYS_SECCOMP.get(platform.machine())
    try:
        return number is not None and syscall(number, _GET_ACTION_AVAIL, 0, struct.pack("=I", _ERRNO)) == 0
    except OSError:
        return False


def restrict(policy: Policy) -> None:
    """Allow this process only the system calls of a policy, and no new privileges, irreversibly.

    Raises:
        OSError: The kernel can't.
    """
    forbid_new_privileges()
    program = policy.program()
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a count of instructions, and where they are
    description = struct.pack("@HP", len(program) // _INSTRUCTION.size, ctypes.addressof(buffer))
    syscall(_SYS_SECCOMP[platform.machine()], _SET_MODE_FILTER, _TSYNC, description)


def forbid_new_privileges() -> None:
    """Set ``no_new_privs``, so that no program that this process might run gives it privileges.

    Raises:
        OSError: The kernel can't.
    """
    call(libc.prctl, _PR_SET_NO_NEW_PRIVS, *(ctypes.c_ulong(value) for value in (1, 0, 0, 0)))


def _instructions(rules: Iterable[Rule]) -> Iterator[bytes]:
    for rule in rules:
        body = [*_checks(rule), _instruction(_RETURN, _ALLOW if rule.error is None else _ERRNO | rule.error)]
        yield _instruction(_EQUAL, rule.number, 0, len(body))
        yield from body


def _checks(rule: Rule) -> Iterator[bytes]:
    for argument in rule.arguments:
        yield _instruction(_LOAD, _ARGUMENTS + 8 * argument.index + (4 if argument.high else 0))
        if argument.mask is not None:
            yield _instruction(_AND, argument.mask)
        for index, value in enumerate(argument.values):
            yield _instruction(_EQUAL, value, len(argument.values) - index, 0)
        yield _instruction(_RETURN, _REFUSED)


def _instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return _INSTRUCTION.pack(code, then, otherwise, value)

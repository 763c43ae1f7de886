"""An init that a container engine or an image has put in front of the program: ``podman run --init``, ``docker run --init``.

An init is native, and reaps processes and passes signals on to the program, which comes behind it. A guest has no processes, and
where it runs as a container's first process, that process passes signals on. So the program is looked for behind it.
"""

from __future__ import annotations

from wasmoci._startup.typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Where container engines mount theirs, whatever its name: Podman, and in older versions, and Docker.
_PLACES = frozenset({"/run/podman-init", "/dev/init", "/sbin/docker-init"})

#: Program -> its options that take a value, which may be an argument of its own.
_VALUED = {
    "catatonit": frozenset[str](),
    "docker-init": frozenset({"-p", "-e"}),
    "dumb-init": frozenset({"-r", "--rewrite"}),
    "podman-init": frozenset[str](),
    "tini": frozenset({"-p", "-e"}),
    "tini-static": frozenset({"-p", "-e"}),
}


def stepped_over(args: Sequence[str]) -> tuple[str, ...]:
    """The program and its arguments, without inits in front of them.

    Args:
        args: ``process.args``. An init with nothing behind it is the program.
    """
    rest = tuple(args)
    while rest and _is_init(rest[0]):
        behind = _behind(rest)
        if not behind:
            break
        rest = behind
    return rest


def _is_init(program: str) -> bool:
    return program in _PLACES or program.rpartition("/")[2] in _VALUED


def _behind(args: tuple[str, ...]) -> tuple[str, ...]:
    valued = _VALUED.get(args[0].rpartition("/")[2], frozenset[str]())
    index = 1
    while index < len(args):
        option = args[index]
        if option == "--":
            return args[index + 1 :]
        if not option.startswith("-"):
            break
        index += 2 if option in valued else 1
    return args[index:]

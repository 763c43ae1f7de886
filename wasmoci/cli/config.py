"""``wasmoci config``: prints or installs the configuration of programs that use ``wasmoci-runtime``."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wasmoci.cli.output import complain, say, say_lines, tell
from wasmoci.errors import IntegrationError
from wasmoci.integration import PROGRAM, TARGETS, Outcome, Request, install, plan

if TYPE_CHECKING:
    from wasmoci.integration import Plan

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,56}[a-z0-9])?")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options and arguments."""
    parser.add_argument("--write", action="store_true", help="write it to its file, after a backup of the existing one")
    parser.add_argument(
        "--runtime", metavar="PATH", type=_path, help="the path of wasmoci-runtime (default: next to this command)"
    )
    parser.add_argument(
        "--name", metavar="NAME", type=_name, default="wasmoci", help="the runtime's name (default: wasmoci)"
    )
    parser.add_argument("--default", action="store_true", help="make it the default runtime")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--root", metavar="DIR", type=_path, help="configure the machine whose root directory is DIR")
    place.add_argument(
        "--user",
        action="store_true",
        help="podman, containerd, docker: configure it for this user only; the default for podman unless root",
    )
    place.add_argument("--system", action="store_true", help="configure it for the whole machine")
    parser.add_argument(
        "--systemd-cgroup",
        action=argparse.BooleanOptionalAction,
        help="containerd: create cgroups through systemd, like the kubelet's cgroupDriver (default: as for runc)",
    )
    parser.add_argument(
        "--config-version",
        metavar="N",
        type=int,
        choices=(2, 3),
        help="containerd: the version of a new configuration file (default: 2)",
    )
    parser.add_argument(
        "--no-example", dest="example", action="store_false", help="kubernetes: leave out the example of a pod"
    )
    parser.add_argument("target", metavar="TARGET", choices=tuple(TARGETS), help=", ".join(TARGETS))


def run(options: argparse.Namespace) -> int:
    """Print or install it."""
    # Kubernetes' objects contain the runtime's name, but not its path.
    runtime = options.runtime or (Path(PROGRAM) if options.target == "kubernetes" else _installed())
    user = options.user or (options.target == "podman" and os.geteuid() != 0 and not (options.system or options.root))
    planned = plan(
        options.target,
        Request(
            runtime=runtime,
            name=options.name,
            default=options.default,
            root=options.root,
            home=Path.home() if user else None,
            systemd_cgroup=options.systemd_cgroup,
            config_version=options.config_version,
            example=options.example,
        ),
    )
    if options.root is None and planned.path is not None and not runtime.exists():
        complain(f"{runtime}: doesn't exist", kind="warning")
    if options.user and options.target == "podman" and os.geteuid() == 0:
        complain("Podman doesn't read a user's configuration when it runs as root", kind="warning")
    for warning in planned.warnings:
        complain(warning, kind="warning")
    if options.write:
        done = install(planned)
        say(f"{planned.path}: {done.outcome.value}")
        if done.backup is not None:
            say(f"{done.backup}: the backup")
        for note in planned.notes if done.outcome is not Outcome.UNCHANGED else ():
            say(note)
    else:
        _show(planned)
    return 0


def _show(planned: Plan) -> None:
    """Print the configuration to the standard output, and notes on it to the standard error."""
    say_lines(planned.fragment.removesuffix("\n"))
    if planned.path is not None:
        there = ", which already contains it" if planned.before == planned.after else "; install it with --write"
        tell(f"for {planned.path}{there}")
    for note in planned.notes:
        tell(note)


def _installed() -> Path:
    """Return the path of the runtime that is installed with this command."""
    directories = [Path(program).parent for program in (sys.argv[0], sys.executable) if program]
    for directory in directories:
        path = directory.absolute() / PROGRAM
        if os.access(path, os.X_OK):
            return path
    found = shutil.which(PROGRAM)
    if found is None:
        raise IntegrationError(
            f"{PROGRAM} is neither next to this command nor in PATH", hint="give its path: --runtime PATH"
        )
    return Path(found).absolute()


def _path(text: str) -> Path:
    """Parse a path, and make it absolute; it has to be UTF-8, as the files that contain it are."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"invalid path {text!r}: a path in UTF-8 was expected") from None
    return Path(os.path.abspath(text))  # noqa: PTH100  without following links


def _name(text: str) -> str:
    """Parse a name, which has to be valid for a RuntimeClass as well."""
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"invalid name {text!r}: lower-case letters, digits and hyphens were expected, without a hyphen at either end"
        )
    return text

"""``wasmoci config``: the configuration of the programs that are to use ``wasmoci-runtime``."""

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
    parser.add_argument("--write", action="store_true", help="put it into its file, with a backup of what is there")
    parser.add_argument(
        "--runtime", metavar="PATH", type=_path, help="where wasmoci-runtime is; by default next to this command"
    )
    parser.add_argument(
        "--name", metavar="NAME", type=_name, default="wasmoci", help="what the runtime is called; by default wasmoci"
    )
    parser.add_argument("--default", action="store_true", help="make it the default runtime")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--root", metavar="DIR", type=_path, help="configure the machine whose files are below DIR")
    place.add_argument(
        "--user",
        action="store_true",
        help="podman, containerd, docker: your own configuration; implied for podman by not being root",
    )
    place.add_argument("--system", action="store_true", help="that of the whole machine")
    parser.add_argument(
        "--systemd-cgroup",
        action=argparse.BooleanOptionalAction,
        help="containerd: let systemd make cgroups, as the kubelet's cgroupDriver says; by default as for runc",
    )
    parser.add_argument(
        "--config-version",
        metavar="N",
        type=int,
        choices=(2, 3),
        help="containerd: the version of a new file; by default 2",
    )
    parser.add_argument(
        "--no-example", dest="example", action="store_false", help="kubernetes: leave out the example of a pod"
    )
    parser.add_argument("target", metavar="TARGET", choices=tuple(TARGETS), help=", ".join(TARGETS))


def run(options: argparse.Namespace) -> int:
    """Print or install it."""
    # Kubernetes' objects name the runtime, and not where it is.
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
        complain(f"{runtime} isn't there", kind="warning")
    if options.user and options.target == "podman" and os.geteuid() == 0:
        complain("as root, Podman reads no user's configuration", kind="warning")
    for warning in planned.warnings:
        complain(warning, kind="warning")
    if options.write:
        done = install(planned)
        say(f"{planned.path}: {done.outcome.value}")
        if done.backup is not None:
            say(f"{done.backup}: what was there before")
        for note in planned.notes if done.outcome is not Outcome.UNCHANGED else ():
            say(note)
    else:
        _show(planned)
    return 0


def _show(planned: Plan) -> None:
    """Print what can be piped on, and beside it what is to be known."""
    say_lines(planned.fragment.removesuffix("\n"))
    if planned.path is not None:
        there = ", where it is already" if planned.before == planned.after else "; --write puts it there"
        tell(f"for {planned.path}{there}")
    for note in planned.notes:
        tell(note)


def _installed() -> Path:
    """The runtime that belongs to this command."""
    directories = [Path(program).parent for program in (sys.argv[0], sys.executable) if program]
    for directory in directories:
        path = directory.absolute() / PROGRAM
        if os.access(path, os.X_OK):
            return path
    found = shutil.which(PROGRAM)
    if found is None:
        raise IntegrationError(
            f"{PROGRAM} is neither next to this command nor in PATH", hint="say where it is: --runtime PATH"
        )
    return Path(found).absolute()


def _path(text: str) -> Path:
    """A path, made absolute; the files that it is written to are UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!r} is no UTF-8, which configuration files are") from None
    return Path(os.path.abspath(text))  # noqa: PTH100  without following links


def _name(text: str) -> str:
    """A name that a RuntimeClass can have as well."""
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name; lower-case letters, digits and hyphens were expected, a hyphen neither first nor last"
        )
    return text

"""Podman, Buildah, Skopeo, umoci and Debian's docker-registry, each with a place of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.support.requirements import require
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Tools:
    """The programs, with storage and configuration below one directory.

    Args:
        directory: Where all that they keep is.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory / "home"
        self.home.mkdir(parents=True)
        containers = directory / "containers.conf"
        # Hard limits can't be raised in a container, which Podman's defaults would do.
        containers.write_text('[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n')
        storage = directory / "storage.conf"
        storage.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{directory}/graph"\nrunroot = "{directory}/run"\n')
        policy = self.home / ".config" / "containers" / "policy.json"
        policy.parent.mkdir(parents=True)
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        (directory / "auth.json").write_text("{}")
        self.environment = {
            **os.environ,
            "HOME": str(self.home),
            "CONTAINERS_CONF": str(containers),
            "CONTAINERS_STORAGE_CONF": str(storage),
            "REGISTRY_AUTH_FILE": str(directory / "auth.json"),
            "TMPDIR": str(directory),
        }

    def run(self, *command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program; a missing one skips the test."""
        require(shutil.which(str(command[0])), f"{command[0]} is missing: apt install {command[0]}")
        done = subprocess.run(
            [str(part) for part in command],
            env=self.environment,
            cwd=self.directory,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=100,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def build(self, containerfile: str, name: str, context: Path, *options: str) -> None:
        """Build an image with Buildah."""
        (context / "Containerfile").write_text(containerfile)
        self.run("buildah", "build", "--quiet", "--isolation=chroot", *options, "-t", name, context)


@contextlib.contextmanager
def real_registry(directory: Path, *, tls: bool = False, users: str = "") -> Iterator[str]:
    """Debian's docker-registry on a free port of loopback.

    Args:
        directory: Where its data is, and with ``tls`` its certificate ``ca.pem``.
        tls: Speak HTTPS.
        users: A password file of Apache's form; empty for no authentication.

    Yields:
        Its host and port.
    """
    require(shutil.which("docker-registry"), "docker-registry is missing: apt install docker-registry")
    directory.mkdir(exist_ok=True)
    http = ["  addr: 127.0.0.1:0", "  secret: test"]
    if tls:
        certificate(directory)
        http += ["  tls:", f"    certificate: {directory}/ca.pem", f"    key: {directory}/key.pem"]
    lines = ["version: 0.1", "log: {level: info, accesslog: {disabled: true}}"]
    lines += [f"storage: {{filesystem: {{rootdirectory: {directory}/data}}}}", "http:", *http]
    if users:
        (directory / "users").write_text(users)
        lines += [f"auth: {{htpasswd: {{realm: test, path: {directory}/users}}}}"]
    (directory / "config.yml").write_text("\n".join(lines) + "\n")
    # It takes any variable REGISTRY_... for a part of its configuration, Podman's REGISTRY_AUTH_FILE too.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    with (directory / "log").open("w") as log:
        server = subprocess.Popen(
            ["docker-registry", "serve", directory / "config.yml"],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=environment,
        )
    try:
        yield _listening(server, directory / "log")
    finally:
        server.terminate()
        server.wait()


def _listening(server: subprocess.Popen[bytes], log: Path) -> str:
    """The host and port that it says it has: one that was found free before may be somebody else's by then."""

    def said() -> re.Match[str] | None:
        assert server.poll() is None, log.read_text()
        return re.search(r"listening on (127\.0\.0\.1:\d+)", log.read_text())

    wait_for("docker-registry", said)
    found = said()
    assert found is not None
    return found[1]


def certificate(directory: Path) -> None:
    """Make a certificate of its own authority for 127.0.0.1: ``ca.pem``, and its key ``key.pem``."""
    require(shutil.which("openssl"), "openssl is missing: apt install openssl")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=registry"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(directory / "key.pem"), "-out", str(directory / "ca.pem")]
    subprocess.run(command, check=True, capture_output=True)

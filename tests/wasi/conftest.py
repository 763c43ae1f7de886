"""Fixtures for the tests of the WASI host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wasi.harness import Guest
from wasmoci.wasi import syscalls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RESOLVERS = {"openat2": True, "walk": False}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory to be the guest's ``/``, in one that the guest must never see."""
    (tmp_path / "secret").write_text("outside")
    directory = tmp_path / "root"
    directory.mkdir()
    return directory


@pytest.fixture(params=RESOLVERS)
def use_openat2(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both ways to resolve a path; with the kernel's the test runs only where the kernel has it, without as if it had none."""
    wanted: bool = RESOLVERS[request.param]
    if not wanted:
        monkeypatch.setattr(syscalls, "openat2_available", lambda **_: False)
    if wanted and not syscalls.openat2_available():
        pytest.skip("this kernel, or its seccomp filter, has no openat2")
    return wanted


@pytest.fixture
def guest(root: Path) -> Iterator[Guest]:
    """A guest with ``root`` as its ``/``."""
    with Guest(root) as guest:
        yield guest


@pytest.fixture
def resolving(root: Path, use_openat2: bool) -> Iterator[Guest]:  # noqa: FBT001
    """The same, once for each way to resolve paths."""
    with Guest(root, use_openat2=use_openat2) as guest:
        yield guest

"""Fixtures for the tests of registries."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from tests.image.fake_registry import FakeRegistry, serve
from tests.image.registries import image_in
from tests.support.requirements import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def registry_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pulls and pushes, with a store of its own and nobody's settings."""
    require(importlib.util.find_spec("urllib3"), "urllib3 is missing: pip install 'wasmoci[image]'")
    monkeypatch.setenv("WASMOCI_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry is asked again at once."""
    monkeypatch.setattr("wasmoci.image.registries.client.time.sleep", lambda _: None)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A layout of one image with a layer that doesn't compress."""
    return image_in(tmp_path / "layout")


@pytest.fixture
def registry(layout: Path) -> Iterator[FakeRegistry]:
    """A registry that has the image as ``me/image:1``."""
    with serve(FakeRegistry()) as found:
        found.add(layout, "1")
        yield found

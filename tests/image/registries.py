"""What the tests of registries share; its fixtures are in ``conftest.py``."""

from __future__ import annotations

import base64
import random
from typing import TYPE_CHECKING, Any

from tests.image.making import WASM, make_layout, member, tar
from wasmoci.image import Credential, RegistryOptions, pull

if TYPE_CHECKING:
    from pathlib import Path

    from tests.image.fake_registry import FakeRegistry

NOISE = random.Random(1).randbytes(300_000)  # noqa: S311
ME = Credential("me", "pass")
BASIC = "Basic " + base64.b64encode(b"me:pass").decode()


def image_in(directory: Path) -> Path:
    """A layout of one image with a layer that doesn't compress."""
    return make_layout(directory, tar(member("hello.wasm", data=WASM), member("noise", data=NOISE)), packed=False)


def options(**more: Any) -> RegistryOptions:
    """What a registry on loopback needs."""
    return RegistryOptions(**{"plain_http": True, "timeout": 60, "retries": 0, **more})


def get(registry: FakeRegistry, name: str = "/me/image:1", **more: Any) -> str:
    """Pull an image; return its digest."""
    return pull(registry.host + name, registry=options(**more)).descriptor.digest

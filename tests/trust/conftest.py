"""Fixtures for the tests of trust."""

from __future__ import annotations

from tests.image.conftest import layout, no_pauses, registry, registry_client  # noqa: F401  fixtures
from tests.runtime.conftest import runtime  # noqa: F401  a fixture

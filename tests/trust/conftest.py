"""Fixtures for the tests of trust."""

from __future__ import annotations

from tests.runtime.conftest import runtime  # noqa: F401  a fixture

"""Worker processes of both kinds: started for one run, and forked by a warm server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wasmoci.isolation.warm_servers import Servers

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def warm_servers() -> Iterator[Servers]:
    """Servers that run for all tests here."""
    servers = Servers(eager=True)
    servers.warm_up()
    yield servers
    servers.close()


@pytest.fixture(params=["cold", "warm"])
def servers(request: pytest.FixtureRequest) -> Servers | None:
    """Where workers come from."""
    if request.param == "cold":
        return None
    found: Servers = request.getfixturevalue("warm_servers")
    return found

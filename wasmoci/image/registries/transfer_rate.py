"""Enforces a minimum rate and a maximum size on what a registry sends, below HTTP.

A socket's time-out restarts with each byte. It never stops a server that sends one byte a minute, or interim responses,
header lines or trailers without end; nor does a limit on the body. So the bytes are counted as they arrive on the
socket.
"""

from __future__ import annotations

import io
import time
from typing import Any

import urllib3
import urllib3.connection
import urllib3.connectionpool

from wasmoci.errors import RegistryError
from wasmoci.image.registries.failures import Passing
from wasmoci.image.registries.transfer_limits import MAX_HEADERS, TransferLimits, exceeded

_OVERHEAD = 1 << 20
"""The bytes allowed for the sizes and trailers of chunks, in addition to twice the body."""


class Pace:
    """The minimum rate and the deadline of a transfer.

    Args:
        name: The repository, for errors.
        timeout: Seconds without a byte, or with too few of them, after which a request is given up.
        limits: The limits of the transfer.
    """

    def __init__(self, name: str, timeout: float, limits: TransferLimits) -> None:
        self.name = name
        self.timeout = timeout
        self.rate = limits.rate
        self._time = limits.time
        self._end = time.monotonic() + limits.time

    def left(self) -> float:
        """Return the seconds that are left.

        Raises:
            ImageLimitExceeded: The time is up.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise exceeded(f"{self.name}: the transfer took more than {self._time:g} seconds", "time")
        return left


class PacedReader(io.RawIOBase):
    """Reads a socket, and enforces the rate.

    Args:
        raw: The socket's file.
        sock: The socket.
        pace: The rate and the deadline.
    """

    def __init__(self, raw: io.RawIOBase, sock: Any, pace: Pace) -> None:
        super().__init__()
        self._raw = raw
        self._sock = sock
        self._pace = pace
        self._budget = MAX_HEADERS
        self._waited = 0.0
        self._arrived = 0

    def allow(self, body: int) -> None:
        """Allow a body of a number of bytes, plus the overhead of HTTP; the wait for the response has ended."""
        self._budget = 2 * body + _OVERHEAD
        self._waited, self._arrived = 0.0, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        """Read what is available, or wait for it.

        Raises:
            Passing: The rate is too low.
            RegistryError: The response is too large.
            ImageLimitExceeded: The time for the whole transfer is up.
        """
        left = self._pace.left()
        begin = time.monotonic()
        self._sock.settimeout(min(max(self._pace.timeout - self._waited, 0.001), left))
        try:
            count = self._raw.readinto(buffer)
        except TimeoutError:
            self._pace.left()
            raise Passing(self._slow(), None) from None
        # Only the time spent waiting for the server counts.
        self._waited += time.monotonic() - begin
        self._arrived += count or 0
        self._budget -= count or 0
        if self._budget < 0:
            raise RegistryError(f"{self._pace.name}: the server sends more than an answer can have")
        if self._waited >= self._pace.timeout:
            if self._arrived < self._pace.rate * self._waited:
                raise Passing(self._slow(), None)
            self._waited, self._arrived = 0.0, 0
        return count

    def _slow(self) -> RegistryError:
        return RegistryError(
            f"{self._pace.name}: too slow: {self._arrived} bytes in {self._pace.timeout:g} seconds; "
            f"at least {self._pace.rate} a second are expected"
        )

    def close(self) -> None:
        """Close the socket's file."""
        self._raw.close()
        super().close()


class _PacedSocket:
    """A socket whose file is a :class:`PacedReader`."""

    def __init__(self, sock: Any, pace: Pace) -> None:
        self._sock = sock
        self._pace = pace
        self.reader: PacedReader | None = None

    def makefile(self, mode: str, *_: Any, **__: Any) -> io.BufferedReader:
        self.reader = PacedReader(self._sock.makefile(mode, 0), self._sock, self._pace)
        return io.BufferedReader(self.reader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def manager(pace: Pace, proxy: str | None, settings: dict[str, Any]) -> urllib3.PoolManager:
    """Return a connection pool that enforces the rate.

    Args:
        pace: The rate and the deadline.
        proxy: The proxy's URL; None for none.
        settings: As for ``urllib3.PoolManager``.
    """

    class Plain(urllib3.connection.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock: Any = _PacedSocket(self.sock, pace)

        def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
            return _marked(self.sock, super().getresponse())

    class Secure(urllib3.connection.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            self.sock: Any = _PacedSocket(self.sock, pace)

        def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
            return _marked(self.sock, super().getresponse())

    class PlainPool(urllib3.connectionpool.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.connectionpool.HTTPSConnectionPool):
        ConnectionCls = Secure

    made = urllib3.PoolManager(**settings) if proxy is None else urllib3.ProxyManager(proxy, **settings)
    made.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
    return made


def allow(response: urllib3.BaseHTTPResponse, body: int) -> None:
    """Allow a response to have a body of a number of bytes."""
    reader: PacedReader = response.paced_reader  # type: ignore[attr-defined]
    reader.allow(body)


def _marked(sock: _PacedSocket, response: urllib3.HTTPResponse) -> urllib3.HTTPResponse:
    response.paced_reader = sock.reader  # type: ignore[attr-defined]
    return response

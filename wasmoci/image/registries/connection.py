"""Sends HTTP requests to a registry, with certificates, proxies and time-outs, and maps failures to our errors."""

from __future__ import annotations

import contextlib
import http.client
import threading
import urllib.request
from typing import TYPE_CHECKING, Any

import attrs

from wasmoci.errors import InvalidImage, InvalidReference, RegistryError
from wasmoci.image.registries.certificates import load_urllib3, tls_context
from wasmoci.image.registries.failures import Passing, connection_error
from wasmoci.image.registries.request_origin import Origin, lead
from wasmoci.image.registries.transfer_limits import MAX_ERROR
from wasmoci.image.streams.digest import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import urllib3

    from wasmoci.image.registries.options import RegistryOptions

# Without content encoding: digests are of the stored bytes, and no response can be a decompression bomb.
_HEADERS = {"User-Agent": "wasmoci", "Accept-Encoding": "identity"}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONNECT_SECONDS = 15.0


@attrs.frozen
class Answer:
    """A response, and its origin.

    Args:
        response: The response.
        url: Its URL, after all redirects.
        own: Whether it comes from the requested origin without detour: only then it may ask for credentials.
    """

    response: urllib3.BaseHTTPResponse
    url: str
    own: bool


class Connection:
    """Sends requests to one registry and follows its redirects; can be used by several threads.

    Args:
        name: The repository, for errors.
        host: The registry's host, with its port.
        options: Options for the registry.

    Raises:
        ImageError: urllib3 isn't installed, the host is invalid, or the file of certificates is.
    """

    def __init__(self, name: str, host: str, options: RegistryOptions) -> None:
        self._name = name
        self._urllib3 = load_urllib3()
        from wasmoci.image.registries.transfer_rate import Pace  # noqa: PLC0415  it needs urllib3

        self.base = f"{'http' if options.plain_http else 'https'}://{host}"
        try:
            self.origin = Origin.of(self.base)
        except ValueError as error:
            raise InvalidReference(f"{host!r} is not a registry's host: {error}") from None
        self.pace = Pace(name, options.timeout, options.limits)
        self._options = options
        self._checked = tls_context(options.ca_file)
        self._pools: dict[tuple[str | None, bool], urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Any = None,
        *,
        authorization: str = "",
        to: Origin | None = None,
    ) -> Answer:
        """Send a request; GET and HEAD follow redirects, without credentials.

        Args:
            method: The HTTP method, such as ``GET``.
            url: The URL.
            headers: Additional headers without secrets.
            body: Bytes, or an object to read them from.
            authorization: Sent to ``to`` only, and no longer once a redirect has led elsewhere.
            to: The origin that the credentials are for; None for the registry's.

        Raises:
            RegistryError: There is no connection, or a redirect is refused.
            ImageLimitExceeded: There are too many redirects, or the time for the transfer is up.
            Passing: The connection failed temporarily.
        """
        to = to or self.origin
        own = True
        for _ in range(self._options.limits.redirects + 1):
            origin = self._origin_of(url)
            own = own and origin == to
            shown = {"Authorization": authorization} if own and authorization else {}
            with self.failures(url):
                self.pace.left()
                response = self._pool(origin).request(
                    method,
                    url,
                    headers={**_HEADERS, **headers, **shown},
                    body=body,
                    preload_content=False,
                    decode_content=False,
                    redirect=False,
                    retries=False,
                )
            location = response.headers.get("Location", "")
            if method not in ("GET", "HEAD") or response.status not in _REDIRECTS or not location:
                return Answer(response, url, own)
            self.discard(response)
            url = lead(self._name, url, location)
        raise RegistryError(
            f"{self._name}: more than {self._options.limits.redirects} redirections, the last one to {Origin.of(url)}"
        )

    def _origin_of(self, url: str) -> Origin:
        try:
            return Origin.of(url)
        except ValueError as error:
            raise RegistryError(f"{self._name}: {url[:200]!r} can't be asked for: {error}") from None

    def whole(self, response: urllib3.BaseHTTPResponse, most: int, what: str) -> bytes:
        """Return the body of a response.

        Args:
            response: The response.
            most: The maximum size in bytes.
            what: Its name in errors.

        Raises:
            InvalidImage: It is longer.
            Passing: The connection broke.
        """
        data, complete = self._read(response, most)
        if not complete:
            raise InvalidImage(f"larger than {most} bytes", source=f"{self._name}: {what}")
        return data

    def explanation(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """Return the beginning of an error's body; empty if the connection broke."""
        try:
            return self._read(response, MAX_ERROR)[0]
        except (Passing, RegistryError):
            return b""

    def discard(self, response: urllib3.BaseHTTPResponse) -> None:
        """Finish a response; the connection is kept only if the rest of the body is short."""
        self.explanation(response)

    def _read(self, response: urllib3.BaseHTTPResponse, most: int) -> tuple[bytes, bool]:
        """Read up to a number of bytes, and return whether that was all; otherwise the connection is closed."""
        from wasmoci.image.registries.transfer_rate import allow  # noqa: PLC0415  it needs urllib3

        data = b""
        complete = False
        try:
            if announced(response) <= most:
                allow(response, most)
                with self.failures(self.base):
                    while len(data) <= most and (more := response.read(min(CHUNK, most + 1 - len(data)))):
                        data += more
                complete = len(data) <= most
        finally:
            (response.release_conn if complete else response.close)()
        return data[:most], complete

    @contextlib.contextmanager
    def failures(self, url: str) -> Iterator[None]:
        """Translate urllib3's exceptions into ours.

        Raises:
            RegistryError: The failure is permanent.
            Passing: The failure may be temporary.
        """
        try:
            yield
        except (self._urllib3.exceptions.HTTPError, http.client.HTTPException) as error:
            failure, passing = connection_error(self._name, url, error)
            if passing:
                raise Passing(failure, None) from error
            raise failure from error
        except UnicodeError as error:
            raise RegistryError(f"{self._name}: {url!r} can't be asked for: {error}") from error

    def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.clear()

    def _pool(self, origin: Origin) -> urllib3.PoolManager:
        # Disabled verification applies to the registry, not to hosts that it redirects to.
        checked = not (self._options.insecure and origin.host == self.origin.host)
        proxy = urllib.request.getproxies().get(origin.scheme)
        if proxy and urllib.request.proxy_bypass(f"{origin.host}:{origin.port}"):
            proxy = None
        with self._lock:
            if (proxy, checked) not in self._pools:
                self._pools[proxy, checked] = self._make_pool(proxy, checked=checked)
            return self._pools[proxy, checked]

    def _make_pool(self, proxy: str | None, *, checked: bool) -> urllib3.PoolManager:
        from wasmoci.image.registries.transfer_rate import manager  # noqa: PLC0415  it needs urllib3

        timeout = self._options.timeout
        settings: dict[str, Any] = {
            "maxsize": self._options.parallel + 1,
            "timeout": self._urllib3.Timeout(connect=min(timeout, _CONNECT_SECONDS), read=timeout),
        }
        if checked:
            settings["ssl_context"] = self._checked
        else:
            settings |= {"cert_reqs": "CERT_NONE", "assert_hostname": False}
            self._urllib3.disable_warnings(self._urllib3.exceptions.InsecureRequestWarning)
        return manager(self.pace, proxy, settings)


class BlobStream:
    """A response with a blob; reading it raises the errors of :meth:`Connection.send`.

    Args:
        connection: Its connection.
        answer: The response.
        source: The blob's name in errors.
        most: Its maximum size in bytes.

    Raises:
        InvalidImage: The response announces more.
    """

    def __init__(self, connection: Connection, answer: Answer, source: str, most: int) -> None:
        from wasmoci.image.registries.transfer_rate import allow  # noqa: PLC0415  it needs urllib3

        self._connection = connection
        self._url = answer.url
        self._response = answer.response
        length = announced(self._response)
        if length > most:
            self.close()
            raise InvalidImage(f"an answer of {length} bytes; its descriptor gives {most}", source=source)
        allow(self._response, most)

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; none at the end."""
        with self._connection.failures(self._url):
            return self._response.read(size)

    def skip(self, count: int) -> None:
        """Skip bytes."""
        while count and (data := self.read(min(count, CHUNK))):
            count -= len(data)

    def close(self) -> None:
        """Discard the rest."""
        # The rest of the response may be long: the connection is closed, too.
        self._response.close()


def announced(response: urllib3.BaseHTTPResponse) -> int:
    """Return the size that a response announces for its body; 0 where it doesn't, or has none."""
    return getattr(response, "length_remaining", None) or 0

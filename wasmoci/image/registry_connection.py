"""A connection with a registry: HTTP with its certificates, proxies and time-outs, and its failures as ours."""

from __future__ import annotations

import contextlib
import urllib.request
from typing import TYPE_CHECKING, Any

import attrs

from wasmoci.errors import ImageError, InvalidImage
from wasmoci.image.digest import CHUNK
from wasmoci.image.registry_errors import Passing, connection_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import urllib3

    from wasmoci.image.credentials import Credential

# Without compression on the way: digests are of what is stored, and no answer can be a bomb.
_HEADERS = {"User-Agent": "wasmoci", "Accept-Encoding": "identity"}


@attrs.frozen
class RegistryOptions:
    """How registries are talked to.

    Args:
        plain_http: Use HTTP; nothing that is sent is secret then.
        insecure: Use HTTPS and believe any certificate.
        ca_file: Certificates to believe besides the system's; a PEM file on the host.
        credential: Shown to the registry; None looks for one.
        authfile: The only file to look for credentials; None for the usual ones.
        mirrors: ``HOST[/PREFIX]`` of registries that are asked first when pulling, in their order.
        retries: How often a request that failed for the moment is made again.
        parallel: How many blobs are transferred at a time.
        timeout: Seconds without an answer, or without a byte, after which a request has failed.
    """

    plain_http: bool = False
    insecure: bool = False
    ca_file: Path | None = None
    credential: Credential | None = None
    authfile: Path | None = None
    mirrors: tuple[str, ...] = ()
    retries: int = 3
    parallel: int = 4
    timeout: float = 60.0


class Connection:
    """Sends requests to one registry, and to where it redirects; may be used by several threads.

    Args:
        name: The repository, for errors.
        host: The registry's host, with its port.
        options: How it is talked to.

    Raises:
        ImageError: urllib3 isn't installed, or the file of certificates is none.
    """

    def __init__(self, name: str, host: str, options: RegistryOptions) -> None:
        self._name = name
        self._urllib3 = _urllib3()
        self.base = f"{'http' if options.plain_http else 'https'}://{host}"
        self._pool = self._make_pool(host, options)

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Any = None) -> urllib3.BaseHTTPResponse:
        """Send a request; one without a body follows redirections, on which credentials stay behind.

        Args:
            method: As ``GET``.
            url: Where to.
            headers: What comes on top of what is always sent.
            body: Bytes, or something to read them from.

        Raises:
            RegistryError: There is no connection.
            Passing: There is none for the moment.
        """
        with self.failures(url):
            return self._pool.request(
                method,
                url,
                headers={**_HEADERS, **headers},
                body=body,
                preload_content=False,
                decode_content=False,
                redirect=body is None,
            )

    def whole(self, response: urllib3.BaseHTTPResponse, most: int, what: str) -> bytes:
        """Return an answer's body.

        Args:
            response: The answer.
            most: Bytes that are read at most.
            what: How errors call it.

        Raises:
            InvalidImage: It is longer.
            Passing: It broke off.
        """
        data = b""
        try:
            with self.failures(self.base):
                while len(data) <= most and (more := response.read(most + 1 - len(data))):
                    data += more
        finally:
            response.release_conn()
        if len(data) > most:
            raise InvalidImage(f"larger than {most} bytes", source=f"{self._name}: {what}")
        return data

    @contextlib.contextmanager
    def failures(self, url: str) -> Iterator[None]:
        """Turn urllib3's exceptions into ours.

        Raises:
            RegistryError: The failure stays.
            Passing: It may be gone the next time.
        """
        try:
            yield
        except self._urllib3.exceptions.HTTPError as error:
            failure, passing = connection_error(self._name, url, error)
            if passing:
                raise Passing(failure, None) from error
            raise failure from error

    def close(self) -> None:
        """Close what is open."""
        self._pool.clear()

    def _make_pool(self, host: str, options: RegistryOptions) -> urllib3.PoolManager:
        settings: dict[str, Any] = {
            "maxsize": options.parallel + 1,
            "timeout": self._urllib3.Timeout(connect=min(options.timeout, 15.0), read=options.timeout),
            "retries": self._urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=5),
        }
        if options.insecure:
            settings |= {"cert_reqs": "CERT_NONE", "assert_hostname": False}
            self._urllib3.disable_warnings(self._urllib3.exceptions.InsecureRequestWarning)
        elif not options.plain_http:
            settings["ssl_context"] = _tls_context(options.ca_file)
        scheme = self.base.partition(":")[0]
        proxy = urllib.request.getproxies().get(scheme)
        if proxy and not urllib.request.proxy_bypass(host):
            found: urllib3.PoolManager = self._urllib3.ProxyManager(proxy, **settings)
        else:
            found = self._urllib3.PoolManager(**settings)
        return found


class BlobStream:
    """An answer with a blob; reading it raises as :meth:`Connection.send`.

    Args:
        connection: Where it comes from.
        url: What was asked for.
        response: The answer.
    """

    def __init__(self, connection: Connection, url: str, response: urllib3.BaseHTTPResponse) -> None:
        self._connection = connection
        self._url = url
        self._response = response

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, and none at the end."""
        with self._connection.failures(self._url):
            return self._response.read(size)

    def skip(self, count: int) -> None:
        """Pass over bytes."""
        while count and (data := self.read(min(count, CHUNK))):
            count -= len(data)

    def close(self) -> None:
        """Drop the rest."""
        # What is left of the answer may be long: the connection goes too.
        self._response.close()


def _tls_context(ca_file: Path | None) -> Any:
    import ssl  # noqa: PLC0415  slow to import, and only needed here

    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ImageError(f"{ca_file}: no certificates in PEM form: {error}") from None
    return context


def _urllib3() -> Any:
    try:
        import urllib3  # noqa: PLC0415  an extra, and slow to import
    except ImportError:
        raise ImageError("talking to a registry needs urllib3", hint="pip install 'wasmoci[image]'") from None
    return urllib3

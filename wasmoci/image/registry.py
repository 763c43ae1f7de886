"""A client of the OCI distribution specification: what is asked of one registry, with authentication and retries."""

from __future__ import annotations

import contextlib
import random
import threading
import time
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

import attrs

from wasmoci.errors import ImageError, InvalidImage
from wasmoci.image import media
from wasmoci.image.credentials import Credential, find_credential
from wasmoci.image.digest import CHUNK, digest_of
from wasmoci.image.model import MAX_JSON, Descriptor
from wasmoci.image.reference import DEFAULT_REGISTRY
from wasmoci.image.registry_auth import authorize
from wasmoci.image.registry_errors import TEMPORARY, Passing, connection_error, status_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import urllib3

    from wasmoci.image.digest import ByteReader

_ACCEPT = ", ".join((*sorted(media.MANIFESTS), *sorted(media.INDEXES)))
# Without compression on the way: digests are of what is stored, and no answer can be a bomb.
_HEADERS = {"User-Agent": "wasmoci", "Accept-Encoding": "identity"}
_MAX_WAIT = 30.0
_MAX_TOKEN = 1 << 20

_OK, _CREATED, _ACCEPTED, _PARTIAL, _UNAUTHORIZED, _NOT_FOUND, _BAD_RANGE = 200, 201, 202, 206, 401, 404, 416


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


class Repository:
    """One repository of one registry.

    Args:
        registry: The registry's host, with its port.
        repository: The repository within.
        options: How it is talked to.
    """

    def __init__(self, registry: str, repository: str, options: RegistryOptions) -> None:
        self.name = f"{registry}/{repository}"
        self._registry = registry
        self._repository = repository
        self._options = options
        self._urllib3 = _urllib3()
        host = "registry-1.hub.local" if registry == DEFAULT_REGISTRY else registry
        self._base = f"{'http' if options.plain_http else 'https'}://{host}"
        self._pool = self._make_pool(host)
        self._authorization: dict[str, str] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()

    # What is asked.

    def manifest(self, selector: str) -> tuple[bytes, Descriptor]:
        """Get a manifest or an index.

        Args:
            selector: A tag, or a digest, which the answer is compared with.

        Raises:
            RegistryError: It isn't there, or can't be had.
            InvalidImage: The answer hashes to something else than was asked for.
        """

        def attempt() -> tuple[bytes, Mapping[str, str]]:
            response = self._request("GET", self._path("manifests", selector), {"Accept": _ACCEPT}, again=False)
            return self._body(response, MAX_JSON, f"the manifest {selector!r}"), response.headers

        data, headers = self.again(attempt)
        claimed = selector if ":" in selector else headers.get("Docker-Content-Digest", "")
        algorithm = claimed.partition(":")[0]
        digest = digest_of(data, algorithm if algorithm in ("sha256", "sha512") else "sha256")
        if claimed and digest != claimed:
            raise InvalidImage(f"hashes to {digest}; expected {claimed}", source=f"{self.name}: manifest {selector}")
        media_type = headers.get("Content-Type", "").partition(";")[0].strip()
        return data, Descriptor(media_type, digest, len(data))

    def blob(self, descriptor: Descriptor, offset: int = 0) -> ByteReader:
        """Open a blob from an offset on; for use within :meth:`again`.

        Raises:
            RegistryError: It isn't there, or can't be had.
            Passing: It can't be had for the moment; reading raises this too.
        """
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        url = self._path("blobs", descriptor.digest)
        response = self._request("GET", url, headers, again=False)
        stream = _BlobStream(response, lambda: self._failures(self._base + url))
        if offset and response.status != _PARTIAL:
            stream.skip(offset)  # the registry doesn't know ranges
        return stream

    def small_blob(self, descriptor: Descriptor) -> bytes:
        """Get a blob that is a JSON document, not verified yet."""

        def attempt() -> bytes:
            stream = self.blob(descriptor)
            try:
                data = b""
                while len(data) <= descriptor.size and (more := stream.read(CHUNK)):
                    data += more
                return data
            finally:
                stream.close()

        data: bytes = self.again(attempt)
        return data

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Tell whether the repository has a blob."""
        response = self._request("HEAD", self._path("blobs", descriptor.digest), {}, push=True, missing=True)
        return response.status == _OK

    def upload(self, descriptor: Descriptor, open_body: Callable[[], Any]) -> None:
        """Put a blob.

        Args:
            descriptor: What it is.
            open_body: Opens its bytes; called again for each attempt.

        Raises:
            RegistryError: The registry refuses it.
        """

        def attempt() -> None:
            start = self._request(
                "POST", f"/v2/{self._repository}/blobs/uploads/", {"Content-Length": "0"}, push=True, again=False
            )
            location = urllib.parse.urljoin(self._base + "/", start.headers.get("Location", ""))
            location += ("&" if "?" in location else "?") + urllib.parse.urlencode({"digest": descriptor.digest})
            body = open_body()
            try:
                headers = {"Content-Type": "application/octet-stream", "Content-Length": str(descriptor.size)}
                self._request("PUT", location, headers, body=body, push=True, again=False)
            finally:
                body.close()

        self.again(attempt)

    def put_manifest(self, data: bytes, media_type: str, selector: str) -> None:
        """Put a manifest under a tag or its digest.

        Raises:
            RegistryError: The registry refuses it.
        """
        self._request("PUT", self._path("manifests", selector), {"Content-Type": media_type}, body=data, push=True)

    # How it is asked.

    def again(self, attempt: Callable[[], Any]) -> Any:
        """Call something that fails for the moment until it doesn't, waiting longer each time.

        Raises:
            RegistryError: The last failure, or the first that won't pass.
        """
        for number in range(self._options.retries + 1):
            try:
                return attempt()
            except Passing as passing:
                if number == self._options.retries:
                    raise passing.error from None
                time.sleep(min(passing.wait or (0.5 * 2**number * (1 + random.random())), _MAX_WAIT))  # noqa: S311
        raise AssertionError  # pragma: no cover

    def _request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        body: Any = None,
        push: bool = False,
        missing: bool = False,
        again: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        def attempt() -> urllib3.BaseHTTPResponse:
            return self._once(method, path, headers, body=body, push=push, missing=missing)

        response: urllib3.BaseHTTPResponse = self.again(attempt) if again else attempt()
        return response

    def _once(
        self, method: str, path: str, headers: Mapping[str, str], *, body: Any, push: bool, missing: bool
    ) -> urllib3.BaseHTTPResponse:
        scope = f"repository:{self._repository}:{'pull,push' if push else 'pull'}"
        url = path if "://" in path else self._base + path
        response = self._send(method, url, headers, body, scope)
        if response.status == _UNAUTHORIZED and (body is None or isinstance(body, bytes)):
            challenge = response.headers.get("WWW-Authenticate", "")
            response.drain_conn()
            self._authenticate(challenge, scope)
            response = self._send(method, url, headers, body, scope)
        if response.status in (_OK, _CREATED, _ACCEPTED, 204, _PARTIAL) or (missing and response.status == _NOT_FOUND):
            if method == "HEAD" or push:
                response.drain_conn()
            return response
        with self._failures(url):
            text = response.read(MAX_JSON, decode_content=False)
        response.release_conn()
        error = status_error(self.name, method, url, response.status, text)
        if response.status in TEMPORARY:
            raise Passing(error, _retry_after(response.headers.get("Retry-After")))
        raise error

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: Any, scope: str
    ) -> urllib3.BaseHTTPResponse:
        sent = {**_HEADERS, **headers}
        # An upload's location may be another host's, with a signature of its own in it.
        if scope in self._authorization and url.startswith(self._base + "/"):
            sent["Authorization"] = self._authorization[scope]
        with self._failures(url):
            return self._pool.request(
                method, url, headers=sent, body=body, preload_content=False, decode_content=False, redirect=body is None
            )

    @contextlib.contextmanager
    def _failures(self, url: str) -> Iterator[None]:
        try:
            yield
        except self._urllib3.exceptions.HTTPError as error:
            failure, passing = connection_error(self.name, url, error)
            if passing:
                raise Passing(failure, None) from error
            raise failure from error

    def _body(self, response: urllib3.BaseHTTPResponse, most: int, what: str) -> bytes:
        data = b""
        try:
            with self._failures(self._base):
                while len(data) <= most and (more := response.read(most + 1 - len(data), decode_content=False)):
                    data += more
        finally:
            response.release_conn()
        if len(data) > most:
            raise InvalidImage(f"larger than {most} bytes", source=f"{self.name}: {what}")
        return data

    def _authenticate(self, challenge: str, scope: str) -> None:
        credential = self._options.credential or find_credential(
            self._registry, self._repository, authfile=self._options.authfile
        )
        value = authorize(
            self.name,
            challenge,
            scope,
            credential=credential,
            plain_http=self._options.plain_http,
            ask=self._ask_for_token,
        )
        with self._lock:
            self._authorization[scope] = value

    def _ask_for_token(
        self, method: str, url: str, headers: Mapping[str, str], fields: Mapping[str, str] | None
    ) -> tuple[int, bytes]:
        body = None if fields is None else urllib.parse.urlencode(fields).encode()
        form = {} if fields is None else {"Content-Type": "application/x-www-form-urlencoded"}
        with self._failures(url):
            response = self._pool.request(
                method, url, headers={**_HEADERS, **form, **headers}, body=body, preload_content=False
            )
        return response.status, self._body(response, _MAX_TOKEN, "the token")

    # Set-up.

    def _path(self, kind: str, selector: str) -> str:
        return f"/v2/{self._repository}/{kind}/{selector}"

    def _make_pool(self, host: str) -> urllib3.PoolManager:
        options = self._options
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
        scheme = self._base.partition(":")[0]
        proxy = urllib.request.getproxies().get(scheme)
        if proxy and not urllib.request.proxy_bypass(host):
            found: urllib3.PoolManager = self._urllib3.ProxyManager(proxy, **settings)
        else:
            found = self._urllib3.PoolManager(**settings)
        return found


def _tls_context(ca_file: Path | None) -> Any:
    import ssl  # noqa: PLC0415  slow to import, and only needed here

    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ImageError(f"{ca_file}: no certificates in PEM form: {error}") from None
    return context


class _BlobStream:
    def __init__(
        self, response: urllib3.BaseHTTPResponse, failures: Callable[[], contextlib.AbstractContextManager[None]]
    ) -> None:
        self._response = response
        self._failures = failures

    def read(self, size: int, /) -> bytes:
        with self._failures():
            return self._response.read(size)

    def skip(self, count: int) -> None:
        while count and (data := self.read(min(count, CHUNK))):
            count -= len(data)

    def close(self) -> None:
        # What is left of the answer may be long: the connection goes too.
        self._response.close()


def _retry_after(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() else None


def _urllib3() -> Any:
    try:
        import urllib3  # noqa: PLC0415  an extra, and slow to import
    except ImportError:
        raise ImageError("talking to a registry needs urllib3", hint="pip install 'wasmoci[image]'") from None
    return urllib3

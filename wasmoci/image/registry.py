"""A client of the OCI distribution specification: what is asked of one registry, with authentication and retries."""

from __future__ import annotations

import random
import threading
import time
import urllib.parse
from typing import TYPE_CHECKING, Any

from wasmoci.errors import InvalidImage
from wasmoci.image import media
from wasmoci.image.credentials import find_credential
from wasmoci.image.digest import CHUNK, digest_of
from wasmoci.image.model import MAX_JSON, Descriptor
from wasmoci.image.registry_auth import authorize
from wasmoci.image.registry_connection import BlobStream, Connection, RegistryOptions
from wasmoci.image.registry_errors import TEMPORARY, Passing, status_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import urllib3

    from wasmoci.image.digest import ByteReader

_ACCEPT = ", ".join((*sorted(media.MANIFESTS), *sorted(media.INDEXES)))
_MAX_WAIT = 30.0
_MAX_TOKEN = 1 << 20

_OK, _CREATED, _ACCEPTED, _PARTIAL, _UNAUTHORIZED, _NOT_FOUND = 200, 201, 202, 206, 401, 404


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
        self._connection = Connection(self.name, registry, options)
        self._authorization: dict[str, str] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close all connections."""
        self._connection.close()

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
            return self._connection.whole(response, MAX_JSON, f"the manifest {selector!r}"), response.headers

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
        stream = BlobStream(self._connection, self._connection.base + url, response)
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
            location = urllib.parse.urljoin(self._connection.base + "/", start.headers.get("Location", ""))
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
        url = path if "://" in path else self._connection.base + path
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
        text = self._connection.whole(response, MAX_JSON, "the answer")
        error = status_error(self.name, method, url, response.status, text)
        if response.status in TEMPORARY:
            raise Passing(error, _retry_after(response.headers.get("Retry-After")))
        raise error

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: Any, scope: str
    ) -> urllib3.BaseHTTPResponse:
        # An upload's location may be another host's, with a signature of its own in it.
        if scope in self._authorization and url.startswith(self._connection.base + "/"):
            headers = {**headers, "Authorization": self._authorization[scope]}
        return self._connection.send(method, url, headers, body)

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
        response = self._connection.send(method, url, {**form, **headers}, body)
        return response.status, self._connection.whole(response, _MAX_TOKEN, "the token")

    def _path(self, kind: str, selector: str) -> str:
        return f"/v2/{self._repository}/{kind}/{selector}"


def _retry_after(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() else None

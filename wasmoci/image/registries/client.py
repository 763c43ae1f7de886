"""A client for one registry, with authentication and retries (OCI distribution specification)."""

from __future__ import annotations

import random
import threading
import time
import urllib.parse
from typing import TYPE_CHECKING, Any

from wasmoci.errors import InvalidImage, RegistryDenied, RegistryError
from wasmoci.image.content import media
from wasmoci.image.content.model import MAX_JSON, Descriptor
from wasmoci.image.registries.authentication import authorize
from wasmoci.image.registries.connection import BlobStream, Connection
from wasmoci.image.registries.credentials import find_credential
from wasmoci.image.registries.failures import TEMPORARY, Passing, status_error
from wasmoci.image.registries.request_origin import Origin, lead
from wasmoci.image.registries.transfer_limits import MAX_TOKEN
from wasmoci.image.streams.digest import CHUNK, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wasmoci.image.registries.connection import Answer
    from wasmoci.image.registries.options import RegistryOptions
    from wasmoci.image.registries.transfer_rate import Pace
    from wasmoci.image.streams.digest import ByteReader

_ACCEPT = ", ".join((*sorted(media.MANIFESTS), *sorted(media.INDEXES)))
_MAX_WAIT = 30.0

_OK, _CREATED, _ACCEPTED, _PARTIAL, _UNAUTHORIZED, _NOT_FOUND = 200, 201, 202, 206, 401, 404


class Repository:
    """One repository of one registry.

    Args:
        registry: The registry's host, with its port.
        repository: The repository within.
        options: Options for the registry.
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

    def check_time(self) -> None:
        """Raise an error if the transfer has taken too long.

        Raises:
            ImageLimitExceeded: The time is up.
        """
        self._connection.pace.left()

    # Operations.

    def manifest(self, selector: str) -> tuple[bytes, Descriptor]:
        """Get a manifest or an index.

        Args:
            selector: A tag, or a digest, which the response is compared with.

        Raises:
            RegistryError: It doesn't exist, or the registry doesn't deliver it.
            InvalidImage: The response doesn't match the digest.
        """

        def attempt() -> tuple[bytes, Mapping[str, str]]:
            answer = self._request("GET", self._path("manifests", selector), {"Accept": _ACCEPT}, again=False)
            what = f"the manifest {selector!r}"
            return self._connection.whole(answer.response, MAX_JSON, what), answer.response.headers

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
            RegistryError: It doesn't exist, or the registry doesn't deliver it.
            Passing: A temporary failure, which reading may raise as well.
        """
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        answer = self._request("GET", self._path("blobs", descriptor.digest), headers, again=False)
        partial = offset > 0 and answer.response.status == _PARTIAL
        stream = BlobStream(
            self._connection, answer, f"{self.name}: {descriptor.digest}", descriptor.size - (offset if partial else 0)
        )
        if offset and not partial:
            stream.skip(offset)  # the registry doesn't support ranges
        return stream

    def small_blob(self, descriptor: Descriptor) -> bytes:
        """Get a blob that is a JSON document, without verifying it."""

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
        """Return whether the repository has a blob."""
        answer = self._request("HEAD", self._path("blobs", descriptor.digest), {}, push=True, missing=True)
        return answer.response.status == _OK

    def upload(self, descriptor: Descriptor, open_body: Callable[[], ByteReader]) -> None:
        """Upload a blob.

        Args:
            descriptor: Its descriptor.
            open_body: Opens its bytes; called again for each attempt.

        Raises:
            RegistryError: The registry refuses it.
        """

        def attempt() -> None:
            start = self._request(
                "POST", f"/v2/{self._repository}/blobs/uploads/", {"Content-Length": "0"}, push=True, again=False
            )
            location = start.response.headers.get("Location", "")
            if not location:
                raise RegistryError(f"{self.name}: the registry doesn't say where to upload to")
            # It may be on another host, with a signature in the URL; that host gets no credentials.
            location = lead(self.name, start.url, location)
            location += ("&" if "?" in location else "?") + urllib.parse.urlencode({"digest": descriptor.digest})
            body = _InTime(open_body(), self._connection.pace)
            try:
                headers = {"Content-Type": "application/octet-stream", "Content-Length": str(descriptor.size)}
                self._request("PUT", location, headers, body=body, push=True, again=False)
            finally:
                body.close()

        self.again(attempt)

    def put_manifest(self, data: bytes, media_type: str, selector: str) -> None:
        """Upload a manifest under a tag or its digest.

        Raises:
            RegistryError: The registry refuses it.
        """
        self._request("PUT", self._path("manifests", selector), {"Content-Type": media_type}, body=data, push=True)

    # Requests.

    def again(self, attempt: Callable[[], Any]) -> Any:
        """Retry a call that fails temporarily, with increasing delays.

        Raises:
            RegistryError: The last temporary failure, or the first permanent one.
        """
        for number in range(self._options.retries + 1):
            left = self._connection.pace.left()
            try:
                return attempt()
            except Passing as passing:
                if number == self._options.retries:
                    raise passing.error from None
                wait = passing.wait or (0.5 * 2**number * (1 + random.random()))  # noqa: S311
                time.sleep(min(wait, _MAX_WAIT, left))
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
    ) -> Answer:
        def attempt() -> Answer:
            return self._once(method, path, headers, body=body, push=push, missing=missing)

        answer: Answer = self.again(attempt) if again else attempt()
        return answer

    def _once(
        self, method: str, path: str, headers: Mapping[str, str], *, body: Any, push: bool, missing: bool
    ) -> Answer:
        scope = f"repository:{self._repository}:{'pull,push' if push else 'pull'}"
        url = path if "://" in path else self._connection.base + path
        answer = self._send(method, url, headers, body, scope)
        if answer.response.status == _UNAUTHORIZED and answer.own and (body is None or isinstance(body, bytes)):
            challenge = answer.response.headers.get("WWW-Authenticate", "")
            self._connection.discard(answer.response)
            self._authenticate(challenge, scope)
            answer = self._send(method, url, headers, body, scope)
        status = answer.response.status
        if status in (_OK, _CREATED, _ACCEPTED, 204, _PARTIAL) or (missing and status == _NOT_FOUND):
            if method == "HEAD" or push:
                self._connection.discard(answer.response)
            return answer
        if status == _UNAUTHORIZED and not answer.own:
            self._connection.discard(answer.response)
            raise RegistryDenied(
                f"{self.name}: {Origin.of(answer.url)}, which {self._connection.origin} led to, asks for credentials; "
                "they are for the registry alone",
                status=status,
            )
        error = status_error(self.name, method, answer.url, status, self._connection.explanation(answer.response))
        if status in TEMPORARY:
            raise Passing(error, _retry_after(answer.response.headers.get("Retry-After")))
        raise error

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: Any, scope: str) -> Answer:
        return self._connection.send(method, url, headers, body, authorization=self._authorization.get(scope, ""))

    def _authenticate(self, challenge: str, scope: str) -> None:
        credential = self._options.credential or find_credential(
            self._registry, self._repository, authfile=self._options.authfile
        )
        value = authorize(
            self.name,
            challenge,
            scope,
            registry=self._connection.origin,
            credential=credential,
            ask=self._ask_for_token,
        )
        with self._lock:
            self._authorization[scope] = value

    def _ask_for_token(
        self, method: str, realm: str, headers: Mapping[str, str], fields: Mapping[str, str], authorization: str
    ) -> tuple[int, bytes]:
        query = urllib.parse.urlencode(fields)
        if method == "POST":
            form = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
            answer = self._connection.send(method, realm, form, query.encode(), to=Origin.of(realm))
        else:
            url = realm + ("&" if "?" in realm else "?") + query
            answer = self._connection.send(method, url, headers, authorization=authorization, to=Origin.of(realm))
        if not answer.own:
            self._connection.discard(answer.response)
            raise RegistryError(f"{self.name}: {Origin.of(realm)} gives no token, but leads to {Origin.of(answer.url)}")
        if answer.response.status != _OK:
            return answer.response.status, self._connection.explanation(answer.response)
        return _OK, self._connection.whole(answer.response, MAX_TOKEN, "the token")

    def _path(self, kind: str, selector: str) -> str:
        return f"/v2/{self._repository}/{kind}/{selector}"


def _retry_after(text: str | None) -> float | None:
    return float(text[:20]) if text and text.isascii() and text.isdigit() else None


class _InTime:
    """Reads the body of an upload until the time is up."""

    def __init__(self, raw: ByteReader, pace: Pace) -> None:
        self._raw = raw
        self._pace = pace

    def read(self, size: int, /) -> bytes:
        self._pace.left()
        return self._raw.read(size)

    def close(self) -> None:
        self._raw.close()

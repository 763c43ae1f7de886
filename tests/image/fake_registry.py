"""A registry on loopback that misbehaves as told: it cuts answers, fails for a while, or asks for tokens."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class FakeRegistry:
    """What it has, and how it behaves.

    Attributes:
        cut: Bytes after which answers with blobs end too early; each blob's next answer has as many more.
        ranges: Whether it knows ranges.
        fail: How often each path answers 503 before it does what it should.
        retry_after: Seconds that it asks to wait meanwhile.
        auth: ``"basic"``, ``"bearer"`` or none.
        token_status: The status of answers to who asks for a token.
        lie: What to answer instead of a blob or a manifest.
        redirect: Another registry, which blobs are fetched from.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.cut = 0
        self.ranges = True
        self.fail = 0
        self.retry_after = ""
        self.auth = ""
        self.token_status = 200
        self.lie: dict[str, bytes] = {}
        self.redirect = ""
        self.status = 0
        self.seen: list[tuple[str, str, str, str]] = []
        self.failed: Counter[str] = Counter()
        self.uploads: dict[str, bytes] = {}
        self.host = ""

    def add(self, layout: Path, tag: str) -> str:
        """Take over a layout's only image; return its name."""
        for blob in (layout / "blobs" / "sha256").iterdir():
            self.blobs[f"sha256:{blob.name}"] = blob.read_bytes()
        (descriptor,) = json.loads((layout / "index.json").read_text())["manifests"]
        data = self.blobs[descriptor["digest"]]
        for digest, content in self.blobs.items():
            if content.startswith(b"{") and b"schemaVersion" in content:
                self.manifests[digest] = (json.loads(content).get("mediaType", descriptor["mediaType"]), content)
        self.manifests[tag] = (descriptor["mediaType"], data)
        return f"{self.host}/me/image:{tag}"

    def requests(self, kind: str) -> list[str]:
        """The ranges of what was asked of a kind of path, empty for the whole."""
        return [byte_range for method, path, byte_range, _ in self.seen if method == "GET" and f"/{kind}/" in path]


@contextlib.contextmanager
def serve(registry: FakeRegistry) -> Iterator[FakeRegistry]:
    """Let it listen on a port of its own."""

    class Handler(_Handler):
        fake = registry

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    registry.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    fake: FakeRegistry
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Give a token, a manifest or a blob."""
        if self._refused():
            return
        path = urlsplit(self.path).path
        *above, kind, selector = path.split("/")
        if path == "/token":
            self._answer(self.fake.token_status, json.dumps({"token": "secret"}).encode())
        elif above != ["", "v2", "me", "image"]:
            self._answer(404, b"{}")
        elif kind == "manifests" and selector in self.fake.manifests:
            media_type, data = self.fake.manifests[selector]
            self._answer(200, self.fake.lie.get(selector, data), {"Content-Type": media_type})
        elif kind == "blobs" and self.fake.redirect:
            self._answer(307, b"", {"Location": f"http://{self.fake.redirect}{self.path}"})
        elif kind == "blobs" and selector in self.fake.blobs:
            self._blob(self.fake.lie.get(selector, self.fake.blobs[selector]))
        else:
            self._answer(404, json.dumps({"errors": [{"code": "UNKNOWN", "message": "not here"}]}).encode())

    do_HEAD = do_GET  # noqa: N815  a name of the base class

    def do_POST(self) -> None:
        """Begin an upload, or exchange an identity token."""
        body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if self._refused():
            return
        if self.path == "/token":
            right = (body["grant_type"], body["refresh_token"]) == (["refresh_token"], ["long-lived"])
            self._answer(200 if right else 401, json.dumps({"access_token": "secret"}).encode())
        else:
            self._answer(202, b"", {"Location": "/upload/1?state=a"})

    def do_PUT(self) -> None:
        """Take a blob or a manifest."""
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self._refused():
            return
        parts = urlsplit(self.path)
        if parts.path.startswith("/upload/"):
            self.fake.uploads[parse_qs(parts.query)["digest"][0]] = data
        else:
            self.fake.uploads[parts.path.rpartition("/")[2]] = data
        self._answer(201, b"")

    def _refused(self) -> bool:
        fake, path = self.fake, urlsplit(self.path).path
        authorization = self.headers.get("Authorization", "")
        fake.seen.append((self.command, self.path, self.headers.get("Range", ""), authorization))
        if path == "/token":
            return False
        expected = {"basic": "Basic " + base64.b64encode(b"me:pass").decode(), "bearer": "Bearer secret"}.get(
            fake.auth, ""
        )
        if expected and authorization != expected:
            realm = f'Bearer realm="http://{fake.host}/token",service="fake",scope="repository:me/image:pull"'
            self._answer(401, b"", {"WWW-Authenticate": realm if fake.auth == "bearer" else 'Basic realm="fake"'})
            return True
        if fake.status:
            self._answer(fake.status, json.dumps({"errors": [{"code": "DENIED", "message": "no"}]}).encode())
            return True
        if fake.failed[self.path] < fake.fail:
            fake.failed[self.path] += 1
            self._answer(503, b"", {"Retry-After": fake.retry_after} if fake.retry_after else {})
            return True
        return False

    def _blob(self, data: bytes) -> None:
        byte_range = self.headers.get("Range", "")
        start = int(byte_range[len("bytes=") : -1]) if byte_range and self.fake.ranges else 0
        body = data[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if 0 < self.fake.cut < len(body):
            self.wfile.write(body[: self.fake.cut])
            if not self.fake.ranges:
                self.fake.cut *= 3
            self.close_connection = True
            return
        self.wfile.write(body)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

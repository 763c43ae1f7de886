"""A registry on loopback that misbehaves as told: it cuts answers, fails for a while, asks for tokens, or attacks who asks it."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@attrs.frozen
class Flood:
    """An answer that never ends.

    Args:
        head: How it begins.
        piece: What is sent again and again, until who asked is gone.
        pause: Seconds between the pieces.
        status: The status.
        most: Bytes after which it ends after all, so that a client that takes everything shows it by that.
    """

    head: bytes
    piece: bytes
    pause: float = 0.0
    status: str = "200 OK"
    most: int = 256 << 20


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
        redirect: Another registry, which blobs are fetched from: its host, or an address that paths are added to.
        redirects: For a part of a path (``manifests``, ``token``, a digest, ...) the address that it leads to; ``{path}`` stands for
            the whole path.
        challenge: Asks everybody for credentials with this header, whatever they have shown.
        realm: Who gives the tokens; empty for itself.
        upload_to: Where uploads are sent to; ``{path}`` stands for what is usual.
        token: What is given for a token.
        floods: For a part of a path the answer that never ends.
        sent: How many bytes of floods were taken.
        forms: The bodies of requests for tokens.
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
        self.redirects: dict[str, str] = {}
        self.challenge = ""
        self.realm = ""
        self.upload_to = "{path}"
        self.token: Any = "secret"  # noqa: S105
        self.floods: dict[str, Flood] = {}
        self.sent = 0
        self.forms: list[str] = []
        self.status = 0
        self.seen: list[tuple[str, str, str, str]] = []
        self.failed: Counter[str] = Counter()
        self.uploads: dict[str, bytes] = {}
        self.closing = threading.Event()
        self.host = ""
        self.scheme = "http"

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

    @property
    def address(self) -> str:
        """Its scheme and host."""
        return f"{self.scheme}://{self.host}"

    def shown(self) -> set[str]:
        """The credentials that it was shown."""
        return {authorization for _, _, _, authorization in self.seen if authorization}


@contextlib.contextmanager
def serve(registry: FakeRegistry, *, tls: Path | None = None, address: str = "127.0.0.1") -> Iterator[FakeRegistry]:
    """Let it listen on a port of its own.

    Args:
        registry: The registry.
        tls: Where its certificate ``ca.pem`` and its key ``key.pem`` are; None for plain HTTP.
        address: An address of loopback.
    """

    class Handler(_Handler):
        fake = registry

    server = ThreadingHTTPServer((address, 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "ca.pem", tls / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        registry.scheme = "https"
    registry.host = f"{address}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield registry
    finally:
        registry.closing.set()
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
            self._answer(self.fake.token_status, json.dumps({"token": self.fake.token}).encode())
        elif above != ["", "v2", "me", "image"]:
            self._answer(404, b"{}")
        elif kind == "manifests" and selector in self.fake.manifests:
            media_type, data = self.fake.manifests[selector]
            self._answer(200, self.fake.lie.get(selector, data), {"Content-Type": media_type})
        elif kind == "blobs" and self.fake.redirect:
            address = self.fake.redirect if "://" in self.fake.redirect else f"http://{self.fake.redirect}"
            self._answer(307, b"", {"Location": address + self.path})
        elif kind == "blobs" and selector in self.fake.blobs:
            self._blob(self.fake.lie.get(selector, self.fake.blobs[selector]))
        else:
            self._answer(404, json.dumps({"errors": [{"code": "UNKNOWN", "message": "not here"}]}).encode())

    do_HEAD = do_GET  # noqa: N815  a name of the base class

    def do_POST(self) -> None:
        """Begin an upload, or exchange an identity token."""
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.fake.forms.append(text)
        body = parse_qs(text)
        if self._refused():
            return
        if self.path == "/token":
            right = (body["grant_type"], body["refresh_token"]) == (["refresh_token"], ["long-lived"])
            self._answer(200 if right else 401, json.dumps({"access_token": "secret"}).encode())
        else:
            self._answer(202, b"", {"Location": self.fake.upload_to.format(path="/upload/1?state=a")})

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
        if self._led_astray(path):
            return True
        if path == "/token":
            return False
        expected = {"basic": "Basic " + base64.b64encode(b"me:pass").decode(), "bearer": "Bearer secret"}.get(
            fake.auth, ""
        )
        if expected and authorization != expected:
            at = fake.realm or f"{fake.address}/token"
            realm = f'Bearer realm="{at}",service="fake",scope="repository:me/image:pull"'
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

    def _led_astray(self, path: str) -> bool:
        parts = [part for part in path.split("/") if part != "blobs" or "uploads" not in path]
        flood = next((flood for part, flood in self.fake.floods.items() if part in parts), None)
        redirect = next((address for part, address in self.fake.redirects.items() if part in parts), None)
        if flood is not None:
            self._flood(flood)
        elif redirect is not None:
            self._answer(307, b"", {"Location": redirect.format(path=self.path)})
        elif self.fake.challenge:
            self._answer(401, b"", {"WWW-Authenticate": self.fake.challenge})
        else:
            return False
        return True

    def _flood(self, flood: Flood) -> None:
        self.close_connection = True
        sent = 0
        with contextlib.suppress(OSError):
            self.wfile.write(f"HTTP/1.1 {flood.status}\r\n".encode() + flood.head)
            while sent < flood.most and not self.fake.closing.wait(flood.pause):
                self.wfile.write(flood.piece)
                self.wfile.flush()
                sent += len(flood.piece)
                self.fake.sent += len(flood.piece)

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

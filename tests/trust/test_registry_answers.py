"""Whatever a registry answers, down to bytes that are no HTTP, ends in an error of ours that can be shown."""

from __future__ import annotations

import importlib.util
import random
import socketserver
import threading
from typing import TYPE_CHECKING, ClassVar

import pytest

from tests.image.making import OCI_CONFIG, OCI_MANIFEST
from tests.image.registries import ME, options
from tests.support.requirements import require
from wasmoci.errors import WasmociError
from wasmoci.image import Store, pull

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.heavy

MANIFEST = (
    b'{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"sha256:%s","size":10},"layers":[]}'
    % (OCI_MANIFEST.encode(), OCI_CONFIG.encode(), b"a" * 64)
)
ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
    % (OCI_MANIFEST.encode(), len(MANIFEST), MANIFEST),
    b"HTTP/1.1 307 X\r\nLocation: http://HOST/v2/x\r\nContent-Length: 0\r\n\r\n",
    b'HTTP/1.1 401 X\r\nWWW-Authenticate: Bearer realm="http://HOST/token",service="x"\r\nContent-Length: 0\r\n\r\n',
    b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{"token": "abcdefg"}\r\n0\r\nX: y\r\n\r\n',
    b"HTTP/1.1 503 X\r\nRetry-After: 1\r\nContent-Length: 3\r\n\r\nabc",
    b'HTTP/1.1 429 X\r\nContent-Length: 45\r\n\r\n{"errors":[{"code":"X","message":"Y"}]}      ',
)
PIECES = (
    *(
        b"\r\n",
        b"\n",
        b"\0",
        b"\x1b",
        b"\xff",
        b": ",
        b",",
        b'"',
        b"=",
        b"@",
        b"\\",
        b"%",
        b"#",
        b"?",
        b" ",
        b"//",
        b"{",
        b"[",
    ),
    *(
        b"chunked",
        b"-1",
        b"9" * 20,
        b"null",
        b"http://[",
        b"HTTP/1.1 100 C\r\n\r\n",
        b"\xc2\xb2",
        b"Content-Length: 5\r\n",
    ),
    *(
        b"Content-Length: 3, 3\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Connection: close\r\n",
    ),
)


class _Handler(socketserver.BaseRequestHandler):
    answer: ClassVar[bytes]

    def handle(self) -> None:
        self.request.settimeout(5)
        self.request.recv(1 << 16)
        self.request.sendall(self.answer)


@pytest.fixture
def server() -> Iterator[str]:
    """A server that sends :attr:`_Handler.answer` to whoever comes; its host."""
    require(importlib.util.find_spec("urllib3"), "urllib3 is missing: pip install 'wasmoci[image]'")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Handler) as found:
        found.daemon_threads = True
        found.handle_error = lambda *_: None  # type: ignore[method-assign]
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{found.server_address[1]}"
        found.shutdown()
        thread.join()


@pytest.mark.parametrize("seed", range(8))
def test_any_answer(server: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but an error of ours comes of it, and nothing stays in the store."""
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    monkeypatch.setattr("wasmoci.image.registries.client.time.sleep", lambda _: None)
    chance = random.Random(seed)  # noqa: S311
    store = Store(tmp_path / "store")
    for _ in range(25):
        answer = bytearray(chance.choice(ANSWERS).replace(b"HOST", server.encode()))
        for _ in range(chance.randrange(5)):
            place = chance.randrange(len(answer) + 1)
            length = chance.choice((0, 0, 1, 4))
            answer[place : place + length] = chance.choice((b"", *PIECES))
        _Handler.answer = bytes(answer)
        with pytest.raises(WasmociError) as caught:
            pull(f"{server}/me/image:1", store=store, registry=options(credential=ME, timeout=0.5))
        assert caught.value.message.isprintable(), bytes(answer)
    assert store.images() == ()

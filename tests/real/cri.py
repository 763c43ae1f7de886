"""The part of Kubernetes' container runtime interface that the tests need: gRPC over a socket, and messages as nested tables.

A message is a dictionary from field numbers to values: text, bytes, numbers, messages, maps of text, and lists of these. The
numbers are those of ``runtime.v1`` in Kubernetes' cri-api.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import h2.events

from tests.real.programs import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Message = dict[int, Any]

_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5


class CriError(Exception):
    """The service's refusal, with its message."""


class Cri:
    """A client of the runtime service.

    Args:
        path: Its socket.
    """

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(str(path))
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._connection.initiate_connection()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def call(self, method: str, request: Message) -> Message:
        """Call a method of ``RuntimeService``.

        Raises:
            CriError: The service refuses.
        """
        stream = self._connection.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", f"/runtime.v1.RuntimeService/{method}"),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]
        body = encode(request)
        self._connection.send_headers(stream, headers)
        self._connection.send_data(stream, struct.pack(">BI", 0, len(body)) + body, end_stream=True)
        answer, trailers = self._receive(stream)
        if trailers.get("grpc-status") != "0":
            raise CriError(f"{method}: {trailers.get('grpc-message') or trailers}")
        return decode(answer[5:])

    def _receive(self, stream: int) -> tuple[bytes, dict[str, str]]:
        data, trailers = b"", {}
        while True:
            self._socket.sendall(self._connection.data_to_send())
            for event in self._connection.receive_data(self._socket.recv(1 << 16)):
                if getattr(event, "stream_id", None) != stream:
                    continue
                if isinstance(event, h2.events.DataReceived):
                    data += event.data
                    self._connection.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                    trailers |= dict(event.headers)
                elif isinstance(event, h2.events.StreamEnded):
                    return data, trailers


def encode(message: Message) -> bytes:
    """A message in protobuf's wire format."""
    return b"".join(_field(number, value) for number, value in message.items())


def _field(number: int, value: Any) -> bytes:
    if isinstance(value, list):
        return b"".join(_field(number, one) for one in value)
    if isinstance(value, dict) and value and all(isinstance(key, str) for key in value):
        return b"".join(_field(number, {1: key, 2: text}) for key, text in value.items())
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value)
    content = encode(value) if isinstance(value, dict) else value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def decode(content: bytes) -> Message:
    """The fields of a message: numbers, and bytes for all else; of a repeated field the last."""
    return dict(_fields(content))


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = content[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(content):
        key = varint()
        kind = key & 7
        if kind == _VARINT:
            yield key >> 3, varint()
            continue
        size = varint() if kind == _BYTES else {_DOUBLE: 8, _FLOAT: 4}[kind]
        yield key >> 3, content[at : at + size]
        at += size

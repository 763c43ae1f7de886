"""Reads JSON from untrusted files, with errors that name the file and the JSON path."""

from __future__ import annotations

import json
import math
import os
import re
import stat

from wasmoci._startup.typing import TYPE_CHECKING
from wasmoci.errors import InvalidSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

_MARK = b"\xef\xbb\xbf"  # the byte order mark, which UTF-8 doesn't need and some editors write
MAX_SIZE = 16 << 20  # bytes; a real config.json has a few tens of kilobytes
MAX_DEPTH = 100  # levels; a real config.json has about ten. Copying and writing are recursive.
_PLAIN_KEY = r"[A-Za-z_][A-Za-z0-9_-]*"
_SHOWN = 60  # characters of a wrong value that a message quotes


def load_object(source: str) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Args:
        source: A host path.

    Raises:
        InvalidSpec: It is missing, not a regular file, too large, not UTF-8, not JSON, or not an object.
    """
    return parse_object(read_file(source), source)


def parse_object(data: bytes, source: str) -> dict[str, Any]:
    """Parse the result of :func:`read_file` as one JSON object.

    Raises:
        InvalidSpec: It is not UTF-8, not JSON, or not an object.
    """
    try:
        text = data.removeprefix(_MARK).decode()
        document = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise InvalidSpec(f"byte {error.start:#x} is not UTF-8, as JSON has to be", source=source) from None
    except json.JSONDecodeError as error:
        raise InvalidSpec(
            f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}", source=source
        ) from None
    except RecursionError:
        raise _too_deep(source) from None
    except ValueError as error:
        raise InvalidSpec(f"not JSON: {error}", source=source) from None
    if _is_deep(document):
        raise _too_deep(source)
    node = Node(document, source=source).object()
    value: dict[str, Any] = node.value
    return value


def read_file(source: str) -> bytes:
    """Return the content of a file that should hold JSON.

    Raises:
        InvalidSpec: It is missing, not a regular file, or too large.
    """
    try:
        # O_NONBLOCK: a FIFO must not make us wait for a writer.
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        # The wording of ValueError differs between versions of Python.
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "its name has a NUL byte"
        raise InvalidSpec(f"can't be read: {reason}", source=source) from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = "a directory" if stat.S_ISDIR(mode) else "a special file"
        raise InvalidSpec(f"is {kind}; a JSON file was expected", source=source)
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(MAX_SIZE + 1)
    if len(data) > MAX_SIZE:
        raise InvalidSpec(f"is larger than {MAX_SIZE >> 20} MiB, which no OCI spec is", source=source)
    return data


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:_SHOWN]} is too large")
    return number


def _is_deep(document: object) -> bool:
    level = [document]
    for _ in range(MAX_DEPTH):
        containers = [node for node in level if isinstance(node, (dict, list))]
        if not containers:
            return False
        level = [item for node in containers for item in (node.values() if isinstance(node, dict) else node)]
    return any(isinstance(node, (dict, list)) for node in level)


def _too_deep(source: str) -> InvalidSpec:
    return InvalidSpec(f"is nested more than {MAX_DEPTH} levels deep, which no OCI spec is", source=source)


class Node:
    """A value in a JSON document that knows its JSON path.

    Args:
        value: The value from :func:`json.loads`.
        source: The file, for messages.
        path: The JSON path of the value.
    """

    __slots__ = ("path", "source", "value")

    def __init__(self, value: Any, *, source: str | None, path: str = "$") -> None:
        self.value = value
        self.source = source
        self.path = path

    def error(self, expected: str) -> InvalidSpec:
        """Return an error for this place that quotes the value."""
        return InvalidSpec(f"found {_show(self.value)}; {expected}", source=self.source, path=self.path)

    def object(self) -> Node:
        """Return the node itself.

        Raises:
            InvalidSpec: It isn't an object.
        """
        if not isinstance(self.value, dict):
            raise self.error("an object was expected")
        return self

    def string(self) -> str:
        """Return the value as text that can be a path, an argument or a variable.

        Raises:
            InvalidSpec: It isn't a string, has a NUL byte, or can't be encoded in UTF-8.
        """
        if not isinstance(self.value, str):
            raise self.error("a string was expected")
        if "\0" in self.value:
            raise self.error("a string without NUL bytes was expected")
        try:
            self.value.encode()
        except UnicodeEncodeError:
            raise self.error("a string without lone surrogates was expected") from None
        return self.value

    def integer(self) -> int:
        """Return the value as an integer.

        Raises:
            InvalidSpec: It isn't an integer.
        """
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            raise self.error("an integer was expected")
        return self.value

    def get(self, key: str) -> Node | None:
        """Return a member; None when it is missing or null, which mean the same in an OCI spec.

        Raises:
            InvalidSpec: This node isn't an object.
        """
        value = self.object().value.get(key)
        return None if value is None else Node(value, source=self.source, path=_step(self.path, key))

    def require(self, key: str) -> Node:
        """Return a required member.

        Raises:
            InvalidSpec: It is missing or null.
        """
        node = self.get(key)
        if node is None:
            raise InvalidSpec(
                "is missing; the OCI runtime specification requires it",
                source=self.source,
                path=_step(self.path, key),
            )
        return node

    def text(self, key: str) -> str | None:
        """Return a member that is a string, or None when it is missing."""
        node = self.get(key)
        return None if node is None else node.string()

    def boolean(self, key: str) -> bool:
        """Return a member that is true or false; a missing one is false."""
        node = self.get(key)
        if node is None:
            return False
        if not isinstance(node.value, bool):
            raise node.error("true or false was expected")
        return node.value

    def items(self, key: str) -> Iterator[Node]:
        """Return the elements of a member that is an array; none when it is missing."""
        node = self.get(key)
        if node is None:
            return
        if not isinstance(node.value, list):
            raise node.error("an array was expected")
        for index, value in enumerate(node.value):
            yield Node(value, source=self.source, path=f"{node.path}[{index}]")

    def members(self, key: str) -> Iterator[tuple[str, Node]]:
        """Return the members of a member that is an object; none when it is missing."""
        node = self.get(key)
        if node is None:
            return
        for name, value in node.object().value.items():
            yield name, Node(value, source=node.source, path=_step(node.path, name))


def _step(path: str, key: str) -> str:
    return path + (f".{key}" if re.fullmatch(_PLAIN_KEY, key) else f"[{json.dumps(key)}]")


def _show(value: object) -> str:
    if isinstance(value, (dict, list)):
        return ("an object" if isinstance(value, dict) else "an array") + f" of {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."

"""What kind of file this is, by its first bytes."""

from __future__ import annotations

import re

from wasmoci.binary.model import ModuleKind
from wasmoci.errors import InvalidModule

MAGIC = b"\0asm"
_PREAMBLE_SIZE = 8

# Files that end up in the place of a module by mistake.
_STRANGERS = (
    (b"\x7fELF", "an ELF program"),
    (b"#!", "a script"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"\xfd7zXZ\0", "compressed by xz"),
    (b"BZh", "compressed by bzip2"),
    (b"PK\x03\x04", "a zip archive"),
    (b"!<arch>\n", "an archive of object files"),
    (b"BC\xc0\xde", "LLVM bitcode"),
    (b"MZ", "a Windows program"),
    (b"\xcf\xfa\xed\xfe", "a Mach-O program"),
    (b"\xca\xfe\xba\xbe", "a Mach-O program or a Java class"),
    (b"version https://git-lfs", "a pointer to a file in Git LFS"),
)
_HTML = re.compile(rb"\s*<(?:!doctype|html|head|\?xml)", re.IGNORECASE)
_TAR_MAGIC = slice(257, 262)
# The fields that a text may begin with; the text format also allows a module without the word `module`.
_TEXT_FIELD = re.compile(
    rb"\(\s*(?:module|component|type|import|func|table|memory|global|export|start|elem|data|tag|rec)(?![\w.\-])"
)
_TEXT_SPACE = re.compile(rb"[ \t\r\n]+|;;[^\n]*")
_TEXT_HEAD = 1 << 20  # how far to look for the first token
_TEXT_BRACKETS = re.compile(rb"\(;|;\)")

_HINT = "expected a WebAssembly module, which begins with the bytes 00 61 73 6d, or one in the text format"


def kind_of(data: bytes, *, source: str | None) -> ModuleKind:
    """Tell a core module, a component and the text format apart.

    Args:
        data: The file.
        source: Its name, for messages.

    Raises:
        InvalidModule: It is none of them, or of a version that nobody knows; the message says what it is instead.
    """
    if not data:
        raise InvalidModule("the file is empty", source=source, offset=0, hint=_HINT)
    if data.startswith(MAGIC):
        return _binary_kind(data, source)
    if MAGIC.startswith(data):
        raise InvalidModule(
            f"the file ends after {len(data)} bytes, inside the preamble", source=source, offset=len(data)
        )
    start = _skip_text_space(data)
    if _TEXT_FIELD.match(data, start):
        return ModuleKind.TEXT
    raise InvalidModule(f"this is {_name_stranger(data)}, not WebAssembly", source=source, offset=0, hint=_HINT)


def _binary_kind(data: bytes, source: str | None) -> ModuleKind:
    if len(data) < _PREAMBLE_SIZE:
        raise InvalidModule(
            f"the file ends after {len(data)} bytes, inside the preamble of {_PREAMBLE_SIZE}",
            source=source,
            offset=len(data),
        )
    version = int.from_bytes(data[4:6], "little")
    layer = int.from_bytes(data[6:8], "little")
    if (version, layer) == (1, 0):
        return ModuleKind.CORE
    if (version, layer) == (0x0D, 1):
        return ModuleKind.COMPONENT
    what = {0: "core module", 1: "component"}.get(layer)
    found = f"a {what} of version {version:#x}" if what else f"version {version:#x} of an unknown layer {layer:#x}"
    raise InvalidModule(
        f"this is {found}; expected a core module of version 1 or a component of version 0xd", source=source, offset=4
    )


def _name_stranger(data: bytes) -> str:
    for magic, name in _STRANGERS:
        if data.startswith(magic):
            return name
    if _HTML.match(data):
        return "an HTML or XML page"
    if data[_TAR_MAGIC] == b"ustar":
        return "a tar archive"
    head = data[:4].hex(" ")
    return f"a file that begins with the bytes {head}"


def _skip_text_space(data: bytes) -> int:
    """The offset of the first token behind white space and comments of the text format."""
    pos, end = 0, min(len(data), _TEXT_HEAD)
    while pos < end:
        if space := _TEXT_SPACE.match(data, pos, end):
            pos = space.end()
        elif data.startswith(b"(;", pos):
            pos = _end_of_comment(data, pos, end)
        else:
            return pos
    return end


def _end_of_comment(data: bytes, pos: int, end: int) -> int:
    depth = 0
    for bracket in _TEXT_BRACKETS.finditer(data, pos, end):
        depth += 1 if bracket.group() == b"(;" else -1
        if depth == 0:
            return bracket.end()
    return end


def check_text(data: bytes, *, source: str | None) -> None:
    """Insist that a text is UTF-8, as the text format demands.

    Raises:
        InvalidModule: It isn't; the offset is that of the first byte that can't be read.
    """
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise InvalidModule("the text is not UTF-8", source=source, offset=error.start) from None

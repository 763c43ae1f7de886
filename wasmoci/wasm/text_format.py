"""Recognises the text format, and names the kinds of files that are often given by mistake instead of a module."""

from __future__ import annotations

import re

from wasmoci.errors import InvalidModule

# Files that are often given by mistake.
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
# The fields that a text may begin with; the text format also allows a module without the keyword `module`.
_TEXT_FIELD = re.compile(
    rb"\(\s*(?:module|component|type|import|func|table|memory|global|export|start|elem|data|tag|rec)(?![\w.\-])"
)
_TEXT_SPACE = re.compile(rb"[ \t\r\n]+|;;[^\n]*")
_TEXT_HEAD = 1 << 20  # how far to look for the first token
_TEXT_BRACKETS = re.compile(rb"\(;|;\)")


def is_text(data: bytes) -> bool:
    """Return whether a file begins like a module in the text format."""
    return _TEXT_FIELD.match(data, _skip_text_space(data)) is not None


def name_stranger(data: bytes) -> str:
    """Describe what a file is that isn't WebAssembly."""
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
    """Return the offset of the first token after white space and comments of the text format."""
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
    """Check that a text is UTF-8, as the text format requires.

    Raises:
        InvalidModule: It isn't; the offset is that of the first invalid byte.
    """
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise InvalidModule("the text is not UTF-8", source=source, offset=error.start) from None

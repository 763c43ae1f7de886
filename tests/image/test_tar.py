"""The tar reader, against what GNU tar and Python write, and against damage."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.image.making import member, tar
from tests.support.requirements import require
from wasmoci.errors import ImageError, InvalidImage
from wasmoci.image.streams.byte_stream import parse_number
from wasmoci.image.streams.tar import Entry, Kind, TarReader

if TYPE_CHECKING:
    from pathlib import Path


def read(data: bytes) -> list[tuple[Entry, bytes]]:
    """All entries with their data, a sparse file's holes filled."""
    found = []
    reader = TarReader(io.BytesIO(data), source="a.tar")
    for entry in reader:
        content = b"".join(bytes(piece) for piece in reader.data())
        if entry.extents is not None:
            whole = bytearray(entry.size)
            for offset, length in entry.extents:
                whole[offset : offset + length], content = content[:length], content[length:]
            content = bytes(whole)
        found.append((entry, content))
    return found


NAMES = ["a", "d" * 99, "d" * 120 + "/f", "d/" * 60 + "f", "e" * 255 + "/" + "f" * 255, "ümläut", "sp ace\n", "x" * 100]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", NAMES)
def test_names(form: int, name: str) -> None:
    """Names of any length and script are read in the three formats, as far as the format can hold them."""
    try:
        data = tar(member(name, data=b"content"), member("l", "symlink", link=name), form=form)
    except ValueError:
        assert form == tarfile.USTAR_FORMAT
        return
    (first, content), (second, _) = read(data)
    assert (first.name, first.kind, content) == (name, Kind.FILE, b"content")
    assert (second.link, second.kind) == (name, Kind.SYMLINK)


def test_fields() -> None:
    """Every field is read, whatever needs PAX or base 256 for it."""
    fields = {"mode": 0o4755, "uid": 3_000_000_000, "gid": 2_999_999_999, "mtime": 8_589_934_600}
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        ((entry, _),) = read(tar(member("a", **fields), form=form))
        found = {"mode": entry.mode, "uid": entry.uid, "gid": entry.gid, "mtime": entry.mtime // 10**9}
        assert found == fields


def test_pax_wins_over_the_header() -> None:
    """PAX records replace the header's fields; attributes are kept as bytes."""
    records = {"path": "b", "uid": "7", "mtime": "-1.5", "SCHILY.xattr.user.k": "v=1\n"}
    ((entry, _),) = read(tar(member("a", pax_headers=records)))
    assert (entry.name, entry.uid, entry.mtime) == ("b", 7, -1_500_000_000)
    assert entry.xattrs == {"user.k": b"v=1\n"}


@pytest.mark.parametrize("options", [["gnu"], ["posix", "0.0"], ["posix", "0.1"], ["posix", "1.0"]], ids="-".join)
def test_sparse_files(tmp_path: Path, options: list[str]) -> None:
    """Sparse files of GNU tar's four forms come out as they were, with more extents than a header holds."""
    require(shutil.which("tar"), "GNU tar is missing")
    source = tmp_path / "sparse"
    with source.open("wb") as file:
        for number in range(40):
            file.seek(number * 200_000)
            file.write(f"extent {number}".encode())
        file.truncate(9_000_000)
    command = ["tar", "-C", tmp_path, "--sparse", "--hole-detection=raw", f"--format={options[0]}"]
    command += [f"--sparse-version={options[1]}"] if options[1:] else []
    (tmp_path / "after").write_text("after")
    data = subprocess.run([*command, "-cf", "-", "sparse", "after"], check=True, capture_output=True).stdout
    (entry, content), (_, after) = read(data)
    assert entry.extents is not None
    assert (entry.name, entry.size, after) == ("sparse", 9_000_000, b"after")
    assert content == source.read_bytes()


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"0000644\0", 0o644),
        (b"   644 \0", 0o644),
        (b"\0" * 8, 0),
        (b"        ", 0),
        (b"\x80" + b"\0" * 6 + b"\x07", 7),
        (b"\xff" * 8, -1),
        (b"00009 \0\0", None),
        (b"-000644\0", None),
    ],
)
def test_numbers(field: bytes, expected: int | None) -> None:
    """A header's numbers are octal or base 256, and nothing else."""
    assert parse_number(field) == expected


def broken(data: bytes, at: int, replacement: bytes) -> bytes:
    """An archive with some bytes replaced, and its first header's checksum made right again."""
    changed = bytearray(data)
    changed[at : at + len(replacement)] = replacement
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed[:512])
    return bytes(changed)


GOOD = tar(member("a", data=b"x" * 600), form=tarfile.USTAR_FORMAT)
TWO = tar(member("a", data=b"x" * 600), member("b"), form=tarfile.USTAR_FORMAT)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (GOOD[:700], "ends in the middle"),
        (GOOD[:100], "ends in the middle"),
        (TWO[:1536] + b"?" + TWO[1537:], "checksum"),
        (broken(GOOD, 124, b"\xff" * 12), "negative size"),
        (broken(GOOD, 124, b"99999999999\0"), "octal"),
        (broken(GOOD, 124, b"\x80" + b"\xff" * 11), "ends in the middle"),
        (broken(GOOD, 156, b"V"), "unknown type b'V'"),
        (broken(GOOD, 156, b"x"), "PAX"),
        (broken(broken(GOOD, 156, b"L"), 124, b"77777777777\0"), "extended header of 8589934591 bytes"),
        (GOOD[:1536] + bytes(512) + b"x" * 512, "zeros is followed"),
        (b"not a tar archive" * 100, "checksum"),
    ],
)
def test_damage(data: bytes, words: str) -> None:
    """A damaged archive is an error that says what is wrong, never the end of the archive."""
    with pytest.raises(InvalidImage, match=words):
        read(data)


@pytest.mark.parametrize(
    "records",
    [b"6 a=b\n", b"99 path=a\n", b"0 path=a\n", b"x path=a\n", b"5 ab\n", b"12 size=-99\n", b"14 mtime=1e99\n"],
)
def test_damaged_pax_records(records: bytes) -> None:
    """PAX records that lie about their length or value are refused, but for a key that nobody knows."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(records)
    data = info.tobuf(tarfile.USTAR_FORMAT) + records.ljust(512, b"\0") + GOOD
    if records == b"6 a=b\n":
        assert [entry.name for entry, _ in read(data)] == ["a"]
        return
    with pytest.raises(InvalidImage):
        read(data)


@pytest.mark.parametrize(
    ("pairs", "size", "words"),
    [
        ("0,10,5,10", 30, "overlap"),
        ("0,10,20,10", 25, "up to byte 30"),
        ("0,10,20", 30, "3 numbers"),
        ("0,10", 30, "don't add up"),
        ("0,x", 30, "for a number"),
    ],
)
def test_damaged_sparse_maps(pairs: str, size: int, words: str) -> None:
    """A sparse file whose map contradicts itself is refused."""
    records = {"GNU.sparse.map": pairs, "GNU.sparse.size": str(size)}
    with pytest.raises(InvalidImage, match=words):
        read(tar(member("a", data=b"x" * 20, pax_headers=records)))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutations(data: st.DataObject) -> None:
    """However an archive is changed, it is read or refused; nothing else is raised and little memory is taken."""
    seed = bytearray(
        tar(
            member(
                "p" * 150,
                pax_headers={"SCHILY.xattr.user.a": "b", "GNU.sparse.map": "0,2", "GNU.sparse.size": "5"},
                data=b"xy",
            )
        )
        + GOOD
    )
    for _ in range(data.draw(st.integers(1, 6))):
        seed[data.draw(st.integers(0, len(seed) - 1))] = data.draw(st.integers(0, 255))
    for offset in range(0, len(seed), 512):  # most changes to a header fail at its checksum: make it right
        if seed[offset + 257 : offset + 262] == b"ustar":
            seed[offset + 148 : offset + 156] = b" " * 8
            seed[offset + 148 : offset + 156] = b"%06o\0 " % sum(seed[offset : offset + 512])
    try:
        for entry in TarReader(io.BytesIO(bytes(seed)), source="a.tar"):
            os.fsencode(entry.name)
    except ImageError:
        pass

"""Entries are used when they are sound and the user's own; everything else is made anew, with one warning at most."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.leak_check import no_descriptor_left
from wasmoci import compiled
from wasmoci.compiled import code_cache

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.compiled.conftest import Counter


def replace(file: Path, data: bytes) -> None:
    """Change a file in place, which is read-only."""
    file.chmod(0o600)
    file.write_bytes(data)
    file.chmod(0o400)


def test_made_once(cache: Path, counter: Counter, warnings: list[str]) -> None:
    """What was made is loaded, and nothing but the entry and its record stays."""
    with no_descriptor_left():
        assert [counter.get() for _ in range(3)] == [b"m" * 100] * 3
    assert counter.made == 1
    assert sorted(file.suffix for file in cache.iterdir()) == [".code", ".json"]
    assert warnings == []


def test_private(cache: Path, counter: Counter, only: Callable[[str], Path]) -> None:
    """Directories are the user's alone, whatever the umask says, and files can't be written to by anybody."""
    old = os.umask(0)
    try:
        counter.get()
    finally:
        os.umask(old)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (cache, cache.parent)] == [0o700, 0o700]
    assert [stat.S_IMODE(only(suffix).stat().st_mode) for suffix in (".code", ".json")] == [0o444, 0o444]


@pytest.mark.parametrize("change", [{"version": "2"}, {"module": "n"}])
def test_another_key(cache: Path, counter: Counter, change: dict[str, str]) -> None:
    """Another version or module is another entry."""
    counter.get()
    counter.get(**change)  # type: ignore[arg-type]
    assert counter.made == 2
    assert len(list(cache.glob("*.code"))) == 2


@pytest.mark.parametrize("wait", [0, 0.25], ids=["at once", "later"])
@pytest.mark.parametrize("spoil", ["cut", "flip", "grow", "empty", "other"])
def test_damaged_code(counter: Counter, only: Callable[[str], Path], spoil: str, wait: float) -> None:
    """Code that isn't what was written is made anew, whenever it was changed."""
    counter.get()
    time.sleep(wait)
    counter.get()
    code = only(".code")
    data = code.read_bytes()
    changed = {
        "cut": data[:50],
        "flip": bytes([data[0] ^ 1]) + data[1:],
        "grow": data + b"x",
        "empty": b"",
        "other": b"z" * len(data),
    }
    replace(code, changed[spoil])
    assert [counter.get(), counter.get()] == [b"m" * 100] * 2
    assert counter.made == 2


@pytest.mark.usefixtures("cache")
def test_copied(counter: Counter, only: Callable[[str], Path]) -> None:
    """A file that was copied, and so lost its stamp, is good when its content is."""
    counter.get()
    code = only(".code")
    data = code.read_bytes()
    code.unlink()
    code.write_bytes(data)
    assert counter.get() == data
    assert counter.made == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"format": 1}',
        b'{"format": 2}',
        b'{"format": 1, "stamp": [1]}',
        b"[" * 50000,
    ],
)
def test_damaged_record(counter: Counter, only: Callable[[str], Path], content: bytes) -> None:
    """A record that says nothing good makes the entry anew."""
    counter.get()
    replace(only(".json"), content)
    assert counter.get() == b"m" * 100
    assert counter.made == 2
    assert counter.get() == b"m" * 100
    assert counter.made == 2


@pytest.mark.parametrize("suffix", [".code", ".json"])
def test_half_an_entry(counter: Counter, only: Callable[[str], Path], suffix: str) -> None:
    """One of its two files alone is none."""
    counter.get()
    only(suffix).unlink()
    assert counter.get() == b"m" * 100
    assert counter.made == 2


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
@pytest.mark.parametrize("suffix", [".code", ".json"])
def test_entry_that_others_can_write(counter: Counter, only: Callable[[str], Path], suffix: str, mode: int) -> None:
    """A file that others may write to is not believed, and replaced by one that they can't."""
    counter.get()
    only(suffix).chmod(mode)
    assert counter.get() == b"m" * 100
    assert counter.made == 2
    assert stat.S_IMODE(only(suffix).stat().st_mode) == 0o444


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_entry_that_is_no_file(
    tmp_path: Path, counter: Counter, only: Callable[[str], Path], warnings: list[str], kind: str
) -> None:
    """A link, a pipe or a directory in an entry's place is not followed, opened or waited for."""
    counter.get()
    code = only(".code")
    code.unlink()
    if kind == "link":
        target = tmp_path / "target"
        target.write_bytes(b"m" * 100)
        code.symlink_to(target)
    elif kind == "fifo":
        os.mkfifo(code)
    else:
        code.mkdir()
    assert counter.get() == b"m" * 100
    assert counter.made == 2
    assert len(warnings) <= 1


@pytest.mark.parametrize("place", ["modules", "cache", "above"])
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_directory_that_others_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counter: Counter, warnings: list[str], place: str, mode: int
) -> None:
    """A directory that others may write to, or one above it, holds no cache; one warning says which."""
    above = tmp_path / "above"
    monkeypatch.setenv("WASMOCI_CACHE", str(above / "cache"))
    counter.get()
    spoilt = {"above": above, "cache": above / "cache", "modules": above / "cache" / "modules"}[place]
    spoilt.chmod(mode)
    assert [counter.get(), counter.get()] == [b"m" * 100] * 2
    assert counter.made == 3
    assert len(warnings) == 1
    assert str(spoilt) in warnings[0]
    assert "chmod go-w" in warnings[0]


def test_sticky_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counter: Counter, warnings: list[str]
) -> None:
    """A directory like ``/tmp`` may be above the cache."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    monkeypatch.setenv("WASMOCI_CACHE", str(tmp_path / "shared" / "cache"))
    counter.get()
    counter.get()
    assert (counter.made, warnings) == (1, [])


@pytest.mark.parametrize("kind", ["link", "file", "dangling"])
def test_directory_that_is_none(tmp_path: Path, cache: Path, counter: Counter, warnings: list[str], kind: str) -> None:
    """A link or a file in the directory's place is not used."""
    cache.parent.mkdir(mode=0o700)
    if kind == "file":
        cache.write_text("")
    else:
        cache.symlink_to(tmp_path if kind == "link" else tmp_path / "nowhere")
    assert [counter.get(), counter.get()] == [b"m" * 100] * 2
    assert (counter.made, len(warnings)) == (2, 1)
    assert not list(tmp_path.glob("*.code"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("place", ["modules", "code", "above"])
def test_somebody_elses(tmp_path: Path, cache: Path, counter: Counter, warnings: list[str], place: str) -> None:
    """What belongs to another user is not believed."""
    counter.get()
    given = {"modules": cache, "above": tmp_path, "code": next(cache.glob("*.code"))}[place]
    os.chown(given, 12345, -1)
    assert counter.get() == b"m" * 100
    assert counter.made == 2
    assert len(warnings) == 1


def test_switched_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, counter: Counter, warnings: list[str]) -> None:
    """Without a cache everything is made, and nothing is said about it."""
    monkeypatch.setenv("WASMOCI_CACHE", "off")
    monkeypatch.chdir(tmp_path)
    counter.get()
    counter.get()
    assert (counter.made, warnings, list(tmp_path.iterdir())) == (2, [], [])


def test_provided(tmp_path: Path, cache: Path, counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that a trusted caller gives is used whoever it belongs to, and no cache is looked for."""
    given = tmp_path / "given"
    given.write_bytes(b"from outside")
    given.chmod(0o666)
    monkeypatch.setattr(code_cache, "_provided", {})
    compiled.provide("m", given)
    assert counter.get() == b"from outside"
    assert counter.get("other") == b"other" * 100
    assert counter.made == 1
    assert not cache.exists()

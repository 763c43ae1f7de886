"""The cache stays within its bounds, and a disk that is full or read-only fails nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.requirements import require
from wasmoci.compiled import eviction, inspection

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.compiled.conftest import Counter

ROOT = Path(__file__).parents[2]
RUN = """
import sys, resource
from pathlib import Path
from tests.compiled.conftest import Counter
from wasmoci.text import log
told = []
log.listen(told.append)
{setup}
counter = Counter()
print([len(counter.get("m", size={size})) for _ in range(2)], counter.made, len(told), told)
"""


def run(setup: str, size: int, *prefix: str) -> str:
    """What a process prints that gets the same entry twice: the lengths, how often it was made, and its warnings."""
    command = [*prefix, sys.executable, "-c", RUN.format(setup=setup, size=size)]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def use(counter: Counter, cache: Path, *modules: str, size: int = 100) -> None:
    """Get entries, one after the other as the clock of the file system sees it."""
    for number, module in enumerate(modules):
        known = set(cache.glob("*.json"))
        counter.get(module, size=size)
        for record in set(cache.glob("*.json")) - known:
            os.utime(record, (1000 + number, 1000 + number))


def test_least_recently_used_goes_first(cache: Path, counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    """When there is no more room, what was not used for longest is removed; what was used again stays."""
    use(counter, cache, "a", "b", "c")
    counter.get("a")
    monkeypatch.setenv("WASMOCI_CACHE_SIZE", "300")
    counter.get("d")
    assert len(list(cache.glob("*.code"))) == 3
    counter.made = 0
    for module in ("a", "c", "d"):
        counter.get(module)
    assert counter.made == 0
    counter.get("b")
    assert counter.made == 1


def test_larger_than_all(cache: Path, counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that alone is too much is not kept, and takes no other's place."""
    counter.get("a")
    monkeypatch.setenv("WASMOCI_CACHE_SIZE", "150")
    counter.get("b", size=200)
    assert len(list(cache.glob("*.code"))) == 1


def test_number_of_entries(cache: Path, counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small ones are too much as well."""
    monkeypatch.setattr(eviction.make_room, "__defaults__", (2,))
    use(counter, cache, "a", "b", "c", "d", size=1)
    assert len(list(cache.glob("*.code"))) == 2


@pytest.mark.parametrize(
    ("text", "size"),
    [("1000", 1000), ("2k", 2000), ("2Ki", 2048), ("3M", 3000000), ("1Gi", 1 << 30), ("1GiB", 1 << 30)],
)
@pytest.mark.usefixtures("cache")
def test_size(text: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound can have a unit."""
    monkeypatch.setenv("WASMOCI_CACHE_SIZE", text)
    assert inspection.look().limit == size


@pytest.mark.parametrize("text", ["much", "-1", "1.5.2", "2GG"])
def test_no_size(
    cache: Path, counter: Counter, warnings: list[str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bound that is no size is a warning, and nothing is kept."""
    monkeypatch.setenv("WASMOCI_CACHE_SIZE", text)
    assert counter.get() == b"m" * 100
    assert not list(cache.glob("*.code"))
    assert len(warnings) == 1
    assert repr(text) in warnings[0]


def test_full_disk(cache: Path) -> None:
    """A file that can't be written whole is not there at all."""
    assert run("resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))", 100_000).startswith("[100000, 100000] 2 1 [")
    assert list(cache.iterdir()) == []


def test_full_file_system(cache: Path) -> None:
    """The same on a file system without room."""
    require(shutil.which("unshare") and _can_mount(), "a small file system needs unshare -rm")
    cache.mkdir(parents=True, mode=0o700)
    mount = f'mount -t tmpfs -o size=40k,mode=700 none {cache} && exec "$@" && ls {cache}'
    answer = run("", 100_000, "unshare", "-rm", "sh", "-c", mount, "sh")
    assert answer.startswith("[100000, 100000] 2 1 [")


def test_read_only(cache: Path, counter: Counter) -> None:
    """Of a cache that can only be read what is there is used; the rest is made, with one warning."""
    require(shutil.which("unshare") and _can_mount(), "a read-only mount needs unshare -rm")
    counter.get("m", size=50)
    mount = f'mount --bind {cache} {cache} && mount -o remount,bind,ro {cache} && exec "$@"'
    prefix = ("unshare", "-rm", "sh", "-c", mount, "sh")
    assert run("", 50, *prefix).startswith("[50, 50] 0 0")
    assert run("Counter.get.__kwdefaults__['version'] = '2'", 50, *prefix).startswith("[50, 50] 2 1 [")


def test_prune(cache: Path, counter: Counter, only: Callable[[str], Path]) -> None:
    """What is damaged or left over goes, what is good stays."""
    counter.get("bad")
    bad = only(".code")
    bad.chmod(0o600)
    bad.write_bytes(b"x")
    counter.get("good")
    (cache / "abc.code.part").write_bytes(b"12345")
    (cache / "abc.lock").write_bytes(b"")
    pruned = inspection.prune(cache.parent, 1 << 30)
    assert (pruned.entries, pruned.size) == (1, 6)
    assert sorted(file.suffix for file in cache.iterdir()) == [".code", ".json"]
    assert inspection.prune(cache.parent, 0).entries == 1
    assert list(cache.iterdir()) == []


def _can_mount() -> bool:
    return subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], check=False).returncode == 0

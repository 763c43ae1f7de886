"""The store under faults of the host: no descriptors, a disk that can't be read or is full, an index that is damaged."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from tests.image.making import WASM, make_layout, member, tar
from wasmoci import cli
from wasmoci.errors import ImageError, InvalidImage, StoreError
from wasmoci.host import regular_file
from wasmoci.image import Pruned, Store, as_bundle, pull
from wasmoci.image.storage import layout_writer
from wasmoci.text import log

LAYER = tar(member("hello.wasm", data=WASM))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with two images, each with a layer of its own."""
    monkeypatch.setenv("WASMOCI_STORE", str(tmp_path / "store"))
    for name in ("one", "two"):
        layer = tar(member("hello.wasm", data=WASM), member(name, data=os.urandom(100)))
        pull(f"oci:{make_layout(tmp_path / name, layer, config={'Entrypoint': ['/hello.wasm']})}", name=name)
    return Store()


def files(store: Store) -> set[Path]:
    """The blobs of a store."""
    return set((store.path / "images" / "blobs" / "sha256").iterdir())


def manifest(store: Store, name: str) -> Path:
    """The file of an image's manifest."""
    return store.path / "images" / "blobs" / store.find(name).descriptor.digest.replace(":", "/")


def is_good(name: str) -> bool:
    """Whether an image can be unpacked."""
    with as_bundle(name, read_only=True) as bundle:
        return (bundle.rootfs / "hello.wasm").read_bytes() == WASM


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is warned of."""
    found: list[str] = []
    monkeypatch.setattr(log, "_listeners", [found.append])
    return found


def failing(monkeypatch: pytest.MonkeyPatch, path: Path, number: int, *, when: str) -> None:
    """Have a file fail to be opened or read."""
    real_open = os.open

    def fail(name: Any, *args: Any, **options: Any) -> int:
        if str(name) == str(path):
            if when == "open":
                raise OSError(number, os.strerror(number), str(path))
            return real_open("/proc/self/mem", os.O_RDONLY)  # EIO for whoever reads its beginning
        return real_open(name, *args, **options)

    monkeypatch.setattr(os, "open", fail)
    if when == "read":
        monkeypatch.setattr(regular_file, "_check", lambda *_: None)


@pytest.mark.parametrize(
    ("number", "when"), [(errno.EMFILE, "open"), (errno.EIO, "open"), (errno.EACCES, "open"), (errno.EIO, "read")]
)
@pytest.mark.parametrize("act", ["prune", "remove"])
def test_document_that_cannot_be_read(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, when: str, act: str
) -> None:
    """What can't be read counts as needed, and so does everything that it might need."""
    pull(f"oci:{make_layout(tmp_path / 'three', tar(member('x')))}", name="three")
    assert is_good("one")
    before = files(store)
    with monkeypatch.context() as patch:
        failing(patch, manifest(store, "one"), number, when=when)
        if act == "prune":
            with pytest.raises(StoreError, match=f"can't be read: {os.strerror(number)}; no blob was removed"):
                store.prune()
        else:
            store.remove("three")
    assert files(store) == before
    assert len(list((store.path / "rootfs").iterdir())) == 1
    assert is_good("one")
    assert is_good("two")
    assert store.prune().blobs == (0 if act == "prune" else 3)


def test_no_descriptors(store: Store) -> None:
    """However many descriptors there are left, no image loses anything."""
    before = files(store)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for left in range(12):
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + left, hard))
        try:
            with contextlib.suppress(ImageError):
                Store().prune()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert files(store) == before, left


def test_removed_for_good(store: Store, warnings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An image whose manifest can't be read is given up by its name; what another one needs stays meanwhile, with a warning."""
    with monkeypatch.context() as patch:
        failing(patch, manifest(store, "one"), errno.EIO, when="open")
        before = files(store)
        store.remove("two")
        assert files(store) == before
        [warning] = warnings
        assert warning.startswith("localhost/two:latest has no name any more, but ")
        store.remove("one")
    assert files(store) == set()


@pytest.mark.parametrize("act", ["remove", "prune"])
def test_full_disk(store: Store, monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    """A disk that has no room for the shorter list either is freed: what is no longer needed goes first."""
    assert is_good("one")
    before = files(store)
    real = layout_writer.write_atomically

    def write(path: Path, data: bytes) -> None:
        if files(store) >= before:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(path, data)

    def mkdir(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(layout_writer, "write_atomically", write)
        patch.setattr(Path, "mkdir", mkdir)
        if act == "remove":
            store.remove("one")
        else:
            store.prune(everything=True)
    assert [image.name for image in store.images()] == (["localhost/two:latest"] if act == "remove" else [])
    assert len(files(store)) == (3 if act == "remove" else 0)
    assert list((store.path / "rootfs").iterdir()) == []


@pytest.mark.parametrize("damage", ["", "{", '{"schemaVersion": 2}', '{"schemaVersion":2,"manifests":[{}]}', "\0" * 64])
def test_damaged_index(store: Store, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    """A damaged index is named, and nothing is removed for it; a repair finds the images again."""
    digests = {image.descriptor.digest for image in store.images()}
    before = files(store)
    (store.path / "images" / "index.json").write_text(damage)
    for command in (["run", "one"], ["prune"], ["prune", "--all"], ["rm", "one"], ["images"]):
        assert cli.main(command) == 125, command
        said = capsys.readouterr().err
        assert f"{store.path}/images/index.json" in said
        assert "wasmoci prune --repair" in said
    assert files(store) == before
    assert cli.main(["prune", "--repair"]) == 0
    assert capsys.readouterr().out == "0 damaged blobs removed, 2 images of a damaged index found again\n"
    found = Store().images()
    assert {image.descriptor.digest for image in found} == digests
    assert {image.name for image in found} == {""}
    assert all(is_good(digest) for digest in digests)
    assert cli.main(["prune", "--repair"]) == 0
    assert capsys.readouterr().out == "0 damaged blobs removed, 0 images of a damaged index found again\n"


def test_names_that_are_left(store: Store) -> None:
    """Of an index that is damaged in part, the entries that are whole keep their names."""
    index = store.path / "images" / "index.json"
    digest = store.find("two").descriptor.digest
    index.write_text(index.read_text().replace(digest, "sha256:?"))
    Store(damaged=True).repair()
    assert {image.name for image in Store().images()} == {"localhost/one:latest", ""}


@pytest.mark.parametrize("damage", [b"", b"{}", None])
def test_damaged_manifest(store: Store, tmp_path: Path, damage: bytes | None) -> None:
    """A manifest that is damaged is named by a run, removed by a prune, and comes again with a pull."""
    path = manifest(store, "one")
    path.write_bytes(path.read_bytes()[::-1] if damage is None else damage)
    with pytest.raises(InvalidImage, match=path.name):
        is_good("one")
    assert store.prune().blobs == 3
    with pytest.raises(InvalidImage, match=path.name):
        is_good("one")
    pull(f"oci:{tmp_path / 'one'}", name="one")
    assert is_good("one")
    assert is_good("two")


def test_damaged_layer(store: Store, tmp_path: Path) -> None:
    """A layer that is damaged is found by a repair, also where its size is right."""
    with store.open("one") as image:
        layer = store.path / "images" / "blobs" / image.manifest.layers[0].digest.replace(":", "/")
    layer.write_bytes(bytes(layer.stat().st_size))
    with pytest.raises(InvalidImage, match=layer.name):
        is_good("one")
    assert store.prune() == Pruned()
    assert store.repair().blobs == 1
    pull(f"oci:{tmp_path / 'one'}", name="one")
    assert is_good("one")

"""The store: what it keeps, what it shares, and several processes at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.image.children import in_child
from tests.image.making import WASM, make_layout, member, tar, tree
from wasmoci.errors import ImageNotFound, InvalidImage
from wasmoci.image import Pruned, Store, as_bundle, open_image, pull
from wasmoci.image.storage import container_rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator

LAYER = tar(member("hello.wasm", data=WASM), member("d/f", data=b"x", mode=0o600), member("l", "symlink", link="d"))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store of the test's own, which is the user's for the time being."""
    monkeypatch.setenv("WASMOCI_STORE", str(tmp_path / "store"))
    made = Store()
    yield made
    assert [path.name for path in (made.path / "run").iterdir()] == []


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A layout of one image."""
    return make_layout(tmp_path / "layout", LAYER, config={"Entrypoint": ["/hello.wasm"]})


def blobs(store: Store) -> int:
    """How many blobs a store has."""
    return len(list((store.path / "images" / "blobs" / "sha256").iterdir()))


def test_names(store: Store, layout: Path) -> None:
    """An image is found by its name, short or full, and by its digest or the beginning of it."""
    pull(f"oci:{layout}", name="hello")
    digest = store.images()[0].descriptor.digest
    for name in ("hello", "hello:latest", "localhost/hello:latest", f"localhost/hello@{digest}", digest, digest[7:19]):
        assert store.find(name).name == "localhost/hello:latest"
    for name in ("other", "hello:2", "example.com/library/hello", digest[7:18], "sha256:" + "0" * 64):
        with pytest.raises(ImageNotFound):
            store.find(name)


def test_a_name_moves(store: Store, layout: Path, tmp_path: Path) -> None:
    """A name means the image that was pulled last; the blobs of the other one go when it is pruned."""
    pull(f"oci:{layout}", name="hello")
    first = store.find("hello")
    pull(f"oci:{make_layout(tmp_path / 'other', tar(member('x')))}", name="hello")
    assert store.find("hello") != first
    assert (len(store.images()), blobs(store)) == (1, 6)
    assert store.prune() == Pruned(images=0, blobs=3, root_file_systems=0, bytes=store_size(layout))
    assert blobs(store) == 3


def store_size(layout: Path) -> int:
    """The bytes of a layout's blobs."""
    return sum(path.stat().st_size for path in (layout / "blobs" / "sha256").iterdir())


def test_remove(store: Store, layout: Path) -> None:
    """An image's blobs and root file system go with its last name."""
    for name in ("one", "two"):
        pull(f"oci:{layout}", name=name)
    with as_bundle("one", read_only=True):
        store.remove("two")
        assert (blobs(store), len(list((store.path / "rootfs").iterdir()))) == (3, 1)
        store.remove("one")  # in use: its root file system stays
        assert (blobs(store), len(list((store.path / "rootfs").iterdir()))) == (0, 1)
    assert store.prune().root_file_systems == 1
    assert list((store.path / "rootfs").iterdir()) == []


def test_verified_when_read(store: Store, layout: Path) -> None:
    """A blob that was changed in the store is noticed when it is used."""
    pull(f"oci:{layout}", name="hello")
    with store.open("hello") as image:
        blob = store.path / "images" / "blobs" / image.manifest.layers[0].digest.replace(":", "/")
    content = bytearray(blob.read_bytes())
    content[-5] ^= 1
    blob.write_bytes(content)
    with pytest.raises(InvalidImage), as_bundle("hello"):
        pass
    assert list((store.path / "rootfs").iterdir()) == []


def test_damaged_imports_stay_out(store: Store, layout: Path) -> None:
    """An image that is damaged doesn't get a name, and its bad blob isn't kept."""
    for blob in (layout / "blobs" / "sha256").iterdir():
        if blob.read_bytes().startswith(b"\x1f\x8b"):
            blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    with pytest.raises(InvalidImage):
        pull(f"oci:{layout}", name="hello")
    assert store.images() == ()
    assert list((store.path / "partial").iterdir()) == []


def test_shared_and_private(store: Store, layout: Path) -> None:
    """Who only reads shares the root file system; who writes has a copy, and leaves nothing."""
    with as_bundle(f"oci:{layout}", read_only=True) as one, as_bundle(f"oci:{layout}", read_only=True) as two:
        assert one.rootfs == two.rootfs
        assert one.spec.root is not None
        assert one.spec.root.readonly
        before = tree(one.rootfs)
        with as_bundle(f"oci:{layout}") as three, as_bundle(f"oci:{layout}") as four:
            assert tree(three.rootfs) == before
            (three.rootfs / "new").write_text("new")
            (three.rootfs / "d" / "f").write_text("changed")
            (three.rootfs / "l").unlink()
            assert tree(four.rootfs) == before
        assert tree(one.rootfs) == before
    assert store.images() == ()


def test_copies_without_an_overlay(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy has the modes, owners, times, links, attributes and holes of what it was made from, and shares no inode."""
    monkeypatch.setattr(container_rootfs, "mount_overlay", lambda *_: (_ for _ in ()).throw(PermissionError))
    hole = member("sparse", data=b"xy", pax_headers={"GNU.sparse.map": "0,1,5000000,1", "GNU.sparse.size": "9000000"})
    layer = tar(
        member("d", "dir", mode=0o1700, mtime=5, uid=os.geteuid()),
        member("d/f", data=b"x", mode=0o4711, mtime=6, uid=os.geteuid() and os.geteuid()),
        member("d/g", "link", link="d/f"),
        member("s", "symlink", link="/etc/passwd", mtime=7),
        hole,
    )
    layout = make_layout(tmp_path / "layout", layer)
    with as_bundle(f"oci:{layout}", read_only=True) as shared, as_bundle(f"oci:{layout}") as own:
        assert own.rootfs != shared.rootfs
        for name in ("", "d", "d/f", "d/g", "s", "sparse"):
            theirs, ours = (shared.rootfs / name).lstat(), (own.rootfs / name).lstat()
            for field in ("st_mode", "st_uid", "st_gid", "st_mtime_ns", "st_size"):
                assert (name, field, getattr(ours, field)) == (name, field, getattr(theirs, field))
            assert ours.st_ino != theirs.st_ino
        assert (own.rootfs / "d/f").samefile(own.rootfs / "d/g")
        assert (own.rootfs / "sparse").stat().st_blocks * 512 < 1_000_000
        assert (own.rootfs / "sparse").read_bytes() == (shared.rootfs / "sparse").read_bytes()


def test_leftovers_of_the_killed(store: Store, layout: Path) -> None:
    """What a container that was killed left, an overlay included, goes with the next one."""

    def work() -> None:
        with as_bundle(f"oci:{layout}") as bundle:
            (bundle.rootfs / "new").write_text("new")
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(work) == -signal.SIGKILL
    assert len(list((store.path / "run").iterdir())) == 1
    with as_bundle(f"oci:{layout}") as bundle:
        assert not (bundle.rootfs / "new").exists()
        assert len(list((store.path / "run").iterdir())) == 1
    assert str(store.path) not in Path("/proc/self/mounts").read_text()


def _use(store: str, layout: str, number: int, failures: Any) -> None:
    os.environ["WASMOCI_STORE"] = store
    try:
        for turn in range(6):
            name = f"image{(number + turn) % 2}"
            pull(f"oci:{layout}", name=name)
            with as_bundle(f"oci:{layout}", read_only=turn % 2 == 0) as bundle:
                assert (bundle.rootfs / "hello.wasm").read_bytes() == WASM
            if number == 0:
                Store().prune()
            if number == 1 and turn == 3:
                Store().prune(everything=True)
    except BaseException as error:
        failures.put(f"{number}: {type(error).__name__}: {error}")
        raise


def test_many_processes(store: Store, layout: Path) -> None:
    """Processes that pull, unpack, run and prune the same images at once all get what they asked for."""
    context = multiprocessing.get_context("spawn")
    failures = context.Queue()
    arguments = [(str(store.path), str(layout), number, failures) for number in range(4)]
    processes = [context.Process(target=_use, args=given) for given in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [failures.get() for process in processes if process.exitcode] == []
    with open_image("oci:" + str(store.path / "images") + ":localhost/image0:latest") as image:
        assert image.config.entrypoint == ("/hello.wasm",)
    assert [path.name for path in (store.path / "rootfs").iterdir() if path.name.startswith(".")] == []


def test_many_threads(store: Store, layout: Path) -> None:
    """Threads of one process may do so, too."""
    found: list[bytes] = []

    def work() -> None:
        with as_bundle(f"oci:{layout}") as bundle:
            found.append((bundle.rootfs / "hello.wasm").read_bytes())

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [WASM] * 6


def test_readable_by_others(store: Store, layout: Path) -> None:
    """The store's images are a layout that anything else can read."""
    pull(f"oci:{layout}", name="hello")
    with open_image(f"oci:{store.path / 'images'}:localhost/hello:latest") as image:
        assert image.digest == store.find("hello").descriptor.digest
    assert store.path.stat().st_mode & 0o777 == 0o700

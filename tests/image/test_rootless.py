"""As an ordinary user: files that can't be given away, directories that can't be written to, and the user's own copy."""

from __future__ import annotations

import encodings.ascii
import encodings.utf_8_sig
import json
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Imported now: after the change of user the interpreter's own files may be out of reach.
from tests.image.children import in_child
from tests.image.making import make_layout, member, tar
from wasmoci.host.removal import remove_tree
from wasmoci.image import Store, as_bundle, building, open_image, pull, transfer, unpack
from wasmoci.image.running import bundle_unpacking
from wasmoci.image.storage import container_rootfs, store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["building", "bundle_unpacking", "container_rootfs", "encodings", "store", "transfer"]

NOBODY = 65534


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory of the user's who is nobody, or of the one who runs the tests."""
    path = Path(tempfile.mkdtemp(prefix="wasmoci-test-"))
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    yield path
    remove_tree(str(path))


def as_user(work: Callable[[], None]) -> None:
    """Do something as an ordinary user, in a process of its own."""

    def changed() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        work()

    assert in_child(changed) == 0


LAYERS = (
    tar(
        member("closed", "dir", mode=0o000, uid=5, gid=6),
        member("closed/file", data=b"in", uid=5),
        member("read-only", "dir", mode=0o555),
        member("read-only/file", data=b"x", mode=0o444),
        member("secret", data=b"s", mode=0o000),
        member("setuid", mode=0o4755, uid=7),
        member("device", "char"),
    ),
    tar(member("closed/more", data=b"m"), member("read-only/.wh.file"), member("read-only/new", data=b"n")),
)


def test_unpack(place: Path) -> None:
    """An image is unpacked whatever the modes in it: they are kept but for what the owner needs to read, and can be removed."""

    def work() -> None:
        layout = make_layout(place / "layout", *LAYERS)
        with open_image(f"oci:{layout}") as image:
            changes = unpack(image, place / "bundle")
        root = place / "bundle" / "rootfs"
        modes = {
            name: stat.S_IMODE((root / name).lstat().st_mode) for name in ("closed", "read-only", "secret", "setuid")
        }
        assert modes == {"closed": 0o500, "read-only": 0o555, "secret": 0o400, "setuid": 0o4755}
        assert {path.name for path in root.rglob("*")} == {*modes, "file", "more", "new"}
        assert {path.lstat().st_uid for path in root.rglob("*")} == {os.geteuid()}
        assert changes.skipped == ["device"]
        spec = json.loads((place / "bundle" / "config.json").read_text())
        assert {"type": "user"} in spec["linux"]["namespaces"]
        assert spec["linux"]["uidMappings"] == [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
        remove_tree(str(place / "bundle"))
        assert not (place / "bundle").exists()

    as_user(work)


def test_private_copies(place: Path) -> None:
    """A container that writes has a copy, without an overlay; the store can be emptied afterwards."""

    def work() -> None:
        where = Store(place / "store")
        layout = make_layout(place / "layout", *LAYERS)
        pull(f"oci:{layout}", name="x", store=where)
        with as_bundle("x", store=where) as bundle, as_bundle("x", store=where, read_only=True) as shared:
            assert bundle.rootfs != shared.rootfs
            assert (bundle.rootfs / "closed" / "more").read_bytes() == b"m"
            (bundle.rootfs / "setuid").write_text("changed")
            assert (shared.rootfs / "setuid").read_text() == ""
        assert list((place / "store" / "run").iterdir()) == []
        assert where.prune(everything=True).root_file_systems == 1
        assert list((place / "store" / "rootfs").iterdir()) == []

    as_user(work)


def test_refused_places(place: Path) -> None:
    """Where the user may not write, the error says so."""
    from wasmoci.errors import ImageError, StoreError  # noqa: PLC0415

    def work() -> None:
        layout = make_layout(place / "layout", *LAYERS)
        (place / "locked").mkdir(mode=0o500)
        with pytest.raises(StoreError, match="Permission denied"):
            Store(place / "locked" / "store")
        with open_image(f"oci:{layout}") as image, pytest.raises(ImageError, match="Permission denied"):
            unpack(image, place / "locked" / "bundle")

    as_user(work)
    shutil.rmtree(place / "locked", ignore_errors=True)

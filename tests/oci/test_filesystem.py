"""What a guest sees of the host's files: the root, the mounts, and what is left out."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from wasmoci.errors import InvalidMount, InvalidSpec
from wasmoci.oci.filesystem import plan
from wasmoci.oci.guest_files import GuestFiles, GuestMount
from wasmoci.oci.spec import Mount, Process, Root, Spec

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[2]


def seen(*mounts: Mount, directory: Path | None = None) -> GuestFiles:
    """What a guest with these mounts sees."""
    return plan(Spec(mounts=mounts, directory=None if directory is None else str(directory)), Path("/rootfs"))


def bind(source: Path | str, destination: str, *options: str) -> Mount:
    """A bind mount."""
    return Mount(destination=destination, source=str(source), type="bind", options=options)


def tmpfs(destination: str, *options: str) -> Mount:
    """A tmpfs."""
    return Mount(destination=destination, source="tmpfs", type="tmpfs", options=options)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (lambda bad: Spec(process=Process(cwd=f"/{bad}")), "$.process.cwd"),
        (lambda bad: Spec(mounts=(tmpfs(f"/{bad}"),)), "$.mounts[0].destination"),
        (lambda bad: Spec(mounts=(tmpfs("/t"), bind(f"/tmp/{bad}", "/x"))), "$.mounts[1].source"),
    ],
)
@pytest.mark.parametrize("bad", ["\0", "x\0y", "\ud800"])
def test_paths_that_are_none(spec: Callable[[str], Spec], path: str, bad: str) -> None:
    """A spec that was made in Python is refused as one that was read is."""
    with pytest.raises(InvalidSpec, match="was expected") as caught:
        plan(spec(bad), Path("/rootfs"))
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("root", "read_only"),
    [(None, False), (Root(path="rootfs"), False), (Root(path="rootfs", readonly=True), True)],
)
def test_root(root: Root | None, read_only: bool) -> None:  # noqa: FBT001
    """The root is read-only where the spec says so."""
    files = plan(Spec(root=root), Path("/somewhere"))
    assert (files.rootfs, files.read_only, files.mounts) == (Path("/somewhere"), read_only, ())


@pytest.mark.parametrize(
    ("cwd", "expected"),
    [("/", "/"), ("/srv", "/srv"), ("/srv/", "/srv"), ("//srv//x", "/srv/x"), ("/srv/../etc", "/etc"), ("/..", "/")],
)
def test_working_directory_is_normalised(cwd: str, expected: str) -> None:
    """The working directory is a plain absolute path."""
    assert plan(Spec(process=Process(cwd=cwd)), Path("/")).cwd == expected
    assert plan(Spec(), Path("/")).cwd == "/"


@pytest.mark.parametrize(
    ("options", "read_only"),
    [
        ((), False),
        (("ro",), True),
        (("rbind", "ro"), True),
        (("rw",), False),
        (("ro", "rw"), False),
        (("rw", "ro"), True),
        (("rro",), True),
        (("nosuid", "noexec"), False),
        (("RO",), False),
    ],
)
def test_last_flag_counts(tmp_path: Path, options: tuple[str, ...], read_only: bool) -> None:  # noqa: FBT001
    """A mount is read-only with ``ro``, and as for mount(8) the last of several flags counts."""
    assert [mount.read_only for mount in seen(bind(tmp_path, "/a", *options)).mounts] == [read_only]
    options = tuple(option for option in options if option != "rbind")
    assert [mount.read_only for mount in seen(tmpfs("/a", *options)).mounts] == [read_only]


@pytest.mark.parametrize(
    "mount",
    [
        {"type": "bind"},
        {"type": "bind", "options": ("rbind",)},
        {"type": None, "options": ("bind",)},
        {"type": "none", "options": ("rbind", "ro")},
        {"type": "proc", "options": ("bind",)},
    ],
)
def test_bind_mount_by_type_or_option(tmp_path: Path, mount: dict[str, object]) -> None:
    """A bind mount is one by its type or by its options."""
    files = seen(Mount(destination="/a", source=str(tmp_path), **mount))  # type: ignore[arg-type]
    assert [(m.destination, m.source, m.is_file) for m in files.mounts] == [("/a", tmp_path, False)]


def test_single_file(tmp_path: Path) -> None:
    """A mount of a single file is told apart."""
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("file")
    files = seen(bind(tmp_path / "file", "/a"), bind(tmp_path / "link", "/b"), bind(tmp_path, "/c"))
    assert [mount.is_file for mount in files.mounts] == [True, True, False]
    assert files.has_file_mounts
    assert not seen(bind(tmp_path, "/c")).has_file_mounts


def test_relative_source_starts_from_the_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative source is one in the bundle, wherever the caller stands."""
    (tmp_path / "data").mkdir()
    monkeypatch.chdir("/")
    assert seen(bind("data", "/a"), directory=tmp_path).mounts[0].source == tmp_path / "data"


@pytest.mark.parametrize("kind", ["proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue"])
def test_kernel_file_systems_are_left_out(kind: str) -> None:
    """What only a kernel can give is left out, and listed."""
    files = seen(Mount(destination="/k", type=kind, source=kind, options=("nosuid",)), tmpfs("/a"))
    assert ([mount.destination for mount in files.mounts], files.omitted) == (["/a"], (("/k", kind),))


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        ("/a", "/a"),
        ("/a/", "/a"),
        ("//a//b", "/a/b"),
        ("/a/./b", "/a/b"),
        ("a", "/a"),
        ("/..a", "/..a"),
        ("/a..", "/a.."),
    ],
)
def test_destination_is_normalised(destination: str, expected: str) -> None:
    """A destination is a plain absolute path; a relative one starts from the root, as for native runtimes."""
    assert seen(tmpfs(destination)).mounts[0].destination == expected


@pytest.mark.parametrize("destination", ["/..", "/a/..", "/../a", "/a/../b", "..", "a/../../b"])
def test_destination_with_dots(destination: str) -> None:
    """A destination with ".." is refused by name."""
    with pytest.raises(InvalidMount) as caught:
        seen(tmpfs("/ok"), tmpfs(destination))
    expected = f'$.mounts[1].destination: {destination!r} has a ".."; a plain absolute path was expected'
    assert caught.value.message == expected


@pytest.mark.parametrize("destination", ["/", "//", "/.", "."])
def test_destination_that_is_the_root(destination: str) -> None:
    """The root is given by ``root``, and not by a mount."""
    with pytest.raises(InvalidMount, match="is the root itself"):
        seen(tmpfs(destination))


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("/no/such/thing", "doesn't exist on the host"),
        ("dangling", "doesn't exist on the host"),
        ("loop", "can't be reached on the host: Too many levels of symbolic links"),
        ("file/below", "can't be reached on the host: Not a directory"),
        ("x" * 300, "can't be reached on the host: File name too long"),
    ],
)
def test_source_that_is_missing(tmp_path: Path, source: str, problem: str) -> None:
    """The error names the place, the source, its problem and where it was to go."""
    (tmp_path / "dangling").symlink_to("/nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidMount) as caught:
        seen(bind(source, "/data"), directory=tmp_path)
    where = tmp_path / source
    assert caught.value.message == f"$.mounts[0].source: {where} {problem}; it was to be mounted at /data"


@pytest.mark.parametrize("source", [None, "", "none"])
def test_bind_mount_without_a_source(source: str | None) -> None:
    """A bind mount needs something to mount."""
    with pytest.raises(InvalidMount) as caught:
        seen(Mount(destination="/data", type="bind", source=source))
    assert caught.value.message == "$.mounts[0].source: is missing; a bind mount needs the host path to mount"


@pytest.mark.parametrize("kind", ["nfs", "ext4", "overlay", None, "", "TMPFS"])
def test_type_that_a_guest_cannot_have(kind: str | None) -> None:
    """A file system that only a kernel can mount is refused, with what to do instead."""
    with pytest.raises(InvalidMount) as caught:
        seen(Mount(destination="/data", type=kind, source="server:/x"))
    assert caught.value.message.startswith("$.mounts[0].type: ")
    assert caught.value.message.endswith(" at /data can't be given to a Wasm guest; bind or tmpfs was expected")
    assert caught.value.hint == "mount it on the host, and bind it into the container"


@pytest.mark.parametrize(
    ("destinations", "expected"),
    [
        (["/a", "/b"], ["/a", "/b"]),
        (["/a", "/a/b"], ["/a", "/a/b"]),
        (["/a/b", "/a"], ["/a"]),
        (["/a", "/a"], ["/a"]),
        (["/a/b", "/ab", "/a"], ["/ab", "/a"]),
        (["/a", "/a/b", "/a"], ["/a"]),
        (["/a/b/c", "/a/b", "/a/b/c"], ["/a/b", "/a/b/c"]),
    ],
)
def test_later_mount_hides_earlier_ones(tmp_path: Path, destinations: list[str], expected: list[str]) -> None:
    """A mount hides what was mounted at or beneath its destination before."""
    sources = [tmp_path / str(index) for index in range(len(destinations))]
    for source in sources:
        source.mkdir()
    files = seen(*(bind(source, destination) for source, destination in zip(sources, destinations, strict=True)))
    assert [mount.destination for mount in files.mounts] == expected
    last = {destination: source for source, destination in zip(sources, destinations, strict=True)}
    assert {mount.destination: mount.source for mount in files.mounts} == {path: last[path] for path in expected}


def test_tmpfs_is_there_and_gone_afterwards() -> None:
    """Each tmpfs is an empty directory of its own while the guest runs, whatever is done in it."""
    files = seen(tmpfs("/a"), tmpfs("/b", "ro"))
    assert [mount.source for mount in files.mounts] == [None, None]
    with files.materialise() as made:
        sources = [mount.source for mount in made.mounts if mount.source is not None]
        assert [list(source.iterdir()) for source in sources] == [[], []]
        assert [attrs.evolve(mount, source=None) for mount in made.mounts] == list(files.mounts)
        (sources[0] / "deep" / "er").mkdir(parents=True)
        (sources[0] / "deep" / "file").write_text("x")
        (sources[0] / "link").symlink_to("/etc")
    assert len(set(sources)) == 2
    assert [source.parent.exists() for source in sources] == [False, False]


def test_nothing_is_made_without_a_tmpfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest without a tmpfs costs no directory."""
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **_: pytest.fail("a directory was made"))
    files = seen(bind(tmp_path, "/a"))
    with files.materialise() as made:
        assert made is files


def test_tmpfs_is_gone_after_an_error() -> None:
    """An error while the guest runs leaves no directory behind."""
    kept: list[Path] = []

    def run() -> None:
        with seen(tmpfs("/a")).materialise() as made:
            kept.extend(mount.source for mount in made.mounts if mount.source is not None)
            raise LookupError

    with pytest.raises(LookupError):
        run()
    assert [path.parent.exists() for path in kept] == [False]


def test_tmpfs_without_permissions_is_gone_as_well() -> None:
    """A guest that takes all permissions from its directories leaves nothing behind, for a user who isn't root either."""
    script = """
import os, sys
from pathlib import Path
from wasmoci.host import temporary_directory  # imported while the package can be read
from wasmoci.oci.filesystem import plan
from wasmoci.oci.spec import Mount, Spec
if os.getuid() == 0:
    os.setgid(65534), os.setuid(65534)
with plan(Spec(mounts=(Mount(destination="/t", type="tmpfs"),)), Path("/")).materialise() as made:
    source = made.mounts[0].source
    for name in ("one/two/three", "one/four", "five"):
        (source / name).mkdir(parents=True)
        (source / name / "file").write_text("x")
    for name in ("one/two/three", "one/two", "one/four", "one", "five", "."):
        (source / name).chmod(0)
print(source.parent.exists())
"""
    scratch = Path(tempfile.mkdtemp())
    scratch.chmod(0o1777)
    try:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            env={**os.environ, "TMPDIR": str(scratch)},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("False\n", "")
        assert list(scratch.iterdir()) == []
    finally:
        scratch.rmdir()


def test_tree_has_what_is_materialised(tmp_path: Path) -> None:
    """The WASI host gets the root and every mount, in order."""
    with seen(bind(tmp_path, "/a", "ro"), tmpfs("/b")).materialise() as made:
        tree = made.tree
        assert (tree.root, tree.read_only) == (Path("/rootfs"), False)
        assert [(mount.destination, mount.read_only) for mount in tree.mounts] == [("/a", True), ("/b", False)]
        assert [mount.source for mount in tree.mounts] == [mount.source for mount in made.mounts]


def test_mount_is_data() -> None:
    """Two mounts that say the same are the same."""
    one = GuestMount(destination="/a", source=Path("/x"), read_only=True)
    assert one == GuestMount(destination="/a", source=Path("/x"), read_only=True, is_file=False)

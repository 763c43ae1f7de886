"""Tests what the guest sees of the host's files, and that it can't access anything else."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from wasmoci.errors import UnsupportedWorkload, WasmociError
from wasmoci.handlers.capabilities import Capability
from wasmoci.stdio import Stdio
from wasmoci.testing.conformance.base import Conformance, ended

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wasmoci.oci.bundle import Bundle
    from wasmoci.testing.conformance.base import Runner

OUTSIDE = "this is outside"
# The exit codes of the guest ``files`` for a refusal: WASI's errno "acces", "perm", "rofs" or "notcapable".
_REFUSED = (2, 63, 69, 76)


class Files(Conformance):
    """The root, the working directory and the mounts are as in the spec."""

    @pytest.mark.parametrize("cwd", ["/", "/work/inner"])
    def test_preopens_are_those_of_the_spec(self, run: Runner, tmp_path: Path, cwd: str) -> None:
        """The preopens are ``/``, each mounted directory, and the working directory as ``.`` if it isn't ``/``; nothing else.

        With a ``.`` the mounts may be reached through the root only: the C library of WASI can't tell ``/a`` and ``a`` apart.
        """
        flags = ["ro"] if Capability.READ_ONLY in run.handler.capabilities else []
        mounts = [(_directory(tmp_path / name), f"/{name}", *options) for name, options in (("a", []), ("b", flags))]
        made = run.bundle("preopens", mounts=mounts, directories=["/a", "/b"], cwd=cwd)
        found = set((run.execute(made).stdout or b"").decode().splitlines())
        expected = {"/", "/a", "/b"} if cwd == "/" else {"/", "."}
        # Besides ".", the directories of the root may be preopened by name, for the C library of WASI.
        allowed = expected if cwd == "/" else expected | {f"/{path.name}" for path in made.rootfs.iterdir()}
        assert expected <= found <= allowed, f"the preopens are {sorted(found)}; expected {sorted(expected)}"

    def test_root_is_preopened(self, run: Runner) -> None:
        """A file of the root file system can be read by its absolute path."""
        output = run.output("files", "read", "/etc/name", files={"/etc/name": "content"})
        assert output == b"content", f"/etc/name reads {output!r}; expected what is in it"

    def test_relative_paths_start_in_the_working_directory(self, run: Runner) -> None:
        """``process.cwd`` is preopened as ``.``."""
        files = {"/work/name": "in the working directory", "/name": "in the root"}
        output = run.output("files", "read", "name", files=files, cwd="/work")
        assert output == b"in the working directory", f"'name' reads {output!r}; relative paths start in process.cwd"

    def test_relative_paths_start_in_the_root_by_default(self, run: Runner) -> None:
        """With the working directory ``/``, relative paths start there."""
        output = run.output("files", "read", "name", files={"/name": "in the root"})
        assert output == b"in the root", f"'name' reads {output!r}; expected the root's file"

    def test_missing_working_directory_is_made(self, run: Runner) -> None:
        """A ``process.cwd`` that doesn't exist is created, as runc and crun do."""
        made = run.bundle("files", "read", "/etc/name", files={"/etc/name": "content"}, cwd="/gone")
        (made.rootfs / "gone").rmdir()
        run.execute(made)
        assert (made.rootfs / "gone").is_dir(), "process.cwd wasn't there, and isn't after the run; it is to be made"

    def test_missing_root_is_refused(self, run: Runner) -> None:
        """A root file system that doesn't exist is an error that names it, before the guest runs."""
        made = run.bundle("return")
        gone = made.path / "gone"
        with pytest.raises(WasmociError, match=re.escape(str(gone))):
            run.handler.execute(made.spec, gone, stdio=Stdio.capture())

    @pytest.mark.parametrize("cwd", ["/", "/work"])
    def test_host_path_need_not_be_text(self, run: Runner, tmp_path: Path, cwd: str) -> None:
        """The root file system may have a host path that isn't UTF-8."""
        made = run.bundle("files", "read", "/etc/name", files={"/etc/name": "content"}, cwd=cwd)
        odd = tmp_path / os.fsdecode(b"\xff")
        made.path.rename(odd)
        result = run.execute(attrs.evolve(made, path=odd, rootfs=odd / made.rootfs.relative_to(made.path)))
        assert result.stdout == b"content", f"at a host path that isn't UTF-8, /etc/name reads {result.stdout!r}"

    def test_mounts_are_at_their_destinations(self, run: Runner, tmp_path: Path) -> None:
        """A bind mount hides what the root has at its destination, which need not exist."""
        volume = _directory(tmp_path / "volume", name="mounted")
        hidden = run.output("files", "read", "/data/name", mounts=[(volume, "/data")], files={"/data/name": "hidden"})
        assert hidden == b"mounted", f"/data/name reads {hidden!r}; expected the mount's, over the root's"
        absent = run.output("files", "read", "/not/there/name", mounts=[(volume, "/not/there")])
        assert absent == b"mounted", f"/not/there/name reads {absent!r}; a destination needn't be in the root"

    def test_tmpfs_is_an_empty_directory(self, run: Runner) -> None:
        """A tmpfs is writable, hides what the root has there, and its content is removed."""
        mounts = [{"destination": "/scratch", "type": "tmpfs", "source": "tmpfs"}]
        made = run.bundle("files", "write", "/scratch/new", "text", mounts=mounts, files={"/scratch/old": "x"})
        result = run.execute(made)
        assert result.ok, f"writing into a tmpfs failed: {ended(result)}"
        left = sorted(path.name for path in (made.rootfs / "scratch").iterdir())
        assert left == ["old"], f"the root's own /scratch has {left} after the run; the tmpfs leaked into it"

    def test_written_files_are_seen_on_the_host(self, run: Runner, tmp_path: Path) -> None:
        """What the guest writes to its root and its mounts is on the host after the run."""
        run.claims(Capability.LIVE_FILES)
        volume = _directory(tmp_path / "volume")
        made = run.bundle("files", "write", "/out", "to the root")
        results = [run.execute(made), run("files", "write", "/data/out", "to the mount", mounts=[(volume, "/data")])]
        assert all(result.ok for result in results), f"writing failed: {[ended(result) for result in results]}"
        assert _text(made.rootfs / "out") == "to the root", "what was written to the root isn't on the host"
        assert _text(volume / "out") == "to the mount", "what was written to the mount isn't on the host"

    def test_single_files_are_mounted_or_refused(self, run: Runner, tmp_path: Path) -> None:
        """With ``file-mounts`` claimed, a mount of a file works; otherwise UnsupportedWorkload names it."""
        single = tmp_path / "single"
        single.write_text("single", encoding="utf-8")
        made = run.bundle("files", "read", "/etc/conf", mounts=[(single, "/etc/conf", "ro")], files={"/etc/other": ""})
        if Capability.FILE_MOUNTS in run.handler.capabilities:
            output = run.execute(made).stdout
            assert output == b"single", f"/etc/conf reads {output!r}; expected the mounted file"
        else:
            with pytest.raises(UnsupportedWorkload, match="/etc/conf"):
                run.execute(made)

    def test_absolute_symlinks_lead_within_the_root(self, run: Runner) -> None:
        """As in any container, ``/link -> /etc/name`` is the root's ``/etc/name``."""
        output = run.output("files", "read", "/link", files={"/etc/name": "here"}, symlinks={"/link": "/etc/name"})
        assert output == b"here", f"/link reads {output!r}; an absolute symlink is resolved inside the root"


class ReadOnly(Conformance):
    """Read-only files can't be changed."""

    @pytest.mark.parametrize("change", ["write", "overwrite", "mkdir", "unlink", "symlink"])
    def test_read_only_root_stays_as_it_is(self, run: Runner, change: str) -> None:
        """With ``root.readonly``, every change is refused, and the host's files are unchanged."""
        run.claims(Capability.READ_ONLY)
        made = run.bundle("files", *_change(change, ""), files={"/old": "old"}, readonly=True)
        _expect_unchanged(made.rootfs, lambda: run.execute(made).exit_code, f"{change} in a read-only root")

    @pytest.mark.parametrize("change", ["write", "overwrite", "mkdir", "unlink", "symlink"])
    def test_read_only_mount_stays_as_it_is(self, run: Runner, tmp_path: Path, change: str) -> None:
        """The same holds for a mount with the option ``ro``, whether the root is read-only or not."""
        run.claims(Capability.READ_ONLY)
        volume = _directory(tmp_path / "volume", old="old")
        mounts = [(volume, "/data", "ro")]
        _expect_unchanged(
            volume,
            lambda: run("files", *_change(change, "/data"), mounts=mounts, directories=["/data"]).exit_code,
            f"{change} in a read-only mount",
        )

    def test_read_only_is_held_or_refused(self, run: Runner) -> None:
        """Without ``read-only`` claimed, UnsupportedWorkload names the path; the guest isn't run without the restriction."""
        if Capability.READ_ONLY not in run.handler.capabilities:
            with pytest.raises(UnsupportedWorkload, match="/"):
                run("return", readonly=True)

    def test_writable_mount_in_a_read_only_root(self, run: Runner, tmp_path: Path) -> None:
        """A mount has a flag of its own."""
        run.claims(Capability.LIVE_FILES, Capability.READ_ONLY)
        volume = _directory(tmp_path / "volume")
        result = run(
            "files", "write", "/data/new", "x", mounts=[(volume, "/data")], directories=["/data"], readonly=True
        )
        assert result.ok, f"a writable mount in a read-only root can't be written to: {ended(result)}"
        assert _text(volume / "new") == "x", "what was written to the mount isn't on the host"


class Confinement(Conformance):
    """Nothing outside the root and the mounts can be accessed, by any name."""

    @pytest.mark.parametrize(
        "path",
        [
            "../secret",
            "../../secret",
            "inner/../../secret",
            "{outside}/secret",
            "../../outside/secret",
            "inner/../../../outside/secret",
        ],
        ids=[
            "parent",
            "grandparent",
            "through-a-directory",
            "absolute",
            "beside-the-root",
            "beside-through-a-directory",
        ],
    )
    def test_paths_do_not_lead_out(self, run: Runner, tmp_path: Path, path: str) -> None:
        """Neither ``..`` nor an absolute path of the host leads out of any preopened directory."""
        outside = _outside(tmp_path)
        _expect_confined(run, outside, path.format(outside=outside), directories=["/inner"])

    @pytest.mark.parametrize(
        "target",
        ["{outside}/secret", "{outside}", "../../outside/secret", "../../../../../../../../../../..{outside}/secret"],
        ids=["absolute", "absolute-directory", "relative", "relative-from-afar"],
    )
    def test_symlinks_do_not_lead_out(self, run: Runner, tmp_path: Path, target: str) -> None:
        """A symlink in the image doesn't lead out, whether to a file, to a directory, or through another link."""
        outside = _outside(tmp_path)
        links = {"/link": target.format(outside=outside), "/chain": "link"}
        _expect_confined(run, outside, "link", "link/secret", "chain", "chain/secret", "link/new", symlinks=links)

    def test_symlinks_of_the_guest_do_not_lead_out(self, run: Runner, tmp_path: Path) -> None:
        """A symlink that a guest has created doesn't lead out either."""
        run.claims(Capability.LIVE_FILES)
        outside = _outside(tmp_path)
        first = run.bundle("files", "symlink", "/link", f"{outside}/secret")
        run.execute(first)
        second = run.bundle("probe", "link")
        shutil.copy(second.rootfs / "app.wasm", first.rootfs)
        _expect_confined_to(run, outside, attrs.evolve(second, rootfs=first.rootfs), "link")

    def test_mounts_do_not_lead_to_their_parents(self, run: Runner, tmp_path: Path) -> None:
        """The parent of a mounted host directory isn't accessible, and symlinks in a mount don't lead out."""
        outside = _outside(tmp_path)
        volume = _directory(outside / "volume")
        (volume / "link").symlink_to("../secret")
        (volume / "absolute").symlink_to(outside / "secret")
        paths = ("../secret", "data/../secret", "data/link", "data/absolute", "link", "absolute")
        _expect_confined(run, outside, *paths, mounts=[(volume, "/data")], directories=["/data"])

    def test_nothing_else_is_preopened(self, run: Runner, tmp_path: Path) -> None:
        """The directory around the root, the temporary directory and the host's root aren't accessible by any name."""
        outside = _outside(tmp_path)
        names = run.output("preopens", files={"/etc/name": ""}).decode().splitlines()
        assert names == ["/"], f"the preopened directories are {names}; of a spec without mounts there is '/' alone"
        result = run("files", "read", f"{outside}/secret")
        assert OUTSIDE.encode() not in (result.stdout or b""), f"the guest read {outside}/secret by its host path"
        assert result.exit_code != 0, "a host path could be opened"


def _directory(path: Path, **files: str) -> Path:
    path.mkdir()
    for name, content in files.items():
        (path / name).write_text(content, encoding="utf-8")
    return path


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _tree(directory: Path) -> dict[str, bytes | str]:
    """Return everything in a directory, by path."""
    return {
        str(path.relative_to(directory)): str(path.readlink())
        if path.is_symlink()
        else (path.read_bytes() if path.is_file() else "directory")
        for path in sorted(directory.rglob("*"))
    }


def _change(change: str, below: str) -> tuple[str, ...]:
    return {
        "write": ("write", f"{below}/new", "text"),
        "overwrite": ("write", f"{below}/old", "text"),
        "mkdir": ("mkdir", f"{below}/made"),
        "unlink": ("unlink", f"{below}/old"),
        "symlink": ("symlink", f"{below}/link", "old"),
    }[change]


def _expect_unchanged(directory: Path, change: Callable[[], int], what: str) -> None:
    before = _tree(directory)
    code = change()
    assert _tree(directory) == before, f"{what} changed the host's files"
    assert code in _REFUSED, f"{what} had to be refused with an errno that says so, one of {_REFUSED}, not {code}"


def _outside(tmp_path: Path) -> Path:
    """Create a directory next to the bundles with a secret in it; the directory around it contains one as well."""
    (tmp_path / "secret").write_text(OUTSIDE, encoding="utf-8")
    return _directory(tmp_path / "outside", secret=OUTSIDE)


def _expect_confined(run: Runner, outside: Path, *paths: str, **options: Any) -> None:
    """Have the guest try each path in each of its directories, with two roots, and check the results."""
    for cwd in ("/", "/in/side"):
        _expect_confined_to(run, outside, run.bundle("probe", *paths, cwd=cwd, **options), *paths)


def _expect_confined_to(run: Runner, outside: Path, made: Bundle, *paths: str) -> None:
    around = made.rootfs.parent
    (around / "secret").write_text(OUTSIDE, encoding="utf-8")

    def surroundings() -> object:
        return (
            _tree(outside),
            _text(around / "secret"),
            [sorted(entry.name for entry in path.iterdir()) for path in (around, outside.parent)],
        )

    before = surroundings()
    result = run.execute(made)
    assert OUTSIDE.encode() not in (result.stdout or b""), (
        f"the guest read a file outside of its root by one of {paths}"
    )
    assert surroundings() == before, f"the guest changed the host's files outside of its root by one of {paths}"
    assert result.ok, f"the guest was expected to end in spite of refusals: {ended(result)}"

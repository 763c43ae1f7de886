"""Tests several mounts at once, each with its own source and flag."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wasmoci.handlers.capabilities import Capability
from wasmoci.testing.conformance.base import Conformance, ended

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.testing.conformance.base import Runner

# Destinations and whether they are read-only: nested in either order, and the last of several.
_FLAGS = {
    "/first": False,
    "/second": True,
    "/third": True,
    "/fourth": False,
    "/first/inner": True,
    "/second/inner": False,
}


class SeveralMounts(Conformance):
    """Several mounts aren't confused."""

    def test_mounts_are_told_apart(self, run: Runner, tmp_path: Path) -> None:
        """Each destination shows its own source."""
        mounts = [(_volume(tmp_path, place), place) for place in _FLAGS]
        found = {place: run.output("files", "read", f"{place}/name", mounts=mounts).decode() for place in _FLAGS}
        assert found == {place: place for place in _FLAGS}, f"a mount has what is in another one: {found}"

    def test_mounts_hide_earlier_ones(self, run: Runner, tmp_path: Path) -> None:
        """Of two mounts at one destination, the later one is visible."""
        mounts = [(_volume(tmp_path, "/earlier"), "/data"), (_volume(tmp_path, "/later"), "/data")]
        output = run.output("files", "read", "/data/name", mounts=mounts)
        assert output == b"/later", f"/data/name reads {output!r}; the later of two mounts hides the earlier one"

    @pytest.mark.parametrize("readonly", [False, True], ids=["writable-root", "read-only-root"])
    def test_read_only_is_each_mounts_own(self, run: Runner, tmp_path: Path, readonly: bool) -> None:  # noqa: FBT001
        """Of several mounts, some of them nested, those with ``ro`` are read-only, whatever the root's flag is."""
        run.claims(Capability.READ_ONLY, Capability.LIVE_FILES)
        volumes = {place: _volume(tmp_path, place) for place in _FLAGS}
        mounts = [(volumes[place], place, *(["ro"] if fixed else [])) for place, fixed in _FLAGS.items()]
        if Capability.FILE_MOUNTS in run.handler.capabilities:
            volumes["/fixed"], volumes["/open"] = volumes["/third"] / "name", volumes["/fourth"] / "name"
            mounts += [(volumes["/fixed"], "/fixed", "ro"), (volumes["/open"], "/open")]
        directories = [place for place in _FLAGS if place.count("/") == 1]
        wrong = []
        for place, host in volumes.items():
            fixed = _FLAGS.get(place, place == "/fixed")
            guest = place if host.is_file() else f"{place}/name"
            result = run(
                "files", "write", guest, "new", mounts=mounts, directories=directories, files=_PLACES, readonly=readonly
            )
            text = (host if host.is_file() else host / "name").read_text(encoding="utf-8")
            if (text == "new", result.ok) != (not fixed, not fixed):
                wrong.append(
                    f"{place} ({'ro' if fixed else 'rw'}): the guest {ended(result)}, and the file has {text!r}"
                )
        assert not wrong, f"a mount has the flag of another one: {wrong}"

    def test_root_is_not_given_mount_points(self, run: Runner, tmp_path: Path) -> None:
        """A destination that isn't in the root isn't created there, as an image may be used again."""
        made = run.bundle("files", "read", "/not/there/name", mounts=[(_volume(tmp_path, "/volume"), "/not/there")])
        before = sorted(made.rootfs.rglob("*"))
        run.execute(made)
        left = sorted(str(path.relative_to(made.rootfs)) for path in set(made.rootfs.rglob("*")) - set(before))
        assert not left, f"the run left something in the root: {left}"


_PLACES = {"/fixed": "", "/open": ""}


def _volume(parent: Path, place: str) -> Path:
    """Create a host directory for a mount at a path, whose file ``name`` contains the path."""
    volume = parent / f"volume{place.replace('/', '-')}"
    (volume / "inner").mkdir(parents=True)
    (volume / "name").write_text(place, encoding="utf-8")
    return volume

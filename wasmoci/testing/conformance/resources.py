"""What a guest takes of the host: descriptors within bounds, and nothing of the kernel's file systems."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wasmoci.stdio import Stdio
from wasmoci.testing.conformance.base import Conformance, ended
from wasmoci.wasi import Errno

if TYPE_CHECKING:
    from wasmoci.testing.conformance.base import Runner

_MOST = 1024
_OWN = 8  # descriptors that the caller opens while the guest has all of its own
_PROCFS = Path("/proc")
_PRIVATE = ("self/environ", "self/mem", "self/maps", "1/environ", "self/cwd/etc/hostname", "version")


class HostResources(Conformance):
    """What a guest may have of its host's."""

    def test_account_of_descriptors_is_bounded(self, run: Runner) -> None:
        """A guest that closes nothing is told ``mfile`` at 1,024 descriptors or before, and its caller can still open files."""
        written = []

        def take(data: bytes) -> None:
            written.append(data)
            for descriptor in [os.open(os.devnull, os.O_RDONLY) for _ in range(_OWN)]:
                os.close(descriptor)

        result = run("hold", stdio=Stdio(stdin=b"", stdout=take, stderr=take))
        count = int.from_bytes(b"".join(written), "little")
        assert result.exit_code == Errno.MFILE, (
            f"a guest that opened {count} files and closed none ended so: {ended(result)}; expected the errno {Errno.MFILE}, mfile"
        )
        assert 0 < count <= _MOST, f"a guest had {count} files open at once; expected {_MOST} at most"

    @pytest.mark.skipif(not _PROCFS.joinpath("self/environ").exists(), reason="procfs isn't mounted here")
    @pytest.mark.parametrize("way", ["itself", "beneath another"])
    def test_kernel_files_are_out_of_reach(self, run: Runner, way: str) -> None:
        """Nothing of procfs opens, where it is bound into the guest and where it lies in what is; or the run is refused."""
        mount = ("/proc", "/p") if way == "itself" else ("/", "/host")
        place = "/p" if way == "itself" else "/host/proc"
        for path in _PRIVATE:
            result = run("files", "read", f"{place}/{path}", mounts=[mount])
            assert not result.ok, (
                f"a guest read {place}/{path}, where {mount[0]} is bound to {mount[1]}: {result.stdout!r:.80}; expected an errno"
            )

"""Tests the limits on what a guest uses of the host: descriptors, and no access to the kernel's file systems."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wasmoci.errors import WasmociError
from wasmoci.isolation.descriptor_limit import MOST
from wasmoci.stdio import Stdio
from wasmoci.testing.conformance.base import Conformance, ended
from wasmoci.wasi import Errno
from wasmoci.wasi.descriptors import MAX_DESCRIPTORS

if TYPE_CHECKING:
    from wasmoci.testing.conformance.base import Runner

_ENOUGH = (Errno.MFILE, Errno.NFILE, Errno.IO)  # the last one is from wasmtime's own WASI
_OWN = 8  # descriptors that the caller opens while the guest has its maximum
_PROCFS = Path("/proc")
_PRIVATE = ("self/environ", "self/mem", "self/maps", "1/environ", "self/cwd/etc/hostname", "version")


class HostResources(Conformance):
    """The host's resources are limited or inaccessible."""

    def test_account_of_descriptors_is_bounded(self, run: Runner) -> None:
        """A guest that closes no files gets an errno at 1,024 descriptors or fewer, and its caller can still open files."""
        written = []

        def take(data: bytes) -> None:
            written.append(data)
            for descriptor in [os.open(os.devnull, os.O_RDONLY) for _ in range(_OWN)]:
                os.close(descriptor)

        result = run("hold", stdio=Stdio(stdin=b"", stdout=take, stderr=take))
        count = int.from_bytes(b"".join(written), "little")
        assert result.exit_code in _ENOUGH, (
            f"a guest that opened {count} files and closed none ended so: {ended(result)}; expected the errno {Errno.MFILE}, mfile"
        )
        assert 0 < count <= MOST, (
            f"a guest had {count} files open at once; expected {MAX_DESCRIPTORS}, or {MOST} at the very most"
        )

    @pytest.mark.skipif(not _PROCFS.joinpath("self/environ").exists(), reason="procfs isn't mounted here")
    @pytest.mark.parametrize("way", ["itself", "beneath another"])
    def test_kernel_files_are_out_of_reach(self, run: Runner, way: str) -> None:
        """No file of procfs can be opened, whether it is mounted itself or within another mount; or the run is refused."""
        mount = ("/proc", "/p") if way == "itself" else ("/", "/host")
        place = "/p" if way == "itself" else "/host/proc"
        for path in _PRIVATE:
            try:
                result = run("files", "read", f"{place}/{path}", mounts=[mount])
            except WasmociError:
                continue
            assert not result.ok, (
                f"a guest read {place}/{path}, where {mount[0]} is bound to {mount[1]}: {result.stdout!r:.80}; expected an errno"
            )

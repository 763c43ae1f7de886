"""Tests the functions of WASI preview 1 for files, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wasmoci.testing.conformance.base import Conformance, ended

if TYPE_CHECKING:
    from wasmoci.testing.conformance.base import Runner

# In the order in which the guest ``calls`` records them; a directory is opened after a file.
_CALLS = (
    "clock_res_get",
    "sched_yield",
    "path_create_directory",
    "path_open",
    "fd_fdstat_get",
    "fd_write",
    "fd_seek",
    "fd_tell",
    "fd_pwrite",
    "fd_pread",
    "fd_sync",
    "fd_datasync",
    "fd_filestat_set_size",
    "fd_filestat_get",
    "fd_filestat_set_times",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_rename",
    "path_symlink",
    "path_readlink",
    "path_open of a directory",
    "fd_renumber",
    "fd_readdir",
    "fd_close",
    "path_unlink_file",
    "path_remove_directory",
)
_WRONG = 255


class Calls(Conformance):
    """The functions behind a C library's file operations, besides reading and writing, work."""

    def test_calls_do_what_they_are_asked_to(self, run: Runner) -> None:
        """A file is sought in, truncated, stamped, linked, renamed, listed and removed; an errno names what fails."""
        result = run("calls")
        assert result.ok, f"a guest that only notes what it is told ended otherwise: {ended(result)}"
        noted = dict(zip(_CALLS, result.stdout or b"", strict=True))
        failed = {
            name: "a wrong result" if errno == _WRONG else f"errno {errno}" for name, errno in noted.items() if errno
        }
        assert not failed, f"in a directory of the root that is the guest's own, some functions failed: {failed}"

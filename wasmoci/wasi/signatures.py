"""Lists every function of WASI preview 1 with its WebAssembly signature."""

from __future__ import annotations

from wasmoci._startup.typing import NamedTuple

#: The module names under which guests import the functions; the second is the older name of the same interface.
MODULES = ("wasi_snapshot_preview1", "wasi_unstable")


class Signature(NamedTuple):
    """The WebAssembly type of a function.

    Args:
        params: The value types of the parameters, each ``"i32"`` or ``"i64"``.
        results: The value types of the results; empty only for ``proc_exit``.
    """

    params: tuple[str, ...]
    results: tuple[str, ...] = ("i32",)


def _signature(params: str, results: str = "i") -> Signature:
    types = {"i": "i32", "I": "i64"}
    return Signature(tuple(types[p] for p in params), tuple(types[r] for r in results))


#: Function name -> signature, in the order of the witx file.
FUNCTIONS: dict[str, Signature] = {
    "args_get": _signature("ii"),
    "args_sizes_get": _signature("ii"),
    "environ_get": _signature("ii"),
    "environ_sizes_get": _signature("ii"),
    "clock_res_get": _signature("ii"),
    "clock_time_get": _signature("iIi"),
    "fd_advise": _signature("iIIi"),
    "fd_allocate": _signature("iII"),
    "fd_close": _signature("i"),
    "fd_datasync": _signature("i"),
    "fd_fdstat_get": _signature("ii"),
    "fd_fdstat_set_flags": _signature("ii"),
    "fd_fdstat_set_rights": _signature("iII"),
    "fd_filestat_get": _signature("ii"),
    "fd_filestat_set_size": _signature("iI"),
    "fd_filestat_set_times": _signature("iIIi"),
    "fd_pread": _signature("iiiIi"),
    "fd_prestat_get": _signature("ii"),
    "fd_prestat_dir_name": _signature("iii"),
    "fd_pwrite": _signature("iiiIi"),
    "fd_read": _signature("iiii"),
    "fd_readdir": _signature("iiiIi"),
    "fd_renumber": _signature("ii"),
    "fd_seek": _signature("iIii"),
    "fd_sync": _signature("i"),
    "fd_tell": _signature("ii"),
    "fd_write": _signature("iiii"),
    "path_create_directory": _signature("iii"),
    "path_filestat_get": _signature("iiiii"),
    "path_filestat_set_times": _signature("iiiiIIi"),
    "path_link": _signature("iiiiiii"),
    "path_open": _signature("iiiiiIIii"),
    "path_readlink": _signature("iiiiii"),
    "path_remove_directory": _signature("iii"),
    "path_rename": _signature("iiiiii"),
    "path_symlink": _signature("iiiii"),
    "path_unlink_file": _signature("iii"),
    "poll_oneoff": _signature("iiii"),
    "proc_exit": _signature("i", ""),
    "proc_raise": _signature("i"),
    "sched_yield": _signature(""),
    "random_get": _signature("ii"),
    "sock_accept": _signature("iii"),
    "sock_recv": _signature("iiiiii"),
    "sock_send": _signature("iiiii"),
    "sock_shutdown": _signature("ii"),
}

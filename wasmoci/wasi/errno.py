"""Maps failures on the host to WASI errno values."""

from __future__ import annotations

import errno
import struct

from wasmoci.wasi.abi import Errno


class Refusal(Exception):
    """An exception that makes a guest's call return an errno.

    Args:
        code: The errno of WASI.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


#: What a host function may raise: each is mapped to an errno, so that a guest never sees an exception.
FAILURES = (Refusal, OSError, struct.error, OverflowError, ValueError, MemoryError)

#: The host's errno -> WASI's. Any other is reported as ``IO``, as wasmtime does.
_HOST_ERRNO: dict[int, int] = {
    getattr(errno, f"E{name}"): getattr(Errno, name)
    for name in vars(Errno)
    if name.isupper() and hasattr(errno, f"E{name}")
} | {errno.E2BIG: Errno.TOOBIG, errno.EWOULDBLOCK: Errno.AGAIN, errno.EOPNOTSUPP: Errno.NOTSUP}


def errno_of(failure: BaseException) -> int:
    """Return the errno of WASI for one of :data:`FAILURES`."""
    if isinstance(failure, Refusal):
        return failure.code
    if isinstance(failure, OSError):
        return _HOST_ERRNO.get(failure.errno or 0, Errno.IO)
    if isinstance(failure, struct.error):  # a record beyond the end of memory
        return Errno.FAULT
    if isinstance(failure, MemoryError):
        return Errno.NOMEM
    return Errno.INVAL

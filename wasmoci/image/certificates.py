"""What talking to a registry needs besides the standard library's sockets: urllib3, and certificates to believe."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from wasmoci.errors import ImageError
from wasmoci.host.regular_file import read_regular

if TYPE_CHECKING:
    from pathlib import Path

_MAX_FILE = 16 << 20


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that checks certificates.

    Args:
        ca_file: Certificates to believe besides the system's; a PEM file on the host.

    Raises:
        ImageError: There are none in it.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            # Read by ourselves: OpenSSL would wait for the writer of a FIFO.
            context.load_verify_locations(cadata=read_regular(ca_file, _MAX_FILE, pipe=True).decode("ascii", "ignore"))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else error
            raise ImageError(f"{ca_file}: no certificates in PEM form: {reason}") from None
    return context


def load_urllib3() -> Any:
    """Return urllib3.

    Raises:
        ImageError: It isn't installed.
    """
    try:
        import urllib3  # noqa: PLC0415  an extra, and slow to import
    except ImportError:
        raise ImageError("talking to a registry needs urllib3", hint="pip install 'wasmoci[image]'") from None
    return urllib3

"""Sets up what connections to a registry need: urllib3, and a TLS context with trusted certificates."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from wasmoci.errors import ImageError
from wasmoci.host.regular_file import read_regular

if TYPE_CHECKING:
    from pathlib import Path

_MAX_FILE = 16 << 20


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a TLS context that verifies certificates.

    Args:
        ca_file: Certificate authorities to trust besides the system's; a PEM file on the host.

    Raises:
        ImageError: The file contains no certificates.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            # Read here, because OpenSSL would block on a FIFO.
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

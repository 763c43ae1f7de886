"""How registries are talked to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from wasmoci.image.transfer_limits import TransferLimits

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.image.credentials import Credential


@attrs.frozen
class RegistryOptions:
    """How registries are talked to.

    Args:
        plain_http: Use HTTP; nothing that is sent is secret then.
        insecure: Use HTTPS without verifying the certificate of the registry's host. The certificates of other hosts are verified.
        ca_file: Certificates to believe besides the system's; a PEM file on the host.
        credential: Shown to the registry that the image's name names, and not to mirrors; None looks for one.
        authfile: The only file to look for credentials; None for the usual ones.
        mirrors: ``HOST[/PREFIX]`` of registries that are asked first when pulling, in their order; with ``https://`` in front it is
            HTTPS with a certificate that is checked, whatever ``plain_http`` and ``insecure`` say.
        retries: How often a request that failed for the moment is made again.
        parallel: How many blobs are transferred at a time.
        timeout: Seconds without an answer, or without a byte, after which a request has failed.
        mirror_credential: Shown to the mirrors; None looks for one for each.
        limits: How much may come, and how slowly.
    """

    plain_http: bool = False
    insecure: bool = False
    ca_file: Path | None = None
    credential: Credential | None = None
    authfile: Path | None = None
    mirrors: tuple[str, ...] = ()
    retries: int = 3
    parallel: int = 4
    timeout: float = 60.0
    mirror_credential: Credential | None = None
    limits: TransferLimits = attrs.field(factory=TransferLimits)

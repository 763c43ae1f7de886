"""Defines the options for connections to registries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from wasmoci.image.registries.transfer_limits import TransferLimits

if TYPE_CHECKING:
    from pathlib import Path

    from wasmoci.image.registries.credentials import Credential


@attrs.frozen
class RegistryOptions:
    """Options for connections to registries.

    Args:
        plain_http: Use HTTP, without encryption.
        insecure: Use HTTPS without verifying the certificate of the registry's host. The certificates of other hosts are verified.
        ca_file: Certificate authorities to trust besides the system's; a PEM file on the host.
        credential: Sent to the registry in the image's name, and not to mirrors; None looks it up.
        authfile: The only file to search for credentials; None for the usual ones.
        mirrors: ``HOST[/PREFIX]`` of registries that are tried first when pulling, in order; with ``https://`` in front
            they use HTTPS with a verified certificate, whatever ``plain_http`` and ``insecure`` say.
        retries: How often a request is repeated after a temporary failure.
        parallel: The maximum number of blobs that are transferred at the same time.
        timeout: Seconds without a response, or without a byte of it, after which a request has failed.
        mirror_credential: Sent to the mirrors; None looks it up for each.
        limits: Limits of the transfer.
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

"""Whose certificates are trusted: gRPC itself knows only the authorities that it was built with."""

import os
import ssl
from pathlib import Path

from dits_client.errors import UsageError
from dits_client.terminal import quote_text

_GRPC_FILE = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
_FILE = "SSL_CERT_FILE"


def read_authorities() -> bytes | None:
    """Return the certificates of SSL_CERT_FILE, or of this machine, as PEM; None = those that gRPC knows.

    Raises UsageError if SSL_CERT_FILE cannot be read.
    """
    if named := os.environ.get(_FILE):
        try:
            return Path(named).read_bytes()
        except OSError as error:
            raise UsageError(
                f"{_FILE}: cannot read {quote_text(named)}: {error.strerror}"
            ) from None
    if os.environ.get(_GRPC_FILE):
        return None
    found = ssl.create_default_context().get_ca_certs(binary_form=True)
    return "".join(map(ssl.DER_cert_to_PEM_cert, found)).encode() or None

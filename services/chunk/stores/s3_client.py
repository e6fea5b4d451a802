"""The client of an S3 server."""

from __future__ import annotations

import configparser
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.store import S3Store as S3Client

from shared.runtime.store_url import S3Location

if TYPE_CHECKING:
    # They exist in the stubs alone.
    from obstore.store import S3Config

_CONNECT_SECONDS = 5.0
# Of one request, within twice the time that it may take: 5xx, broken connections, reads that take too long.
_RETRIES = 3
_CREDENTIALS = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}


def make_client(where: S3Location, seconds: float) -> S3Client:
    """Returns a client. Raises ValueError if the file with the keys is not there, or another one."""
    config: S3Config = {}
    if where.endpoint is not None:
        config["endpoint"] = where.endpoint
    if where.region is not None:
        config["region"] = where.region
    if where.encryption is not None:
        config["server_side_encryption"] = where.encryption
    if where.kms_key is not None:
        config["sse_kms_key_id"] = where.kms_key
    config.update(read_credentials(where))
    return S3Client(
        where.bucket,
        prefix=where.prefix or None,
        config=config,
        # Whether it is http is said by the endpoint.
        client_options={
            "allow_http": True,
            "connect_timeout": timedelta(seconds=min(_CONNECT_SECONDS, seconds)),
            "timeout": timedelta(seconds=seconds),
        },
        retry_config={
            "max_retries": _RETRIES,
            "retry_timeout": timedelta(seconds=2 * seconds),
            "backoff": {
                "init_backoff": timedelta(seconds=0.1),
                "max_backoff": timedelta(seconds=2),
                "base": 2,
            },
        },
    )


def read_credentials(where: S3Location) -> S3Config:
    """Returns the keys of the file of a place; none if it has no file. Raises ValueError."""
    if where.credentials is None:
        return {}
    file = Path(where.credentials)
    parser = configparser.ConfigParser(default_section="", interpolation=None)
    try:
        parser.read_string(file.read_text())
        keys = parser["default"]
    except (OSError, configparser.Error, KeyError) as error:
        raise ValueError(f"{file} is no file with credentials: {type(error).__name__}") from None
    config: S3Config = {}
    for name, value in keys.items():
        if name in _CREDENTIALS:
            config[_CREDENTIALS[name]] = value  # type: ignore[literal-required]
    return config

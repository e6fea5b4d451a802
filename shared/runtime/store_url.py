"""Where packs lie: a directory of this machine, or a bucket of an S3 server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_PARAMETERS = {"endpoint", "region", "storage_class", "encryption", "kms_key", "credentials"}

# Classes whose objects cannot be read at once, and are not brought back by being asked for.
_FROZEN = ("GLACIER", "DEEP_ARCHIVE")


@dataclass(frozen=True, slots=True)
class S3Location:
    """A place in a bucket of an S3 server. What is None is left to the AWS_… variables and its defaults.

    Attributes:
        bucket, prefix: the names of objects begin with the prefix and a slash, unless it is empty.
        endpoint: http or https URL of the server.
        region: the server's name for the region that it is in.
        storage_class: of new objects.
        encryption: how the server encrypts them: AES256, aws:kms or aws:kms:dsse.
        kms_key: the id of the key that it encrypts them with.
        credentials: file with the keys, in the form of ~/.aws/credentials; its part "default" counts.
    """

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    storage_class: str | None = None
    encryption: str | None = None
    kms_key: str | None = None
    credentials: str | None = None

    def __str__(self) -> str:
        """Returns what tells the place from others."""
        return f"s3://{self.bucket}/{self.prefix}" + (
            f" at {self.endpoint}" if self.endpoint else ""
        )


StoreLocation: TypeAlias = Path | S3Location


def parse_store_url(text: str) -> StoreLocation:
    """Returns what `s3://bucket/prefix?endpoint=…` or a directory means. Raises ValueError."""
    if "://" not in text:
        return Path(text)
    url = urlsplit(text)
    parameters = dict(parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query)))
    prefix = url.path.strip("/")
    if url.scheme != "s3":
        raise ValueError("a store is a directory or s3://bucket/prefix")
    if _BUCKET.fullmatch(url.netloc) is None:
        raise ValueError(f"{url.netloc!r} is not the name of a bucket; keys do not belong here")
    if (prefix and _PREFIX.fullmatch(prefix) is None) or ".." in prefix.split("/") or url.fragment:
        raise ValueError(f"{prefix!r} cannot be the beginning of names of objects")
    if unknown := parameters.keys() - _PARAMETERS:
        raise ValueError(
            f"{', '.join(sorted(unknown))}: known are {', '.join(sorted(_PARAMETERS))}"
        )
    if parameters.get("storage_class") in _FROZEN:
        raise ValueError(
            "what S3 has to restore before it is read, GLACIER and DEEP_ARCHIVE, dits cannot use: say "
            "storage_class=GLACIER_IR"
        )
    endpoint = urlsplit(parameters.get("endpoint", "https://s3"))
    if endpoint.scheme not in ("http", "https") or not endpoint.hostname or endpoint.username:
        raise ValueError("endpoint has to be an http or https URL without user and password")
    return S3Location(url.netloc, prefix, **parameters)


def check_store_url(text: str | None) -> str | None:
    """Returns the text. Raises ValueError if it is not the URL of a store."""
    if text is not None:
        parse_store_url(text)
    return text


def check_store_urls(places: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Returns the URLs of stores, by region. Raises ValueError if one is not the URL of a store."""
    for urls in places.values():
        for url in urls:
            parse_store_url(url)
    return places


def check_tier_urls(tiers: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Returns the URLs of stores, by region and class. Raises ValueError if one is none."""
    for places in tiers.values():
        for url in places.values():
            parse_store_url(url)
    return tiers

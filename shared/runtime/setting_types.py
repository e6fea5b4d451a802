"""Types of settings: how the text of a setting is read and held to its rules."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=0, le=65535)]
Address = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^\s:/@]+):[0-9]{1,5}$")]
# As large as the column that holds it.
Cell = Annotated[int, Field(ge=0, le=32767)]


def split_list(value: object) -> object:
    """Splits text at its commas; the TOML file may hold a list instead."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def require_networks(values: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the values. Raises ValueError if one is no address and no network."""
    for value in values:
        ipaddress.ip_network(value, strict=False)
    return values


def bracket_host(value: str) -> str:
    """Returns a host as it stands before a port: an address of IPv6 in brackets."""
    return f"[{value}]" if ":" in value and not value.startswith("[") else value


Host = Annotated[str, AfterValidator(bracket_host)]


def check_database_url(value: str) -> str:
    """Returns the value. Raises ValueError if it is no address of a PostgreSQL."""
    parts = urlsplit(value)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("it is postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    # The rest of a password would be taken for the host, and shown in errors.
    if parts.fragment or "@" in parts.path or "@" in parts.query.partition("=")[0]:
        raise ValueError("in a password, / is written %2F, # %23, ? %3F, @ %40 and % %25")
    for host in parts.netloc.rpartition("@")[2].split(","):
        if not 0 < (urlsplit(f"//{host}").port or 5432) < 65536:
            raise ValueError("a port is 1 to 65535")
    return value


def name_database(url: str) -> str:
    """Returns the hosts and the name of a database, without user and password."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


DatabaseUrl = Annotated[str, AfterValidator(check_database_url)]


class CellAddresses(BaseModel):
    """Where clients reach the services of one cell, each `host:port`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repo: Address
    chunk: Address
    lock: Address


def parse_json(value: object) -> object:
    """Returns the value of a JSON text; of a file, the value itself. Raises ValueError."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON ({error})") from None


def require_key(value: str) -> str:
    """Returns the value. Raises ValueError if it is not the key of a server, in hex."""
    if re.fullmatch("[0-9a-f]{64}", value) is None:
        raise ValueError("it is 64 digits of 0-9 and a-f, as `openssl rand -hex 32` makes them")
    return value


ServerKeyText = Annotated[str, AfterValidator(require_key)]

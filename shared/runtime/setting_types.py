"""Types of settings: how the text of a setting is read and held to its rules."""

from __future__ import annotations

import ipaddress
import json
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

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


class CellAddresses(BaseModel):
    """Where clients reach the services of one cell, each `host:port`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repo: Address
    chunk: Address
    lock: Address


def parse_json(value: object) -> object:
    """Returns the value of a JSON text; of a file, the value itself."""
    return json.loads(value) if isinstance(value, str) else value


# The key of the server, in hex.
ServerKeyText = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

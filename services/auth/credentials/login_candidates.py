"""The account that somebody tries to log in to, and where the attempt is counted."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from services.auth.credentials import throttles
from services.auth.credentials.devices import DeviceTokens
from shared.db import sql
from shared.db.pool import Database, Row

Q = sql.load(__file__)

_NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Candidate:
    """The account that an attempt is made at, if there is one, and where the attempt is counted.

    Attributes:
        row: of the account; None = no account has this login.
        device_id: of the device that calls, if it has logged in to the account before.
        is_known: the account has logged in from the device or from the network before.
    """

    row: Row | None
    device_id: UUID | None
    is_known: bool
    buckets: list[throttles.Bucket]


async def find_candidate(
    database: Database, devices: DeviceTokens, login: str, device_token: str, address: str | None
) -> Candidate:
    """Returns the account behind a login, folded, and where an attempt from the address is counted.

    A username and the e-mail address of the same account are counted as one.
    """
    network = None if address is None else throttles.network_of(address)
    row = await database.fetchrow(Q.login_row, login, network)
    # For nobody's login as well: what takes time is done for all.
    device_id = devices.find_device(device_token, _NOBODY if row is None else row["id"])
    is_known_network = row is not None and row["is_known_network"]
    buckets = throttles.login_buckets(
        login if row is None else row["username"].lower(),
        address,
        device_id=device_id,
        is_known_network=is_known_network,
    )
    return Candidate(row, device_id, device_id is not None or is_known_network, buckets)

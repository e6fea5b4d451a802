"""How many attempts at passwords the server makes for strangers: counted before the work, in buckets.

An attempt is reserved before the password is hashed, so that those under way at the same time count, too.
One that succeeds, or that the server had no room for, is given back. A bucket stands for what can be told
apart: the login from one network, an address, a device that has logged in before.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import rate_limited

Q = sql.load(__file__)

# Attempts within 15 minutes that close a bucket. Many people may share an address.
LOGIN_LIMIT = 10
ADDRESS_LIMIT = 100
REGISTRATION_LIMIT = 30
STRANGERS_LIMIT = 20
LINK_LIMIT = 30
# Mails of one kind to one account.
MAILED_LIMIT = 3


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where attempts are counted.

    Attributes:
        limit: how many close it.
    """

    name: str
    limit: int


async def reserve(database: Database, buckets: Sequence[Bucket]) -> None:
    """Counts an attempt in all buckets. Raises RATE_LIMITED, and counts nothing, if one is closed."""
    [row] = await database.statement(Q.reserve, *_columns(buckets))
    _require_open(row[0])


async def reserve_within(connection: Connection, buckets: Sequence[Bucket]) -> None:
    """Counts an attempt as `reserve` does, unless the transaction of the connection fails."""
    _require_open(await connection.fetchval(Q.reserve, *_columns(buckets)))


async def give_back(connection: Connection, buckets: Sequence[Bucket]) -> None:
    """Takes back an attempt that did not fail."""
    if buckets:
        await connection.execute(Q.give_back, *_columns(buckets))


async def accept(connection: Connection, buckets: Sequence[Bucket]) -> None:
    """Takes back an attempt that succeeded, and forgets the failures in its first bucket.

    Failures of others at its address stay.
    """
    # In the order of their names, as `reserve` locks them: "address", "login".
    await give_back(connection, buckets[1:])
    await connection.execute(Q.forget, buckets[0].name)


def login_buckets(
    login: str, address: str | None, *, device_id: UUID | None, is_known_network: bool
) -> list[Bucket]:
    """Returns where a login is counted: its own bucket first, then that of its address.

    A device that has logged in to the account before has a bucket that nobody else can fill. An account
    that has logged in from the network before does not mind how often others failed at its address.
    """
    if device_id is not None:
        return [Bucket(f"device {device_id}", LOGIN_LIMIT)]
    if address is None:
        return [Bucket(f"login {login}", LOGIN_LIMIT)]
    own = Bucket(f"login {login} from {network_of(address)}", LOGIN_LIMIT)
    return [own] if is_known_network else [own, Bucket(f"address {_host(address)}", ADDRESS_LIMIT)]


def mfa_buckets(
    user_id: UUID, address: str | None, *, device_id: UUID | None, is_known: bool
) -> list[Bucket]:
    """Returns where an attempt at a second factor is counted, its own bucket first.

    Who gets here knows the password, and a code has only six digits: so all devices and networks that the
    account has not logged in from have one limit together, which those it has do not mind.
    """
    if device_id is not None:
        return [Bucket(f"mfa device {device_id}", LOGIN_LIMIT)]
    where = "" if address is None else f" from {network_of(address)}"
    own = Bucket(f"mfa {user_id}{where}", LOGIN_LIMIT)
    return [own] if is_known else [own, Bucket(f"mfa {user_id} strangers", STRANGERS_LIMIT)]


def registration_buckets(address: str | None) -> list[Bucket]:
    """Returns where a registration is counted."""
    return [] if address is None else [Bucket(f"register {_host(address)}", REGISTRATION_LIMIT)]


def link_buckets(address: str | None) -> list[Bucket]:
    """Returns where it is counted that somebody asks for a mailed link."""
    return [] if address is None else [Bucket(f"link {_host(address)}", LINK_LIMIT)]


def mailed_buckets(purpose: str, user_id: UUID) -> list[Bucket]:
    """Returns where the mails of a purpose to an account are counted."""
    return [Bucket(f"mailed {purpose} {user_id}", MAILED_LIMIT)]


def proof_buckets(session_id: UUID) -> list[Bucket]:
    """Returns where a session's proofs of identity are counted: nobody else can fill it."""
    return [Bucket(f"sudo {session_id}", LOGIN_LIMIT)]


def network_of(address: str) -> str:
    """Returns the network that one person moves in: an IPv4 /24, an IPv6 /64."""
    bits = 64 if ":" in address else 24
    return str(ipaddress.ip_network(f"{address}/{bits}", strict=False))


def _require_open(seconds: int) -> None:
    if seconds > 0:
        raise rate_limited(seconds)


def _host(address: str) -> str:
    """Returns what one host has: an IPv4 address, but an IPv6 /64."""
    return network_of(address) if ":" in address else address


def _columns(buckets: Sequence[Bucket]) -> tuple[list[str], list[int]]:
    return [bucket.name for bucket in buckets], [bucket.limit for bucket in buckets]

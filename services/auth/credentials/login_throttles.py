"""Failed logins: counted for each login from its network, and for each address."""

from __future__ import annotations

import ipaddress

from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import rate_limited

Q = sql.load(__file__)

# Failures within 15 minutes that close a bucket. Many people may share an address.
LOGIN_LIMIT = 10
ADDRESS_LIMIT = 100


async def require_open(database: Database, buckets: list[str]) -> None:
    """Raises RATE_LIMITED if one of the buckets is closed."""
    row = await database.fetchrow(Q.longest_wait, buckets)
    wait = row[0] if row else None
    if wait is not None and wait > 0:
        raise rate_limited(wait)


async def count_failure(connection: Connection, buckets: list[str]) -> None:
    """Counts a failure in each bucket."""
    limits = [LOGIN_LIMIT, ADDRESS_LIMIT][: len(buckets)]
    await connection.execute(Q.count_failure, buckets, limits)


async def forget_failures(connection: Connection, buckets: list[str]) -> None:
    """Forgets the failures of a login that succeeded; those of the address stay."""
    await connection.execute(Q.forget_failures, buckets[0])


def list_buckets(login: str, address: str | None) -> list[str]:
    """Returns where failures are counted: the login from its network, then the address alone."""
    if address is None:
        return [f"login {login}"]
    bits = 24 if ":" not in address else 64
    network = ipaddress.ip_network(f"{address}/{bits}", strict=False)
    return [f"login {login} from {network}", f"address {address}"]

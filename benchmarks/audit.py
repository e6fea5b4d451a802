"""The audit log with many rows: writing, sealing, checking, and pages of listings, beside a small log.

    python -m benchmarks.audit [--rows N] [--months N]

One log has a hundredth of the rows of the other, over as many months. Printed are the rows a second that
are written with audit(), sealed and checked, and the median time of a page of 50 by each filter in both.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import asyncpg
from rich.console import Console
from rich.table import Table

from migrations.runner import migrate
from services.admin.audit_chain import verify_log
from services.auth.audit_log.listing import AuditListing, AuditQuery
from services.auth.audit_log.scopes import AuditScope
from shared.db.pool import Database
from shared.postgres.embedded import EmbeddedPostgres
from shared.records.audit_chain import AuditSealer

WRITTEN = 2_000
RUNS = 9
_WRITE = """SELECT audit($1, 'user', 'token.created', 'api_token', 'x', 'ci', $1, NULL, '{"scopes": []}',
                         '192.0.2.1', 'benchmark', 'x')"""
_USERS = """INSERT INTO users (username, email, name, status)
            SELECT 'u' || n, n || '@x', 'u', 'active' FROM generate_series(1, 1000) n"""
# One user did half of it.
_FILL = """
INSERT INTO audit_log ("timestamp", actor_id, actor_type, action, resource_type, resource_id,
                       repo_id, org_id)
SELECT now() - random() * $2::int * interval '30 days', u.id, 'user',
       CASE n % 3 WHEN 0 THEN 'session.opened' WHEN 1 THEN 'session.ended' ELSE 'token.created' END,
       'session', n::text, u.id, CASE WHEN n % 3 = 0 THEN u.id END
FROM generate_series(1, $1::int) n
JOIN users u ON u.username = 'u' || CASE WHEN n % 2 = 0 THEN 1 ELSE n % 1000 END"""


def main() -> None:
    """Runs the benchmark and prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.audit")
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--months", type=int, default=24)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="dits-bench-") as base,
        EmbeddedPostgres(Path(base, "postgres"), durable=False) as server,
    ):
        asyncio.run(_compare(server.dsn, arguments.rows, arguments.months))


async def _compare(dsn: str, rows: int, months: int) -> None:
    pages: list[Mapping[str, float]] = []
    rates = Table("step", "rows a second", title=f"{rows:,} rows in {months} months")
    for name, count in (("small", rows // 100), ("large", rows)):
        connection = await asyncpg.connect(dsn)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        own = dsn.replace("/dits?", f"/{name}?")
        await migrate(own)
        patience = {"statement_timeout": "0"}
        database = await Database.connect(own, service="benchmark", size=1, settings=patience)
        await database.fetch(_USERS)
        await database.fetch(_FILL, count, months)
        await database.fetch("SELECT ensure_month_partitions(1)")
        await database.fetch("ANALYZE")
        if name == "large":
            for step, rate in (await _measure_rates(database, count)).items():
                rates.add_row(step, f"{rate:,.0f}")
        pages.append(await _measure_pages(database))
        await database.close()
    table = Table("filter", "small, ms", "large, ms", "ratio")
    for name, small in pages[0].items():
        large = pages[1][name]
        table.add_row(name, f"{small:.2f}", f"{large:.2f}", f"{large / small:.2f}")
    Console().print(rates, table)


async def _measure_rates(database: Database, rows: int) -> Mapping[str, float]:
    user = (await database.fetch("SELECT id FROM users LIMIT 1"))[0]["id"]

    async def write() -> None:
        for _ in range(WRITTEN):
            await database.fetch(_WRITE, user)

    return {
        "write, one by one": WRITTEN / await _time(write),
        "seal": rows / await _time(AuditSealer(database).seal_rows),
        "check": rows / await _time(lambda: verify_log(database, {})),
    }


async def _measure_pages(database: Database) -> Mapping[str, float]:
    listing = AuditListing(database)
    most: UUID = (await database.fetch("SELECT id FROM users WHERE username = 'u1'"))[0]["id"]
    few: UUID = (await database.fetch("SELECT id FROM users WHERE username = 'u7'"))[0]["id"]
    cases = {
        "site": (AuditScope(), None),
        "site, an action": (AuditScope(), "token.created"),
        "site, an action that never was": (AuditScope(), "lock.stolen"),
        "a user who did half of it": (AuditScope(actor_id=most), None),
        "the same, an action that never was": (AuditScope(actor_id=most), "lock.stolen"),
        "a repository": (AuditScope(repository_id=few), None),
        "an organisation": (AuditScope(organization_id=most), None),
    }
    start, end = datetime(2000, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)
    medians = {}
    for name, (scope, action) in cases.items():
        wanted = AuditQuery(None, action, None, None, start, end)
        times = [
            await _time(lambda s=scope, w=wanted: listing.fetch(s, w, None, 51))  # type: ignore[misc]
            for _ in range(RUNS)
        ]
        medians[name] = statistics.median(times) * 1000
    return medians


async def _time(work: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()

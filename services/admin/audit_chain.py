"""Checks the chains of hashes over the audit log. It trusts no function of the database, only rows."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from shared.db import sql
from shared.db.pool import Connection, Database, Row

Q = sql.load(__file__)

# Links that are read at once.
_PREFETCH = 5_000


@dataclass(frozen=True, slots=True)
class Head:
    """How far a chain had come when somebody wrote it down."""

    length: int
    hash: str


@dataclass(frozen=True, slots=True)
class MonthReport:
    """What was found of one month.

    Attributes:
        length: links of its chain.
        head: hash of the last link, in hex.
        dropped_at: when retention dropped its rows; None = they are there.
        fault: the first place where it is broken; None = it is intact.
    """

    month: date
    length: int
    head: str
    dropped_at: datetime | None
    fault: str | None


@dataclass(frozen=True, slots=True)
class LogReport:
    """What was found of the whole log.

    Attributes:
        unsealed: rows that are not in a chain yet: they can still be changed without a trace.
    """

    months: Sequence[MonthReport]
    unsealed: int

    @property
    def is_intact(self) -> bool:
        """Whether no month is broken."""
        return all(month.fault is None for month in self.months)


async def verify_log(database: Database, expected: Mapping[date, Head]) -> LogReport:
    """Checks every month, and the heads that were written down before, at one moment."""
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        rows = {row["month"]: row for row in await connection.fetch(Q.list_months)}
        last = await connection.fetchrow(Q.sealed_so_far)
        place = (last["xid"], last["id"]) if last else (None, None)
        strays = {row["month"]: row for row in await connection.fetch(Q.list_strays, *place)}
        reports = [
            await _verify_month(connection, month, rows.get(month), strays.get(month), expected)
            for month in sorted({*rows, *strays, *expected})
        ]
        return LogReport(reports, await connection.fetchval(Q.count_unsealed, *place))


async def _verify_month(
    connection: Connection,
    month: date,
    chain: Row | None,
    stray: Row | None,
    expected: Mapping[date, Head],
) -> MonthReport:
    stray_fault = None if stray is None else _describe_stray(stray)
    if chain is None or chain["length"] is None:
        return MonthReport(month, 0, "", None, stray_fault or "its chain is missing")
    walk = _Walk(month, expected.get(month))
    if chain["dropped_at"] is None:
        async for link in _links(connection, month):
            if not walk.step(link):
                break
        walk.end(chain)
    else:
        walk.skip(chain)
    fault = walk.fault or stray_fault
    return MonthReport(month, chain["length"], chain["head"].hex(), chain["dropped_at"], fault)


async def _links(connection: Connection, month: date) -> AsyncIterator[Row]:
    start = datetime(month.year, month.month, 1, tzinfo=UTC)
    end = datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
    async for link in connection.cursor(Q.list_links, month, start, end, prefetch=_PREFETCH):
        yield link


class _Walk:
    """Follows the links of a month up to the first that does not hold.

    Attributes:
        fault: what is wrong there; None = nothing so far.
    """

    def __init__(self, month: date, expected: Head | None) -> None:
        self.fault: str | None = None
        self._expected = expected
        self._position = 0
        self._hash = hashlib.sha256(f"dits audit {month:%Y-%m}".encode()).digest()

    def step(self, link: Row) -> bool:
        """Returns whether the next link holds."""
        self._position += 1
        position, row_id = link["position"], link["row_id"]
        if position != self._position:
            self.fault = f"the link at position {self._position} is missing"
        elif link["text"] is None:
            self.fault = f"the row {row_id} at position {position} was deleted"
        else:
            self._hash = hashlib.sha256(self._hash + link["text"].encode()).digest()
            if self._hash != link["hash"]:
                self.fault = f"the row {row_id} at position {position} was changed"
            elif self._expected is not None and position == self._expected.length:
                self._compare(self._expected)
        return self.fault is None

    def skip(self, chain: Row) -> None:
        """Holds the record of a month whose rows are gone against what was expected."""
        expected = self._expected
        if expected is None or expected.length < chain["length"]:
            return
        if expected != Head(chain["length"], chain["head"].hex()):
            self.fault = "it was dropped, and the record of its length and head is not as expected"

    def end(self, chain: Row) -> None:
        """Holds the end against the record of the chain and against what was expected."""
        if self.fault is not None:
            return
        longest = max(chain["length"], self._expected.length if self._expected else 0)
        if self._position < longest:
            self.fault = f"it ends at position {self._position} of {longest}: the rest was cut off"
        elif self._position > chain["length"] or self._hash != chain["head"]:
            self.fault = "the record of its length and head was changed"

    def _compare(self, expected: Head) -> None:
        if self._hash.hex() != expected.hash:
            self.fault = f"the hash at position {expected.length} is not the one that was expected"


def _describe_stray(row: Row) -> str:
    named = f"the row {row['id']} of {row['timestamp']:%Y-%m-%d %H:%M:%S}"
    if row["is_ahead"]:
        return f"{named} is never sealed: no transaction has had its number {row['xid']} yet"
    return f"{named} was inserted or moved in time"

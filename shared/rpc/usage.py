"""Usage, gathered in memory: whom the calls of one server are charged to, by day.

The caller, the repository of the call and the organisation that owns it are charged. A call counts from the
moment when it is let in, a push or pull when it has ended well; the bytes of a call under way are gathered
whenever the counts are drained. Nothing here waits or speaks to the database.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, date, datetime
from typing import TypeAlias
from uuid import UUID

from dits.common.v1 import access_pb2

from shared.rpc.amounts import Amounts
from shared.rpc.call import Call

USER, REPOSITORY, ORGANIZATION = "user", "repository", "organization"
# From so many entities on the counts are to be stored early; beyond the second number they are lost.
FULL_ENTITIES = 10_000
MAX_ENTITIES = 50_000

_DAY_SECONDS = 86_400
_EPOCH = date(1970, 1, 1).toordinal()

# Type and id.
Entity: TypeAlias = tuple[str, UUID]
# What an entity used on a day.
UsageRow: TypeAlias = tuple[date, Entity, Amounts]


class UsageCounters:
    """What the calls of one server have used since it was last drained.

    Attributes:
        lost: what could not be held, because too many entities were; whoever reports it clears it.
    """

    def __init__(self) -> None:
        self.lost = Amounts()
        self._calls: dict[int, Call] = {}
        self._held: dict[int, dict[Entity, Amounts]] = {}
        self._count = 0
        self._full = asyncio.Event()
        self.set_time(datetime.now(UTC))

    def set_time(self, now: datetime) -> None:
        """Takes over the time of the database: its days are the days of usage."""
        self.settle_calls_under_way()
        self._ahead = now.timestamp() - time.monotonic()
        self._find_day()

    def begin(self, call: Call) -> None:
        """Counts a call that was let in."""
        call.used.requests += 1
        self._calls[id(call)] = call

    def end(self, call: Call, counts_as: access_pb2.Counting.ValueType) -> None:
        """Counts what a call used; nothing if it was not let in."""
        if self._calls.pop(id(call), None) is None:
            return
        if counts_as == access_pb2.COUNTING_PUSH:
            call.used.pushes += 1
        elif counts_as == access_pb2.COUNTING_PULL:
            call.used.pulls += 1
        self._settle(call)

    def settle_calls_under_way(self) -> None:
        """Counts what the calls under way have used so far."""
        for call in self._calls.values():
            if not call.used.is_empty():
                self._settle(call)

    def drain(self, most: int) -> list[UsageRow]:
        """Returns the counts of up to `most` entities, the earliest day first, and forgets them."""
        drained: list[UsageRow] = []
        for day in sorted(self._held):
            held = self._held[day]
            while held and len(drained) < most:
                entity, amounts = held.popitem()
                drained.append((date.fromordinal(_EPOCH + day), entity, amounts))
            if not held:
                del self._held[day]
        self._count -= len(drained)
        if self._count < FULL_ENTITIES:
            self._full.clear()
        return drained

    async def wait_until_full(self) -> None:
        """Waits until there are so many entities that their counts are to be stored early."""
        await self._full.wait()

    def _find_day(self) -> None:
        now = time.monotonic()
        self._day = int((now + self._ahead) // _DAY_SECONDS)
        self._day_ends = (self._day + 1) * _DAY_SECONDS - self._ahead

    def _settle(self, call: Call) -> None:
        """Moves the counts of a call to whom it is charged to."""
        if time.monotonic() >= self._day_ends:
            self._find_day()
        held = self._held.get(self._day)
        if held is None:
            held = self._held[self._day] = {}
        used, access = call.used, call.access
        if access.caller is not None:
            self._add(held, (USER, access.caller.user_id), used)
        if access.repository is not None:
            self._add(held, (REPOSITORY, access.repository.id), used)
            if access.repository.organization_id is not None:
                self._add(held, (ORGANIZATION, access.repository.organization_id), used)
        used.clear()

    def _add(self, held: dict[Entity, Amounts], entity: Entity, used: Amounts) -> None:
        amounts = held.get(entity)
        if amounts is None:
            if self._count >= MAX_ENTITIES:
                self.lost.add(used)
                return
            amounts = held[entity] = Amounts()
            self._count += 1
            if self._count == FULL_ENTITIES:
                self._full.set()
        amounts.add(used)

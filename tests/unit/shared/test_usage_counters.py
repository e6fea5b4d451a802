"""What calls use is charged to the right ones, on the right day, in bounded memory."""

from __future__ import annotations

import asyncio
import time
from dataclasses import astuple
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import pytest
from dits.common.v1.access_pb2 import COUNTING_PULL, COUNTING_PUSH, COUNTING_UNSPECIFIED

from shared.rpc import usage
from shared.rpc.call import Access, Call, Caller, RepositoryAccess
from shared.rpc.policy import Permission
from shared.rpc.usage import ORGANIZATION, REPOSITORY, USER, UsageCounters
from tests.support.waiting import PATIENCE_SECONDS

ADA, FILM, STUDIO = uuid4(), uuid4(), uuid4()
MOST = 1000


def make_call(
    user_id: UUID | None = ADA, repository_id: UUID | None = None, owner: UUID | None = None
) -> Call:
    """A call that has received 3 bytes."""
    caller = user_id and Caller.of(user_id, "ada", uuid4(), None)
    repository = repository_id and RepositoryAccess(
        repository_id,
        "studio",
        "film",
        Permission.READ,
        read_only=False,
        cell=0,
        organization_id=owner,
    )
    call = Call(method="m", request_id="r", access=Access(caller or None, repository or None))
    call.used.received += 3
    return call


def drained(counters: UsageCounters) -> dict[tuple[str, UUID], tuple[int, ...]]:
    """Returns the counts by entity, on whichever day."""
    return {entity: astuple(amounts) for _, entity, amounts in counters.drain(MOST)}


def count(counters: UsageCounters, call: Call, counts_as: int = COUNTING_UNSPECIFIED) -> None:
    counters.begin(call)
    call.used.sent += 5
    counters.end(call, counts_as)  # type: ignore[arg-type]


def test_caller_repository_and_organization_are_charged() -> None:
    counters = UsageCounters()
    count(counters, make_call())
    count(counters, make_call(ADA, FILM, STUDIO), COUNTING_PUSH)
    count(counters, make_call(None, FILM, STUDIO), COUNTING_PULL)
    assert drained(counters) == {
        (USER, ADA): (2, 6, 10, 1, 0),
        (REPOSITORY, FILM): (2, 6, 10, 1, 1),
        (ORGANIZATION, STUDIO): (2, 6, 10, 1, 1),
    }
    assert drained(counters) == {}


def test_a_call_that_was_not_let_in_counts_nothing() -> None:
    counters = UsageCounters()
    counters.end(make_call(), COUNTING_PUSH)
    assert drained(counters) == {}


def test_a_call_under_way_counts_as_it_goes() -> None:
    counters, call = UsageCounters(), make_call()
    counters.begin(call)
    counters.settle_calls_under_way()
    assert drained(counters) == {(USER, ADA): (1, 3, 0, 0, 0)}
    counters.settle_calls_under_way()
    assert drained(counters) == {}
    call.used.sent += 7
    counters.settle_calls_under_way()
    call.used.received += 1
    counters.end(call, COUNTING_PULL)
    assert drained(counters) == {(USER, ADA): (0, 1, 7, 0, 1)}
    counters.end(call, COUNTING_PULL)
    assert drained(counters) == {}


def test_midnight_between_calls() -> None:
    counters = UsageCounters()
    counters.set_time(datetime(2026, 2, 28, 23, 59, tzinfo=UTC))
    count(counters, make_call())
    stream = make_call()
    counters.begin(stream)
    counters.set_time(datetime(2026, 3, 1, 0, 1, tzinfo=UTC))
    stream.used.sent += 7
    counters.end(stream, COUNTING_UNSPECIFIED)
    count(counters, make_call())
    assert [(day, astuple(amounts)) for day, _, amounts in counters.drain(MOST)] == [
        (date(2026, 2, 28), (2, 6, 5, 0, 0)),
        (date(2026, 3, 1), (1, 3, 12, 0, 0)),
    ]


def test_midnight_comes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    counters = UsageCounters()
    counters.set_time(datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC))
    count(counters, make_call())
    now += 1
    count(counters, make_call())
    assert [day for day, _, _ in counters.drain(MOST)] == [date(2026, 2, 28), date(2026, 3, 1)]


async def test_many_entities_are_stored_early_and_too_many_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(usage, "FULL_ENTITIES", 2)
    monkeypatch.setattr(usage, "MAX_ENTITIES", 3)
    counters = UsageCounters()
    full = asyncio.create_task(counters.wait_until_full())
    count(counters, make_call(uuid4()))
    await asyncio.sleep(0)
    assert not full.done()
    for _ in range(4):
        count(counters, make_call(uuid4()))
    await asyncio.wait_for(full, PATIENCE_SECONDS)
    assert astuple(counters.lost) == (2, 6, 10, 0, 0)
    assert len(counters.drain(1)) == 1
    assert len(counters.drain(MOST)) == 2
    count(counters, make_call())
    assert drained(counters) == {(USER, ADA): (1, 3, 5, 0, 0)}

"""The lane of a webhook: how much is sent at once, what is lost, and what a bad receiver holds up."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from dits.common.v1.job_pb2 import ResumeWebhooksPayload
from dits.repo.v1 import webhook_service_pb2 as pb

from services.repo.background.webhooks import resume_webhooks
from services.repo.webhooks import attempts
from services.repo.webhooks.addresses import AllowedNetworks
from services.repo.webhooks.attempts import (
    LEASE,
    begin_round,
    end_round,
    find_idle_webhooks,
)
from services.repo.webhooks.recording import PAUSE, Result
from services.repo.webhooks.sender import Answer
from shared.db.pool import Connection
from shared.runtime.config import Settings
from shared.runtime.metrics import REGISTRY
from shared.runtime.server_key import ServerKey
from tests.support import receivers
from tests.support.jobs import do_job
from tests.support.receivers import HttpReceiver, answer
from tests.support.webhooks import Lanes


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Every URL is taken; the suite itself sends nothing, because it works on no queue."""
    return settings.model_copy(update={"webhook_allow": ("127.0.0.1",), "worker": False})


def count_attempts(outcome: str) -> float:
    labels = {"outcome": outcome}
    return REGISTRY.get_sample_value("dits_webhook_attempts_total", labels) or 0.0


async def test_four_at_once_over_all_lanes(lanes: Lanes) -> None:
    async def take_time(request: receivers.Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        await answer()(request, writer)

    async with HttpReceiver(take_time) as receiver:
        webhook = await lanes.hooks.create(receiver.url)
        await lanes.ping(webhook, 30)
        waits = await asyncio.gather(*(lanes.send(webhook) for _ in range(4)))
        while waits != [None] * 4:
            waits = await asyncio.gather(*(lanes.send(webhook) for _ in range(4)))
        assert len(receiver.requests) == 30
        assert receiver.most_open <= 4
        deliveries = {request.headers["x-dits-delivery"] for request in receiver.requests}
        assert len(deliveries) == 30


async def test_a_receiver_without_an_answer_rests(lanes: Lanes) -> None:
    async with HttpReceiver(receivers.hang) as receiver:
        webhook = await lanes.hooks.create(receiver.url)
        ids = await lanes.ping(webhook, 10)
        wait = await lanes.send(webhook)
        assert wait is not None
        assert PAUSE - timedelta(seconds=2) < wait <= PAUSE
        # What comes now has the lane looked at again, and changes nothing.
        again = await lanes.send(webhook)
        assert again is not None
        assert wait - timedelta(seconds=2) < again <= wait
        assert len(receiver.requests) == 4
        receiver.behaviour = answer()
        await lanes.hooks.skip(PAUSE)
        before = count_attempts("succeeded")
        assert await lanes.send(webhook) is None
        assert len(receiver.requests) == 10
        assert count_attempts("succeeded") == before + 6
    states = [(await lanes.hooks.get_delivery(one)).state for one in ids]
    assert states.count(pb.DELIVERY_STATE_FAILED) == 4
    assert states.count(pb.DELIVERY_STATE_SUCCEEDED) == 6


@pytest.mark.parametrize(
    "behaviour", [receivers.drip, receivers.pour_head, receivers.close], ids=lambda b: b.__name__
)
async def test_bad_receivers_are_recorded_and_rest(
    lanes: Lanes, behaviour: receivers.Behaviour
) -> None:
    async with HttpReceiver(behaviour) as receiver:
        webhook = await lanes.hooks.create(receiver.url)
        [ping, *_] = await lanes.ping(webhook, 5)
        assert await lanes.send(webhook) == PAUSE
        assert len(receiver.requests) == 4
    shown = await lanes.hooks.get_delivery(ping)
    assert shown.state == pb.DELIVERY_STATE_FAILED
    assert shown.attempts[0].error


async def test_an_attempt_whose_process_died_is_repeated(lanes: Lanes) -> None:
    async with HttpReceiver() as receiver:
        webhook = await lanes.hooks.create(receiver.url, "branch.created")
        await lanes.hooks.happen()
        [delivery] = await lanes.hooks.wait_for_state(pb.DELIVERY_STATE_PENDING, 1, webhook.id)
        begun = await lanes.database.transaction(
            lambda connection: begin_round(connection, UUID(webhook.id), uuid.uuid4())
        )
        assert begun is not None
        wait = await lanes.send(webhook)
        assert wait is not None
        assert LEASE - timedelta(seconds=2) < wait <= LEASE
        assert not receiver.requests
        await _age_attempts(lanes, LEASE)
        wait = await lanes.send(webhook)
        assert wait is not None
        shown = await lanes.hooks.get_delivery(delivery.id)
        assert shown.attempts[0].error.startswith("The server stopped before it knew the answer")
        # The process was asleep, and has its answer now: nobody is told of it any more.
        late = [Result(begun.attempts[0].id, {}, Answer(None, 5, 200, is_complete=True))]
        await lanes.database.transaction(partial(record, webhook, late))
        await lanes.hooks.skip(timedelta(minutes=1))
        assert await lanes.send(webhook) is None
        shown = await lanes.hooks.get_delivery(delivery.id)
        assert [attempt.status for attempt in shown.attempts] == [0, 200]
        assert shown.state == pb.DELIVERY_STATE_SUCCEEDED
        assert len(receiver.requests) == 1


async def test_only_repeated_losses_let_a_receiver_rest(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "ROUND_ATTEMPTS", 4)
    async with HttpReceiver() as receiver:
        webhook = await lanes.hooks.create(receiver.url)
        await lanes.ping(webhook, 5)
        await _lose_round(lanes, webhook)
        # What waits goes out at once, and a success forgives.
        assert await lanes.send(webhook) is None
        assert len(receiver.requests) == 1
        await lanes.ping(webhook, 9)
        await _lose_round(lanes, webhook)
        await _lose_round(lanes, webhook)
        assert await lanes.send(webhook) == PAUSE
        assert len(receiver.requests) == 1


async def _lose_round(lanes: Lanes, webhook: pb.Webhook) -> None:
    """Begins attempts in a process that dies, which is seen after their lease."""
    begin = partial(begin_round, webhook_id=UUID(webhook.id), job_id=uuid.uuid4())
    claim = await lanes.database.transaction(begin)
    assert claim is not None
    assert len(claim.attempts) == 4
    await _age_attempts(lanes, LEASE)


async def record(webhook: pb.Webhook, results: list[Result], connection: Connection) -> None:
    await end_round(connection, UUID(webhook.id), uuid.uuid4(), "", results, (), goes_on=False)


async def _age_attempts(lanes: Lanes, age: timedelta) -> None:
    await lanes.hooks.api.fetch(
        "UPDATE webhook_deliveries SET started_at = started_at - $1::interval", age
    )


async def test_webhooks_without_a_job_are_found(lanes: Lanes) -> None:
    async def find() -> list[str]:
        async with lanes.database.connection() as connection:
            return [str(one) for one in await find_idle_webhooks(connection, 10)]

    webhook = await lanes.hooks.create("https://ci.example/")
    await lanes.ping(webhook)
    assert await find() == []
    await lanes.hooks.skip(timedelta(minutes=2))
    assert await find() == [webhook.id]
    await lanes.hooks.call("DeleteWebhook", webhook_id=webhook.id)
    assert await find() == []


async def test_what_the_operator_allows_no_longer(lanes: Lanes) -> None:
    async with HttpReceiver() as receiver:
        webhook = await lanes.hooks.create(receiver.url)
        [ping] = await lanes.ping(webhook)
        await lanes.send(webhook, lanes.make(allowed=AllowedNetworks()))
        assert receiver.connections == 0
    shown = await lanes.hooks.get_delivery(ping)
    assert shown.attempts[0].error == "url: must begin with https://."


async def test_a_server_with_another_key(lanes: Lanes) -> None:
    other = Lanes(lanes.hooks, lanes.database, ServerKey(bytes(32)))
    async with HttpReceiver() as receiver:
        webhook = await lanes.hooks.create(receiver.url)
        [ping] = await lanes.ping(webhook)
        await other.send(webhook)
        assert receiver.connections == 0
    shown = await lanes.hooks.get_delivery(ping)
    assert "another key" in shown.attempts[0].error


async def test_a_deleted_webhook_gets_nothing(lanes: Lanes) -> None:
    async with HttpReceiver() as receiver:
        webhook = await lanes.hooks.create(receiver.url)
        await lanes.ping(webhook)
        begun = await lanes.database.transaction(
            lambda connection: begin_round(connection, UUID(webhook.id), uuid.uuid4())
        )
        assert begun is not None
        await lanes.hooks.call("DeleteWebhook", webhook_id=webhook.id)
        # What was under way when it was deleted has an answer.
        failed = [Result(begun.attempts[0].id, {}, Answer("no", 5, 500, is_complete=True))]
        await lanes.database.transaction(partial(record, webhook, failed))
        assert await lanes.send(webhook) is None
        assert receiver.connections == 0


async def test_a_job_finds_them(lanes: Lanes) -> None:
    webhook = await lanes.hooks.create("https://ci.example/")
    await lanes.ping(webhook)
    await lanes.hooks.api.fetch("DELETE FROM jobs")
    await lanes.hooks.skip(timedelta(minutes=2))
    await do_job(lanes.database, ResumeWebhooksPayload(), resume_webhooks)
    query = "SELECT payload ->> 'webhook_id' FROM jobs WHERE job_type = 'deliver_webhook'"
    assert await lanes.hooks.api.value(query) == webhook.id

"""Deliveries that users ask for: how many of a webhook may wait."""

from __future__ import annotations

import asyncio

import pytest
from grpc import StatusCode

from shared.runtime.config import Settings
from tests.support.api import refused
from tests.support.webhooks import Lanes


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The suite itself sends nothing, because it works on no queue."""
    return settings.model_copy(update={"webhook_allow": ("127.0.0.1",), "worker": False})


@pytest.mark.parametrize("methods", [("Ping", "Redeliver"), ("Redeliver", "Ping")])
async def test_a_thousand_requests_wait_at_most(lanes: Lanes, methods: tuple[str, str]) -> None:
    hooks = lanes.hooks
    webhook, other = (
        await hooks.create("http://127.0.0.1/"),
        await hooks.create("http://127.0.0.1/"),
    )
    [delivery_id] = await lanes.ping(webhook)
    await lanes.database.fetch(
        """INSERT INTO webhook_deliveries (webhook_id, delivery_id, attempt, event, event_id, payload,
                                           requested_by)
           SELECT webhook_id, gen_random_uuid(), 1, event, event_id, payload,
                  CASE WHEN number <= 998 THEN requested_by END
           FROM webhook_deliveries, generate_series(1, 1998) number"""
    )
    requests = {"Ping": {"webhook_id": webhook.id}, "Redeliver": {"delivery_id": delivery_id}}
    calls = [hooks.call(method, **requests[method]) for method in methods]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(each, BaseException) for each in answers) == 1
    for method in methods:
        with refused(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED") as refusal:
            await hooks.call(method, **requests[method])
        assert refusal.metadata["limit"] == "1000"
    await lanes.ping(other)

"""Webhooks that are created at once, and events that meet changes of webhooks."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from dits.repo.v1 import webhook_service_pb2 as pb
from grpc import StatusCode

from shared.runtime.config import Settings
from tests.support.api import Api, read_error, refused
from tests.support.rivals import other_transaction
from tests.support.webhooks import Hooks


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Nothing is sent: the receivers do not exist."""
    return settings.model_copy(update={"worker": False})


async def test_of_many_webhooks_at_once_twenty_are_created(api: Api) -> None:
    for hooks in (await Hooks.of_repository(api), (await Hooks.of_organization(api))[0]):
        for _ in range(18):
            await hooks.create()
        results = await asyncio.gather(*(hooks.create() for _ in range(6)), return_exceptions=True)
        failed = [r for r in results if isinstance(r, grpc.aio.AioRpcError)]
        assert [read_error(error).reason for error in failed] == ["LIMIT_REACHED"] * 4
        assert len((await hooks.call("ListWebhooks")).webhooks) == 20


async def test_events_meet_the_end_of_a_webhook(api: Api) -> None:
    """Deleted or switched off meanwhile, a webhook stops no event on its way to the others."""
    hooks = await Hooks.of_repository(api)
    kept = await hooks.create("https://203.0.113.1.example/")
    for round_number in range(5):
        gone = await hooks.create("https://203.0.113.1.example/", active=True)
        ending = hooks.call("DeleteWebhook", webhook_id=gone.id)
        pair = (ending, hooks.happen()) if round_number % 2 else (hooks.happen(), ending)
        await asyncio.gather(*pair)
    await hooks.wait_for_count(10, kept.id)
    assert await api.value("SELECT count(*) FROM dead_events") == 0
    # One request takes effect once, with either of the others.
    one, two = await asyncio.gather(
        *(hooks.call("Ping", webhook_id=kept.id, request_id=kept.id) for _ in range(2))
    )
    assert one == two
    assert isinstance(one, pb.PingResponse)


@pytest.mark.parametrize("method", ["Ping", "Redeliver"])
async def test_a_webhook_is_deleted_while_somebody_asks_for_a_delivery(
    api: Api, method: str
) -> None:
    hooks = await Hooks.of_repository(api)
    webhook = await hooks.create()
    delivery = (await hooks.call("Ping", webhook_id=webhook.id)).delivery
    request = {"webhook_id": webhook.id} if method == "Ping" else {"delivery_id": delivery.id}
    deletion = f"DELETE FROM webhooks WHERE id = '{webhook.id}'"
    async with other_transaction(api, deletion, commits=True):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await hooks.call(method, **request)

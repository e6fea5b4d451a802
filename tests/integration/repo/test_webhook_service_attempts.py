"""Attempts that fail: repeated in their time, counted, given up; deliveries that grow old."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from dits.common.v1.event_pb2 import Event, EventType
from dits.repo.v1 import webhook_service_pb2 as pb
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask

from services.repo.webhooks.deliveries import PURGE
from shared.db.pool import Database
from shared.jobs.catalog import QUEUES
from shared.runtime.config import Settings
from tests.support import receivers
from tests.support.api import Api
from tests.support.receivers import HttpReceiver, Received, answer
from tests.support.webhooks import Hooks, is_genuine


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhook_allow": ("127.0.0.1",)})


OFF = FieldMask(paths=["active"])


def parse_event(request: Received) -> Event:
    return json_format.Parse(request.body, Event())


async def test_eight_attempts(api: Api) -> None:
    hooks = await Hooks.of_repository(api)
    async with HttpReceiver(answer(500, b"no")) as receiver:
        webhook = await hooks.create(receiver.url, "branch.created")
        await hooks.happen()
        await receiver.wait_for(1)
        [delivery] = await hooks.list_deliveries(webhook.id)
        minutes = [1, 5, 30, 120, 360, 720, 1440]
        for number, pause in enumerate(minutes, 1):
            shown = await hooks.wait_for_delivery(delivery.id, attempts=number)
            assert shown.state == pb.DELIVERY_STATE_PENDING
            row = await api.fetch(
                """SELECT n.scheduled_at - d.delivered_at AS pause
                   FROM webhook_deliveries d JOIN webhook_deliveries n USING (delivery_id)
                   WHERE d.attempt = $1 AND n.attempt = $1 + 1""",
                number,
            )
            assert abs(row[0]["pause"] - timedelta(minutes=pause)) < timedelta(seconds=1)
            await hooks.skip(timedelta(minutes=pause))
        shown = await hooks.wait_for_delivery(delivery.id, attempts=8)
        assert (shown.state, shown.attempt_count) == (pb.DELIVERY_STATE_FAILED, 8)
        assert not shown.HasField("next_attempt_time")
        requests = await receiver.wait_for(8)
    assert [request.headers["x-dits-attempt"] for request in requests] == list("12345678")
    assert len({request.body for request in requests}) == 1
    assert len({request.headers["x-dits-event-id"] for request in requests}) == 1
    assert all(is_genuine(request.headers, request.body) for request in requests)
    webhook = (await hooks.call("GetWebhook", webhook_id=webhook.id)).webhook
    assert webhook.HasField("failing_since")
    assert webhook.active


async def test_a_day_of_errors_loses_nothing(api: Api) -> None:
    hooks = await Hooks.of_repository(api)
    async with HttpReceiver(answer(500)) as receiver:
        webhook = await hooks.create(receiver.url)
        await hooks.happen(10)
        await hooks.wait_for_state(pb.DELIVERY_STATE_PENDING, 20, webhook.id)
        for number, minutes in enumerate([1, 5, 30, 120, 360, 720], 1):
            await receiver.wait_for(20 * number)
            await hooks.wait_until_recorded(20 * number)
            await hooks.skip(timedelta(minutes=minutes))
        await receiver.wait_for(140)
        await hooks.wait_until_recorded(140)
        receiver.behaviour = answer()
        await hooks.skip(timedelta(days=1))
        delivered = await hooks.wait_for_state(pb.DELIVERY_STATE_SUCCEEDED, 20, webhook.id)
    assert len(receiver.requests) == 160
    assert {request.headers["x-dits-event-id"] for request in receiver.requests} == {
        delivery.event_id for delivery in delivered
    }
    assert receiver.most_open <= 4
    found = (await hooks.call("GetWebhook", webhook_id=webhook.id)).webhook
    assert not found.HasField("failing_since")


async def test_receivers_of_one_owner_take_no_lanes_of_others(api: Api) -> None:
    ada = await api.account()
    many = [await Hooks.of_repository(api, ada) for _ in range(4)]
    stranger = await Hooks.of_repository(api)
    async with HttpReceiver(receivers.hang) as hanging, HttpReceiver() as other:
        await asyncio.gather(*(hooks.create(hanging.url) for hooks in many for _ in range(20)))
        await stranger.create(other.url)
        await asyncio.gather(*(hooks.happen() for hooks in many))
        await hanging.wait_for(32)
        await stranger.happen()
        await other.wait_for(1)
        lanes = await api.value(
            """SELECT count(DISTINCT d.webhook_id)
               FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id
               WHERE w.created_by = $1 AND d.state = 'pending' AND d.started_at IS NOT NULL""",
            ada.id,
        )
    assert lanes <= QUEUES["webhooks"].slots / 2


async def test_a_webhook_that_only_fails_is_switched_off(api: Api) -> None:
    hooks = await Hooks.of_repository(api)
    async with HttpReceiver(answer(503)) as receiver, HttpReceiver() as other:
        webhook = await hooks.create(receiver.url, "branch.*")
        await hooks.create(other.url, "webhook.*")
        await hooks.happen(9)
        await receiver.wait_for(18)
        await hooks.wait_until_recorded(18)
        await hooks.skip(timedelta(days=3, seconds=1))
        # Those that follow would be the 19th and so on: the 20th switches it off.
        await receiver.wait_for(20)
        [told] = await other.wait_for(1)
        event = parse_event(told)
        assert event.type == EventType.EVENT_TYPE_WEBHOOK_DISABLED
        assert (event.webhook.webhook_id, event.webhook.host) == (webhook.id, "127.0.0.1")
        assert event.webhook.creator_id == str(hooks.who.id)
        assert event.webhook.HasField("failing_since")
        await hooks.wait_for_state(pb.DELIVERY_STATE_FAILED, 18, webhook.id)
        found = (await hooks.call("GetWebhook", webhook_id=webhook.id)).webhook
        assert not found.active
        assert found.HasField("disable_time")
        [row] = await api.fetch("SELECT * FROM audit_log WHERE action = 'webhook.disabled'")
        assert (row["actor_type"], row["actor_id"], row["resource_name"]) == (
            "system",
            None,
            "127.0.0.1",
        )
        assert (row["resource_id"], str(row["repo_id"])) == (webhook.id, hooks.names["repository"])
        sent = len(receiver.requests)
        await hooks.happen()
        fields = {"active": True, "webhook_id": webhook.id, "update_mask": OFF}
        found = (await hooks.call("UpdateWebhook", **fields)).webhook
        assert found.active
        assert not found.HasField("disable_time")
        assert not found.HasField("failing_since")
        receiver.behaviour = answer()
        await hooks.happen()
        await hooks.wait_for_state(pb.DELIVERY_STATE_SUCCEEDED, 2, webhook.id)
        assert len(receiver.requests) in (sent + 2, sent + 4)


async def test_switching_off_ends_what_waits(api: Api) -> None:
    hooks = await Hooks.of_repository(api)
    async with HttpReceiver(answer(500)) as receiver:
        webhook = await hooks.create(receiver.url, "branch.created")
        await hooks.happen()
        await receiver.wait_for(1)
        [delivery] = await hooks.list_deliveries(webhook.id)
        await hooks.wait_for_delivery(delivery.id)
        fields = {"active": False, "webhook_id": webhook.id, "update_mask": OFF}
        await hooks.call("UpdateWebhook", **fields)
        shown = await hooks.wait_for_delivery(delivery.id, 2, pb.DELIVERY_STATE_FAILED)
    assert shown.attempts[1].error == "The webhook is switched off."
    assert (shown.attempt_count, shown.last_status, len(receiver.requests)) == (1, 500, 1)


async def test_deliveries_are_purged_as_a_whole(api: Api, dsn: str) -> None:
    hooks = await Hooks.of_repository(api)
    async with HttpReceiver(answer(500)) as receiver:
        webhook = await hooks.create(receiver.url)
        await hooks.happen(2)
        await receiver.wait_for(4)
        deliveries = await hooks.list_deliveries(webhook.id)
        for delivery in deliveries:
            await hooks.wait_for_delivery(delivery.id)
    gone, pending, young, kept = (delivery.id for delivery in deliveries)
    age = """UPDATE webhook_deliveries SET created_at = now() - interval '31 days'
             WHERE delivery_id = $1::uuid"""
    for delivery_id in (gone, pending):
        await api.fetch(age, delivery_id)
    await api.fetch(f"{age} AND attempt = 1", young)
    await api.fetch(
        "DELETE FROM webhook_deliveries WHERE delivery_id = $1::uuid AND attempt = 2", gone
    )
    database = await Database.connect(dsn, service="test", size=1)
    try:
        assert [count async for count in PURGE.delete_batches(database)] == [1]
        left = {delivery.id for delivery in await hooks.list_deliveries(webhook.id)}
        assert left == {pending, young, kept}
        await hooks.call("DeleteWebhook", webhook_id=webhook.id)
        await api.fetch("UPDATE webhooks SET deleted_at = now() - interval '2 hours'")
        assert [count async for count in PURGE.delete_batches(database)] == [6]
        assert [count async for count in PURGE.delete_batches(database)] == [0]
    finally:
        await database.close()
    assert await api.value("SELECT count(*) FROM webhooks") == 0

"""Webhooks: created, changed, deleted, each with its rights and limits."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from dits.repo.v1 import webhook_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.webhooks import DISTANT, SECRET, Hooks


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Nothing is sent: the receivers do not exist."""
    return settings.model_copy(update={"worker": False})


async def test_a_webhook_and_its_secret(api: Api) -> None:
    hooks = await Hooks.of_repository(api)
    request = {
        "request_id": str(uuid.uuid4()),
        "url": "https://ci.example:8443/a?b=c",
        "events": ["push", "lock.*", "push"],
    }
    made = await hooks.call("CreateWebhook", **request)
    assert await hooks.call("CreateWebhook", **request) == made
    assert made.secret.startswith("dits_whs_")
    assert len(made.secret) > 40
    webhook = made.webhook
    assert (webhook.url, list(webhook.events)) == (request["url"], ["lock.*", "push"])
    assert (webhook.repository_id, webhook.organization_id) == (hooks.names["repository"], "")
    assert (webhook.active, webhook.creator_id) == (True, str(hooks.who.id))
    other = await hooks.create("https://cd.example/", "*", active=False)
    assert not other.active
    assert list((await hooks.call("ListWebhooks")).webhooks) == [webhook, other]
    assert (await hooks.call("GetWebhook", webhook_id=other.id)).webhook == other
    stored = await api.fetch("SELECT secret_encrypted FROM webhooks")
    assert not any(SECRET.encode() in row[0] or made.secret.encode() in row[0] for row in stored)
    with refused(StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED"):
        await hooks.call("CreateWebhook", **{**request, "events": ["push"]})


async def test_changes_of_a_webhook(api: Api) -> None:
    hooks = await Hooks.of_repository(api)
    webhook = await hooks.create()
    for change in (
        {"url": "https://cd.example/"},
        {"events": ["push"]},
        {"active": False},
        {"active": True, "url": DISTANT, "events": ["*"]},
    ):
        mask = FieldMask(paths=change)
        changed = await hooks.call(
            "UpdateWebhook", webhook_id=webhook.id, update_mask=mask, **change
        )
        for name, value in change.items():
            setattr_ = getattr(changed.webhook, name)
            assert (list(setattr_) if name == "events" else setattr_) == value
        assert changed.webhook.update_time.ToNanoseconds() > webhook.update_time.ToNanoseconds()
        webhook = changed.webhook
    await hooks.call("DeleteWebhook", webhook_id=webhook.id)
    assert await api.value("SELECT octet_length(secret_encrypted) FROM webhooks") == 0
    for method, fields in (
        ("GetWebhook", {}),
        ("DeleteWebhook", {}),
        ("UpdateWebhook", {"update_mask": FieldMask(paths=["active"])}),
        ("Ping", {}),
        ("RotateSecret", {}),
        ("ListDeliveries", {}),
    ):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await hooks.call(method, webhook_id=webhook.id, **fields)


async def test_changes_are_in_the_audit_log(api: Api) -> None:
    hooks = await Hooks.of_repository(api)
    webhook = await hooks.create()
    changes = {"url": "https://cd.example/", "update_mask": FieldMask(paths=["url"])}
    await hooks.call("UpdateWebhook", webhook_id=webhook.id, **changes)
    await hooks.call("RotateSecret", webhook_id=webhook.id)
    await hooks.call("DeleteWebhook", webhook_id=webhook.id)
    rows = await api.fetch(
        """SELECT action, resource_name, details FROM audit_log WHERE resource_type = 'webhook'
           ORDER BY timestamp"""
    )
    assert [row["action"] for row in rows] == [
        "webhook.created",
        "webhook.updated",
        "webhook.secret_rotated",
        "webhook.deleted",
    ]
    assert {row["resource_name"] for row in rows} == {"ci.example", "cd.example"}
    assert json.loads(rows[0]["details"]) == {"active": True, "events": ["*"]}


async def test_two_secrets_for_a_time(api: Api) -> None:
    hooks = await Hooks.of_repository(api)
    webhook = await hooks.create()
    rotated = await hooks.call("RotateSecret", webhook_id=webhook.id)
    assert rotated.secret.startswith("dits_whs_")
    until = rotated.webhook.previous_secret_expire_time.ToDatetime()
    made = rotated.webhook.update_time.ToDatetime()
    assert abs(until - made - timedelta(days=1)) < timedelta(seconds=1)
    await api.fetch("UPDATE webhooks SET previous_secret_until = now()")
    found = (await hooks.call("GetWebhook", webhook_id=webhook.id)).webhook
    assert not found.HasField("previous_secret_expire_time")
    rotated = await hooks.call(
        "RotateSecret", webhook_id=webhook.id, secret="x" * 255, overlap=Duration()
    )
    assert rotated.secret == "x" * 255
    assert not rotated.webhook.HasField("previous_secret_expire_time")


MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({"url": ""}, "url"),
    ({"url": "http://ci.example/"}, "url"),
    ({"url": "https://127.0.0.1/"}, "url"),
    ({"url": "https://[::ffff:10.0.0.1]/"}, "url"),
    ({"url": "https://0x7f000001/"}, "url"),
    ({"url": "https://017700000001/"}, "url"),
    ({"url": "https://2130706433/"}, "url"),
    ({"url": "https://169.254.169.254/"}, "url"),
    ({"url": "https://localhost/"}, "url"),
    ({"url": "https://ada:pw@ci.example/"}, "url"),
    ({"url": "https://ci.example:25/"}, "url"),
    ({"url": "https://ci.example/#a"}, "url"),
    ({"events": []}, "events"),
    ({"events": ["pushed"]}, "events"),
    ({"events": ["lock"]}, "events"),
    ({"secret": "short"}, "secret"),
    ({"secret": "x" * 256}, "secret"),
    ({"secret": "with spaces in between"}, "secret"),
    ({"request_id": "1"}, "request_id"),
    ({"organization": "pixar"}, "organization"),
]


async def test_what_is_malformed(api: Api) -> None:
    hooks = await Hooks.of_repository(api)
    for fields, field in MALFORMED:
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            await hooks.call("CreateWebhook", **{"url": DISTANT, "events": ["*"], **fields})
        assert refusal.message.startswith(f"{field}: "), fields


async def test_other_malformed_requests(api: Api) -> None:
    hooks = await Hooks.of_repository(api)
    webhook = (await hooks.create()).id
    for method, fields in (
        ("GetWebhook", {"webhook_id": "1"}),
        ("GetDelivery", {"delivery_id": ""}),
        ("Redeliver", {"delivery_id": "x"}),
        ("UpdateWebhook", {"webhook_id": webhook}),
        ("UpdateWebhook", {"webhook_id": webhook, "update_mask": FieldMask(paths=["secret"])}),
        ("UpdateWebhook", {"webhook_id": webhook, "update_mask": FieldMask(paths=["url"])}),
        ("UpdateWebhook", {"webhook_id": webhook, "update_mask": FieldMask(paths=["events"])}),
        ("RotateSecret", {"webhook_id": webhook, "overlap": Duration(seconds=-1)}),
        ("RotateSecret", {"webhook_id": webhook, "overlap": Duration(seconds=7 * 86400 + 1)}),
        ("RotateSecret", {"webhook_id": webhook, "overlap": Duration(seconds=1 << 62)}),
        ("ListDeliveries", {"webhook_id": webhook, "page_size": -1}),
    ):
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await hooks.call(method, **fields)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await api.webhooks.ListWebhooks(pb.ListWebhooksRequest(), metadata=hooks.who.auth)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"):
        await hooks.create(DISTANT, *["push"] * 51)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"):
        await hooks.call("ListDeliveries", webhook_id=webhook, page_token="x")


async def test_there_are_at_most_twenty(api: Api) -> None:
    hooks = await Hooks.of_repository(api)
    made = [await hooks.create(active=number % 2 == 0) for number in range(20)]
    with refused(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED") as refusal:
        await hooks.create()
    assert refusal.metadata == {"kind": "webhooks", "limit": "20"}
    await (await Hooks.of_repository(api, hooks.who)).create()
    await hooks.call("DeleteWebhook", webhook_id=made[3].id)
    await hooks.create()

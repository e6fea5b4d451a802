"""Who may manage the webhooks of a repository or an organisation."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from dits.repo.v1 import webhook_service_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from shared.runtime.config import Settings
from tests.support.api import Api, refused
from tests.support.webhooks import DISTANT, Hooks


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Nothing is sent: the receivers do not exist."""
    return settings.model_copy(update={"worker": False})


async def test_who_may_manage(api: Api) -> None:
    hooks = await Hooks.of_repository(api)
    webhook = (await hooks.create()).id
    repository = (await api.fetch("SELECT id FROM repositories"))[0]
    writer, stranger = await api.account(), await api.account()
    await api.fetch(
        """INSERT INTO repository_collaborators (repo_id, user_id, permission)
           VALUES ($1, $2, 'write')""",
        repository["id"],
        writer.id,
    )
    calls: list[tuple[str, dict[str, Any]]] = [
        ("CreateWebhook", {"url": DISTANT, "events": ["*"]}),
        ("GetWebhook", {"webhook_id": webhook}),
        ("ListWebhooks", {}),
        ("UpdateWebhook", {"webhook_id": webhook, "update_mask": FieldMask(paths=["active"])}),
        ("DeleteWebhook", {"webhook_id": webhook}),
        ("Ping", {"webhook_id": webhook}),
        ("RotateSecret", {"webhook_id": webhook}),
        ("ListDeliveries", {"webhook_id": webhook}),
        ("GetDelivery", {"delivery_id": webhook}),
        ("Redeliver", {"delivery_id": webhook}),
    ]
    reading = {"GetWebhook", "ListWebhooks", "ListDeliveries", "GetDelivery"}
    unscoped = await api.api_token(hooks.who, "repo:admin")
    reader = await api.api_token(hooks.who, "webhook:read", "repo:admin")
    for method, fields in calls:
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await hooks.call_as(stranger, method, **fields)
        with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING") as refusal:
            await hooks.call_as(writer, method, **fields)
        assert refusal.metadata == {"required": "ADMIN", "held": "WRITE"}
        with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
            await hooks.call_as(unscoped, method, **fields)
        if method not in reading:
            with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING") as refusal:
                await hooks.call_as(reader, method, **fields)
            assert refusal.metadata == {"required": "webhook:write"}
    assert (await hooks.call_as(reader, "GetWebhook", webhook_id=webhook)).webhook.id == webhook


async def test_an_id_of_elsewhere_is_not_found(api: Api) -> None:
    hooks, other = await Hooks.of_repository(api), await Hooks.of_repository(api)
    organization, _ = await Hooks.of_organization(api)
    webhook = (await hooks.create()).id
    delivery = (await hooks.call("Ping", webhook_id=webhook)).delivery.id
    for elsewhere in (other, organization):
        for method in ("GetWebhook", "DeleteWebhook", "Ping", "RotateSecret", "ListDeliveries"):
            with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
                await elsewhere.call(method, webhook_id=webhook)
        for method in ("GetDelivery", "Redeliver"):
            with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
                await elsewhere.call(method, delivery_id=delivery)


async def test_webhooks_of_an_organisation(api: Api) -> None:
    hooks, repository = await Hooks.of_organization(api)
    webhook = await hooks.create()
    assert webhook.organization_id
    assert webhook.repository_id == ""
    assert list((await hooks.call("ListWebhooks")).webhooks) == [webhook]
    # They are not those of its repositories.
    own = Hooks(api, hooks.who, {"repository": repository})
    assert not (await own.call("ListWebhooks")).webhooks
    token = await api.api_token(hooks.who, "webhook:write", "org:read")
    assert (await hooks.call_as(token, "GetWebhook", webhook_id=webhook.id)).webhook == webhook
    with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING") as refusal:
        await hooks.call_as(token, "DeleteWebhook", webhook_id=webhook.id)
    assert refusal.metadata == {"required": "org:write"}
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await hooks.call_as(await api.account(), "ListWebhooks")
    limited = await api.api_token(
        hooks.who, "webhook:read", "org:read", repositories=[UUID(repository)]
    )
    with refused(StatusCode.PERMISSION_DENIED, "TOKEN_LIMITED"):
        await hooks.call_as(limited, "ListWebhooks")
    for name in ("nobody-here", hooks.who.username):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await Hooks(api, hooks.who, {"organization": name}).call("ListWebhooks")
    with refused(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"):
        await api.webhooks.ListWebhooks(pb.ListWebhooksRequest(**hooks.names))
    member, _ = await Hooks.of_organization(api, role="member")
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING") as refusal:
        await member.call("ListWebhooks")
    assert refusal.metadata == {"required": "ADMIN", "held": "READ"}
    await api.fetch("UPDATE namespaces SET cell = 1 WHERE owner_type = 'organization'")
    with refused(StatusCode.FAILED_PRECONDITION, "WRONG_CELL"):
        await hooks.call("ListWebhooks")

"""That a webhook was switched off is told to those who can switch it on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from dits.auth.v1 import notification_service_pb2 as pb

from services.repo.webhooks import recording
from tests.support.api import Account, Api
from tests.support.notifications import BEGUN, list_inbox, list_told, until
from tests.support.webhooks import Hooks


async def disable(api: Api, webhook_id: str) -> None:
    """Switches a webhook off as its worker does."""
    await api.fetch(
        """UPDATE webhooks SET failure_count = 100, failing_since = now() - interval '9 days'
           WHERE id = $1::uuid""",
        webhook_id,
    )
    await api.fetch(recording.Q.disable_failing, webhook_id, 10, timedelta(days=5), "ci.example")


@pytest.fixture
async def others(api: Api) -> list[Account]:
    await until(api, BEGUN)
    return [await api.account() for _ in range(3)]


async def test_administrators_of_the_repository_are_told(api: Api, others: list[Account]) -> None:
    hooks = await Hooks.of_repository(api)
    admin, writer, _ = others
    repository = hooks.names["repository"]
    for user, permission in ((admin, "admin"), (writer, "write")):
        await api.fetch(
            """INSERT INTO repository_collaborators (repo_id, user_id, permission)
               VALUES ($1::uuid, $2, $3)""",
            repository,
            user.id,
            permission,
        )
    webhook = await hooks.create()
    await disable(api, webhook.id)
    for user in (hooks.who, admin):
        [told] = await list_inbox(api, user)
        assert told.type == pb.NOTIFICATION_TYPE_WEBHOOK_DISABLED
        assert told.title.startswith(f"A webhook of {hooks.who.username}/")
        assert told.message.startswith("All deliveries to ci.example have failed since ")
        assert told.message.endswith(f"dits webhook update {webhook.id} --on")
        assert told.link.endswith("/settings/webhooks")
        assert told.repository_id == repository
    assert await list_told(api, writer) == []


async def test_administrators_of_the_organisation_are_told(api: Api, others: list[Account]) -> None:
    hooks, _ = await Hooks.of_organization(api)
    for user, role in zip(others, ("admin", "member", "billing"), strict=True):
        await api.fetch(
            """INSERT INTO organization_members (org_id, user_id, role)
               SELECT id, $1, $2 FROM organizations""",
            user.id,
            role,
        )
    await disable(api, (await hooks.create()).id)
    expected = [
        ("webhook.disabled", f"A webhook of {hooks.names['organization']} was switched off")
    ]
    assert await list_told(api, hooks.who) == await list_told(api, others[0]) == expected
    assert await list_told(api, others[1]) == await list_told(api, others[2]) == []

"""Answers of the access check that other services keep: what makes them forget."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from dits.auth.v1 import organization_service_pb2 as opb
from dits.repo.v1.repository_service_pb2 import (
    DeleteRepositoryRequest,
    GetRepositoryRequest,
    Repository,
)
from google.rpc.error_details_pb2 import ResourceInfo, RetryInfo
from grpc import StatusCode

from shared.rpc.access import CHANNEL
from shared.rpc.call import Access
from tests.support.api import Api, refused
from tests.support.organizations import Studio
from tests.support.tokens import make_repository, read_repository, set_policy
from tests.support.trees import build, commit, push_commit, upload
from tests.support.waiting import PATIENCE_SECONDS


@pytest.mark.parametrize("rule", ["policy", "decision", "second factor"])
async def test_new_rules_of_an_organization_reach_kept_answers(
    api: Api, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    """Without waiting until they are old: here they never are."""
    monkeypatch.setattr(Access, "age", lambda _: 0.0)
    studio = await Studio.open(api, "member")
    repository = await make_repository(studio)
    token, member = await studio.make_token(), studio.people["member"]
    owner = studio.people["owner"]
    await read_repository(api, repository, token)
    await read_repository(api, repository, member)
    reason = "TOKEN_REFUSED"
    if rule == "policy":
        await set_policy(studio, needs_approval=True)
    elif rule == "decision":
        await studio.reject(owner, token)
    else:
        await api.fetch("UPDATE users SET mfa_enabled = TRUE WHERE id = $1", owner.id)
        settings = opb.OrganizationSettings(require_mfa=True)
        await studio.update(owner, "settings.require_mfa", settings=settings)
        reason, token = "MFA_REQUIRED", member
    async with asyncio.timeout(PATIENCE_SECONDS):
        with refused(StatusCode.PERMISSION_DENIED, reason):
            while True:
                await read_repository(api, repository, token)


@contextmanager
def _lost_hints(api: Api) -> Iterator[None]:
    """Notifications of changed rights reach nobody."""
    receivers = api.suite._runtime.listener._receivers
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(receivers, CHANNEL, [])
        yield


async def test_a_name_that_has_gone_to_another_repository_leads_there(api: Api) -> None:
    ada = await api.account()
    films = await api.repository(ada, "films")
    get = GetRepositoryRequest(repository=f"{ada.username}/films")
    with _lost_hints(api):
        await api.repositories.GetRepository(get, metadata=ada.auth)
        delete = DeleteRepositoryRequest(repository=films.id)
        await api.repositories.DeleteRepository(delete, metadata=ada.auth)
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND") as refusal:
            await api.repositories.GetRepository(get, metadata=ada.auth)
        assert refusal.detail(ResourceInfo).resource_name == get.repository
        other = await api.repository(ada, "films")
        found = await api.repositories.GetRepository(get, metadata=ada.auth)
        assert found.repository.id == other.id


async def test_a_push_to_a_name_that_has_gone_to_another_repository_is_to_be_repeated(
    api: Api,
) -> None:
    ada = await api.account()
    films = await api.repository(ada, "films")
    named = Repository(id=f"{ada.username}/films")
    tree = build({"a": b"1"})
    made = commit(tree)
    with _lost_hints(api):
        get = GetRepositoryRequest(repository=named.id)
        await api.repositories.GetRepository(get, metadata=ada.auth)
        delete = DeleteRepositoryRequest(repository=films.id)
        await api.repositories.DeleteRepository(delete, metadata=ada.auth)
        other = await api.repository(ada, "films")
        await upload(api, ada, other, tree.chunks)
        with refused(StatusCode.ABORTED, "CONTENTION") as refusal:
            await push_commit(api, ada, named, made, tree)
        assert refusal.detail(RetryInfo).HasField("retry_delay")
        await push_commit(api, ada, named, made, tree)

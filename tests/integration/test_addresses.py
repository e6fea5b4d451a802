"""How requests name owners and repositories: by UUID or name, in every field alike."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest
from dits.auth.v1 import audit_service_pb2 as audit_pb
from dits.auth.v1 import token_service_pb2 as token_pb
from dits.chunk.v1 import chunk_service_pb2 as chunk_pb
from dits.repo.v1 import commit_service_pb2 as commit_pb
from dits.repo.v1 import event_service_pb2 as event_pb
from dits.repo.v1 import merge_pb2
from dits.repo.v1 import repository_service_pb2 as repo_pb
from dits.repo.v1 import transfer_service_pb2 as transfer_pb
from dits.repo.v1 import usage_service_pb2 as usage_pb
from dits.repo.v1 import webhook_service_pb2 as webhook_pb
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.organizations import Studio


def calls_about(api: Api, studio: Studio, owner: str) -> dict[str, Awaitable[Any]]:
    """A call for each field that names an organisation or owner outside of its own services.

    The organisation has a repository `film`.
    """
    metadata = studio.people["owner"].auth
    scope = audit_pb.AuditFilter(organization=owner)
    transfer = transfer_pb.RequestTransferRequest(repository=f"{studio.name}/film", new_owner=owner)
    create = repo_pb.CreateRepositoryRequest(owner=owner, name="second")
    return {
        "CreateRepository": api.repositories.CreateRepository(create, metadata=metadata),
        "ListRepositories": api.repositories.ListRepositories(
            repo_pb.ListRepositoriesRequest(owner=owner), metadata=metadata
        ),
        "ListDeletedRepositories": api.repositories.ListDeletedRepositories(
            repo_pb.ListDeletedRepositoriesRequest(owner=owner), metadata=metadata
        ),
        "ListTransfers": api.transfers.ListTransfers(
            transfer_pb.ListTransfersRequest(owner=owner), metadata=metadata
        ),
        "RequestTransfer": api.transfers.RequestTransfer(transfer, metadata=metadata),
        "Watch": api.events.Watch(event_pb.WatchRequest(owner=owner), metadata=metadata).read(),
        "ListWebhooks": api.webhooks.ListWebhooks(
            webhook_pb.ListWebhooksRequest(organization=owner), metadata=metadata
        ),
        "GetUsage": api.usage.GetUsage(
            usage_pb.GetUsageRequest(organization=owner), metadata=metadata
        ),
        "ListBillingSnapshots": api.usage.ListBillingSnapshots(
            usage_pb.ListBillingSnapshotsRequest(organization=owner), metadata=metadata
        ),
        "ListAuditEvents": api.audit.ListAuditEvents(
            audit_pb.ListAuditEventsRequest(filter=scope), metadata=metadata
        ),
    }


async def open_studio(api: Api) -> tuple[Studio, str]:
    """Opens an organisation with a repository `film`; returns the repository's id, too."""
    studio = await Studio.open(api)
    request = repo_pb.CreateRepositoryRequest(owner=studio.name, name="film")
    made = await api.repositories.CreateRepository(request, metadata=studio.people["owner"].auth)
    return studio, made.repository.id


async def test_owners_are_named_by_uuid_or_name(api: Api) -> None:
    for key in ("id", "name"):
        studio, _ = await open_studio(api)
        for call in calls_about(api, studio, getattr(studio, key)).values():
            await call


async def test_the_uuid_of_a_repository_names_no_owner(api: Api) -> None:
    studio, film = await open_studio(api)
    for call in calls_about(api, studio, film).values():
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await call


@pytest.mark.parametrize("address", ["a/b/c", "a\0b/c", "film"])
async def test_what_is_no_address_is_told_under_its_field(api: Api, address: str) -> None:
    ada = await api.account()
    film = await api.repository(ada)
    header = commit_pb.PushRequest(header=commit_pb.PushHeader(repository=address))
    calls: dict[str, Awaitable[Any]] = {
        "header.repository": api.commits.Push(iter([header]), metadata=ada.auth),
        "source_repository": api.chunks.CopyChunks(
            chunk_pb.CopyChunksRequest(
                repository=film.id, source_repository=address, hashes=bytes(32)
            ),
            metadata=ada.auth,
        ),
        "repositories": api.tokens.CreateToken(
            token_pb.CreateTokenRequest(name="a", scopes=["repo:read"], repositories=[address]),
            metadata=ada.auth,
        ),
        "repository": api.repositories.GetRepository(
            repo_pb.GetRepositoryRequest(repository=address), metadata=ada.auth
        ),
    }
    for field, call in calls.items():
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            await call
        assert refusal.detail(BadRequest).field_violations[0].field == field


async def test_a_trial_looks_at_the_request_id(api: Api) -> None:
    ada = await api.account()
    film = await api.repository(ada)
    request = merge_pb2.MergeBranchesRequest(
        repository=film.id, request_id="no uuid", validate_only=True
    )
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
        await api.refs.MergeBranches(request, metadata=ada.auth)
    assert refusal.detail(BadRequest).field_violations[0].field == "request_id"

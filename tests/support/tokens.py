"""API tokens that tests create by the RPC."""

from __future__ import annotations

from typing import Any

from dits.auth.v1 import organization_service_pb2 as opb
from dits.auth.v1.token_service_pb2 import CreateTokenRequest, CreateTokenResponse
from dits.repo.v1.repository_service_pb2 import (
    CreateRepositoryRequest,
    GetRepositoryRequest,
    Repository,
    Visibility,
)
from google.protobuf.field_mask_pb2 import FieldMask

from tests.support.api import Account, Api
from tests.support.organizations import Studio

PRIVATE, PUBLIC = Visibility.VISIBILITY_PRIVATE, Visibility.VISIBILITY_PUBLIC


async def mint(api: Api, parent: Account, **fields: Any) -> CreateTokenResponse:
    """Creates a token that can create tokens, with the credential `parent`."""
    request = CreateTokenRequest(name="x", scopes=["user:write"], **fields)
    response: CreateTokenResponse = await api.tokens.CreateToken(request, metadata=parent.auth)
    return response


def holder(owner: Account, made: CreateTokenResponse) -> Account:
    """Returns the account with a token that it made."""
    return Account(owner.id, owner.username, made.secret)


async def set_policy(studio: Studio, who: Account | None = None, **rules: Any) -> opb.TokenPolicy:
    """Sets the rules of an organisation, by default as its owner; returns what they are then."""
    request = opb.UpdateOrganizationRequest(
        organization=studio.id,
        values=opb.Organization(
            settings=opb.OrganizationSettings(token_policy=opb.TokenPolicy(**rules))
        ),
        update_mask=FieldMask(paths=["settings.token_policy"]),
    )
    response = await studio.api.organizations.UpdateOrganization(
        request, metadata=(who or studio.people["owner"]).auth
    )
    policy: opb.TokenPolicy = response.organization.settings.token_policy
    return policy


async def make_repository(
    studio: Studio, name: str = "film", visibility: Visibility.ValueType = PRIVATE
) -> Repository:
    """Creates a repository of the organisation."""
    request = CreateRepositoryRequest(owner=studio.name, name=name, visibility=visibility)
    owner = studio.people["owner"]
    made = await studio.api.repositories.CreateRepository(request, metadata=owner.auth)
    created: Repository = made.repository
    return created


async def read_repository(api: Api, repository: Repository, who: Account) -> None:
    """Reads a repository at the repo service."""
    request = GetRepositoryRequest(repository=repository.id)
    await api.repositories.GetRepository(request, metadata=who.auth)

"""Organisations that require a second factor of those who use rights there."""

from __future__ import annotations

import pytest
from dits.auth.v1 import organization_service_pb2 as pb
from dits.auth.v1.access_service_pb2 import (
    AccessCheck,
    BatchCheckAccessRequest,
    ListAccessibleRepositoriesRequest,
)
from dits.auth.v1.audit_service_pb2 import AuditFilter, ListAuditEventsRequest
from dits.auth.v1.mfa_service_pb2 import DisableTotpRequest
from dits.common.v1.permission_pb2 import PERMISSION_READ
from dits.lock.v1.lock_service_pb2 import ListLocksRequest
from dits.repo.v1.repository_service_pb2 import (
    VISIBILITY_PRIVATE,
    VISIBILITY_PUBLIC,
    CreateRepositoryRequest,
    GetRepositoryRequest,
    Repository,
    UpdateRepositoryRequest,
    Visibility,
)
from dits.repo.v1.usage_service_pb2 import GetUsageRequest
from grpc import StatusCode

from tests.support.api import Account, Api, refused
from tests.support.mfa import Guarded, enroll, give_password
from tests.support.organizations import Studio

REQUIRED = pb.OrganizationSettings(require_mfa=True)


@pytest.fixture
async def studio(api: Api) -> Studio:
    """An organisation that requires a second factor; of its people, only the owner has one."""
    studio = await Studio.open(api, "admin", "member", "billing")
    await _guard(api, studio.people["owner"])
    await studio.update(studio.people["owner"], "settings.require_mfa", settings=REQUIRED)
    return studio


async def _guard(api: Api, account: Account) -> None:
    await give_password(api, account)
    await Guarded(api, account, await enroll(api, account), []).confirm()


async def _repository(
    studio: Studio, visibility: Visibility.ValueType = VISIBILITY_PRIVATE
) -> Repository:
    request = CreateRepositoryRequest(
        owner=studio.name, name=f"film{visibility}", visibility=visibility
    )
    owner = studio.people["owner"]
    made = await studio.api.repositories.CreateRepository(request, metadata=owner.auth)
    created: Repository = made.repository
    return created


async def test_who_has_none_has_no_right_and_is_told_so(api: Api, studio: Studio) -> None:
    film = await _repository(studio)
    read = GetRepositoryRequest(repository=film.id)
    outsider = await api.account()
    await api.grant(film, outsider, "write")
    stranger = await api.account()
    for who in (studio.people["admin"], studio.people["member"], outsider):
        with refused(StatusCode.PERMISSION_DENIED, "MFA_REQUIRED") as refusal:
            await api.repositories.GetRepository(read, metadata=who.auth)
        assert refusal.metadata["organization"] == studio.name
        with refused(StatusCode.PERMISSION_DENIED, "MFA_REQUIRED"):
            await api.locks.ListLocks(ListLocksRequest(repository=film.id), metadata=who.auth)
        check = AccessCheck(repository=film.id, permission=PERMISSION_READ)
        asked = BatchCheckAccessRequest(checks=[check])
        [answer] = (await api.access.BatchCheckAccess(asked, metadata=who.auth)).answers
        assert (answer.allowed, answer.repository_id) == (False, "")
        listing = ListAccessibleRepositoriesRequest()
        listed = await api.access.ListAccessibleRepositories(listing, metadata=who.auth)
        assert not listed.repositories
    # That it exists is told to nobody else.
    for who in (studio.people["billing"], stranger):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await api.repositories.GetRepository(read, metadata=who.auth)
    # With a second factor, all is as before, at once.
    await _guard(api, outsider)
    await api.locks.ListLocks(ListLocksRequest(repository=film.id), metadata=outsider.auth)
    await api.mfa.DisableTotp(DisableTotpRequest(), metadata=outsider.auth)
    with refused(StatusCode.PERMISSION_DENIED, "MFA_REQUIRED"):
        await api.repositories.GetRepository(read, metadata=outsider.auth)


async def test_what_everybody_may_do_needs_none(api: Api, studio: Studio) -> None:
    film = await _repository(studio, VISIBILITY_PUBLIC)
    admin = studio.people["admin"]
    await api.repositories.GetRepository(
        GetRepositoryRequest(repository=film.id), metadata=admin.auth
    )
    change = UpdateRepositoryRequest(repository=film.id)
    change.update_mask.paths.append("description")
    with refused(StatusCode.PERMISSION_DENIED, "MFA_REQUIRED"):
        await api.repositories.UpdateRepository(change, metadata=admin.auth)
    member = await api.account()
    await studio.join("member", member)
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await api.repositories.UpdateRepository(change, metadata=member.auth)


async def test_the_organization_answers_nothing_but_a_farewell(api: Api, studio: Studio) -> None:
    admin, owner = studio.people["admin"], studio.people["owner"]
    about = AuditFilter(organization=studio.name)
    attempts = (
        lambda: studio.get(admin),
        lambda: studio.list_members(admin),
        lambda: studio.update(admin, display_name="Mine"),
        lambda: studio.invite(admin, "new@example.com"),
        lambda: studio.remove(admin, studio.people["member"]),
        lambda: api.audit.ListAuditEvents(
            ListAuditEventsRequest(filter=about), metadata=admin.auth
        ),
        lambda: api.usage.GetUsage(GetUsageRequest(organization=studio.name), metadata=admin.auth),
    )
    for attempt in attempts:
        with refused(StatusCode.PERMISSION_DENIED, "MFA_REQUIRED"):
            await attempt()
    await studio.update(owner, billing_email="bills@example.com")
    for who in (admin, studio.people["billing"]):
        listed = await api.organizations.ListOrganizations(
            pb.ListOrganizationsRequest(), metadata=who.auth
        )
        # Enough to leave it, or to know what is missing.
        [shown] = listed.organizations
        assert (shown.name, shown.settings) == (studio.name, REQUIRED)
        assert not shown.billing_email
        assert not shown.plan
    await studio.leave(studio.people["billing"])
    assert (await studio.get(owner)).settings.require_mfa
    await _guard(api, admin)
    for attempt in attempts[:3]:
        await attempt()


async def test_to_require_it_one_needs_it_and_sudo(api: Api) -> None:
    studio = await Studio.open(api, "admin", "member")
    owner = studio.people["owner"]
    with refused(StatusCode.PERMISSION_DENIED, "MFA_REQUIRED"):
        await studio.update(owner, "settings.require_mfa", settings=REQUIRED)
    await _guard(api, owner)
    without = await api.session(owner, sudo=False)
    with refused(StatusCode.PERMISSION_DENIED, "SUDO_REQUIRED"):
        await studio.update(without, "settings.require_mfa", settings=REQUIRED)
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await studio.update(studio.people["member"], "settings.require_mfa", settings=REQUIRED)
    await studio.update(owner, "settings.require_mfa", settings=REQUIRED)
    # Who turns it off for oneself can still come back, and nobody else can change it.
    await api.mfa.DisableTotp(DisableTotpRequest(), metadata=owner.auth)
    with refused(StatusCode.PERMISSION_DENIED, "MFA_REQUIRED"):
        await studio.update(owner, "settings.require_mfa", settings=pb.OrganizationSettings())
    await _guard(api, owner)
    await studio.update(owner, "settings.require_mfa", settings=pb.OrganizationSettings())
    await studio.get(studio.people["member"])

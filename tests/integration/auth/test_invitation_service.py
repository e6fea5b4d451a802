"""InvitationService: who invites, who accepts, and when an invitation is good no more."""

from __future__ import annotations

import uuid

import pytest
from dits.auth.v1 import invitation_service_pb2 as pb
from dits.repo.v1.repository_service_pb2 import CreateRepositoryRequest, GetRepositoryRequest
from grpc import StatusCode

from shared.runtime.server_key import ServerKey
from tests.support.api import Account, Api, refused
from tests.support.notifications import BEGUN, list_told, until
from tests.support.organizations import (
    Studio,
    accept,
    decline,
    read_mailed_tokens,
    role,
    verify_address,
)


def address_of(who: Account) -> str:
    return f"{who.username}@example.com"


async def test_an_invitation_makes_a_member_once(api: Api, key: ServerKey) -> None:
    studio = await Studio.open(api)
    owner, ada = studio.people["owner"], await api.account()
    made = await studio.invite(owner, address_of(ada).upper(), "admin")
    assert (made.organization, made.role) == (studio.name, role("admin"))
    assert made.inviter == owner.username
    assert (made.expire_time.seconds - made.create_time.seconds) == 7 * 86_400
    [token] = await read_mailed_tokens(api, key)
    for _ in range(2):
        joined = await accept(api, ada, token=token)
        assert (joined.id, joined.role, joined.member_count) == (studio.id, role("admin"), 2)
    assert await api.value("SELECT count(*) FROM audit_log WHERE action = 'member.added'") == 1
    assert await api.value("SELECT count(*) FROM events WHERE type = 'member.added'") == 2
    [member, _] = sorted(
        (await studio.list_members(owner)).members, key=lambda each: each.username != ada.username
    )
    assert member.inviter == owner.username
    # It is a new member's no more, once the member has gone.
    await studio.remove(owner, ada)
    with refused(StatusCode.FAILED_PRECONDITION, "INVITATION_CLOSED") as refusal:
        await accept(api, ada, token=token)
    assert refusal.metadata == {"state": "accepted"}
    assert token not in str(await api.fetch("SELECT * FROM audit_log, events"))


async def test_a_new_member_reads_what_the_organisation_has(api: Api, key: ServerKey) -> None:
    studio = await Studio.open(api)
    owner, ada = studio.people["owner"], await api.account()
    made = await api.repositories.CreateRepository(
        CreateRepositoryRequest(owner=studio.name, name="film"), metadata=owner.auth
    )
    read = GetRepositoryRequest(repository=made.repository.id)
    await studio.invite(owner, address_of(ada))
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await api.repositories.GetRepository(read, metadata=ada.auth)
    await accept(api, ada, token=(await read_mailed_tokens(api, key))[0])
    await api.repositories.GetRepository(read, metadata=ada.auth)


async def test_only_the_invited_address_accepts(api: Api, key: ServerKey) -> None:
    studio = await Studio.open(api)
    owner, ada, eve = studio.people["owner"], await api.account(), await api.account()
    made = await studio.invite(owner, address_of(ada))
    [token] = await read_mailed_tokens(api, key)
    for answer in ({"token": token}, {"invitation_id": made.id}, {"token": "x" * 43}):
        for act in (accept, decline):
            await verify_address(api, eve)
            with refused(StatusCode.NOT_FOUND, "NOT_FOUND") as refusal:
                await act(api, eve, **answer)
            assert token not in refusal.message
    # By its id, an invitation takes an address that is verified.
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await accept(api, ada, invitation_id=made.id)
    await verify_address(api, ada)
    await accept(api, ada, invitation_id=made.id)
    assert ada.username in await studio.roles()


async def test_an_invitation_ends(api: Api, key: ServerKey) -> None:
    studio = await Studio.open(api)
    owner, ada = studio.people["owner"], await api.account()
    states = []
    for end in ("expired", "declined", "revoked", "replaced"):
        made = await studio.invite(owner, address_of(ada))
        token = (await read_mailed_tokens(api, key))[-1]
        if end == "expired":
            await api.fetch("UPDATE organization_invitations SET expires_at = clock_timestamp()")
        for _ in range(2):
            if end == "declined":
                await decline(api, ada, token=token)
            if end == "revoked":
                await studio.revoke(owner, made)
        if end == "replaced":
            await studio.invite(owner, address_of(ada))
        with refused(StatusCode.FAILED_PRECONDITION, "INVITATION_CLOSED") as refusal:
            await accept(api, ada, token=token)
        states.append(refusal.metadata["state"])
        if end in ("declined", "revoked"):
            with refused(StatusCode.FAILED_PRECONDITION, "INVITATION_CLOSED"):
                await studio.resend(owner, made)
    assert states == ["expired", "declined", "revoked", "revoked"]
    with refused(StatusCode.FAILED_PRECONDITION, "INVITATION_CLOSED"):
        await decline(api, ada, token=(await read_mailed_tokens(api, key))[-2])
    await accept(api, ada, token=(await read_mailed_tokens(api, key))[-1])
    with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
        await studio.invite(owner, address_of(ada))


async def test_sending_again_ends_the_first_token(api: Api, key: ServerKey) -> None:
    studio = await Studio.open(api)
    owner, ada = studio.people["owner"], await api.account()
    first = await studio.invite(owner, address_of(ada), "billing")
    await api.fetch("UPDATE organization_invitations SET expires_at = clock_timestamp()")
    again = await studio.resend(owner, first)
    assert (again.email, again.role) == (first.email, role("billing"))
    old, new = await read_mailed_tokens(api, key)
    with refused(StatusCode.FAILED_PRECONDITION, "INVITATION_CLOSED"):
        await accept(api, ada, token=old)
    await accept(api, ada, token=new)


async def test_a_request_id_invites_once(api: Api, key: ServerKey) -> None:
    studio = await Studio.open(api)
    owner, request_id = studio.people["owner"], str(uuid.uuid4())
    first = await studio.invite(owner, "a@example.com", request_id=request_id)
    assert first == await studio.invite(owner, "a@example.com", request_id=request_id)
    assert len(await read_mailed_tokens(api, key)) == 1


async def test_invitations_are_listed_on_both_sides(api: Api) -> None:
    studio = await Studio.open(api)
    owner, ada = studio.people["owner"], await api.account()
    for number in range(3):
        await studio.invite(owner, f"a{number}@example.com")
    made = await studio.invite(owner, address_of(ada))
    seen: list[str] = []
    page_token = ""
    while page_token or not seen:
        page = await studio.list_invitations(owner, page_size=3, page_token=page_token)
        seen += [each.email for each in page.invitations]
        page_token = page.next_page_token
    assert seen == [address_of(ada), *(f"a{number}@example.com" for number in (2, 1, 0))]
    listing = pb.ListReceivedInvitationsRequest()
    empty = await api.invitations.ListReceivedInvitations(listing, metadata=ada.auth)
    assert not empty.invitations
    await verify_address(api, ada)
    received = await api.invitations.ListReceivedInvitations(listing, metadata=ada.auth)
    assert list(received.invitations) == [made]


async def test_who_has_an_account_is_told(api: Api) -> None:
    """Only with a verified address; the mail goes to everyone."""
    studio = await Studio.open(api)
    owner, ada, bob = studio.people["owner"], await api.account(), await api.account()
    await until(api, BEGUN)
    await verify_address(api, ada)
    made = await studio.invite(owner, address_of(ada))
    await studio.invite(owner, address_of(bob))
    await studio.invite(owner, "nobody@example.com")
    told = [("member.invited", f"{owner.username} invites you to the organisation {studio.name}")]
    assert await list_told(api, ada) == told
    await accept(api, ada, invitation_id=made.id)
    await studio.change_role(owner, ada, "admin")
    await studio.remove(owner, ada)
    where = f"the organisation {studio.name}"
    told += [
        (
            "member.role_changed",
            f"{owner.username} gave you another role in the organisation {studio.name}",
        ),
        ("member.removed", f"{owner.username} removed you from {where}"),
    ]
    assert await list_told(api, ada) == told
    assert not await list_told(api, bob)
    assert not await list_told(api, owner)


async def test_seats_hold_members_and_open_invitations(api: Api, key: ServerKey) -> None:
    studio = await Studio.open(api)
    owner, ada, bob = studio.people["owner"], await api.account(), await api.account()
    await api.fetch("UPDATE organizations SET plan_seats = 2")
    assert (await studio.get(owner)).seats == 2
    await studio.invite(owner, address_of(ada))
    # Inviting the same address again takes no other seat.
    await studio.invite(owner, address_of(ada))
    with refused(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED") as refusal:
        await studio.invite(owner, address_of(bob))
    assert refusal.metadata == {"kind": "members and open invitations", "limit": "2"}
    await api.fetch("UPDATE organizations SET plan_seats = 1")
    token = (await read_mailed_tokens(api, key))[-1]
    with refused(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED"):
        await accept(api, ada, token=token)
    await api.fetch("UPDATE organizations SET plan_seats = 2")
    await accept(api, ada, token=token)


async def test_one_user_sends_so_many_a_day(api: Api) -> None:
    studio = await Studio.open(api)
    owner = studio.people["owner"]
    await api.fetch(
        """INSERT INTO organization_invitations (org_id, email, token_hash, invited_by, expires_at)
           SELECT $1::uuid, n || '@example.com', n::text, $2, now() FROM generate_series(1, 200) n""",
        studio.id,
        owner.id,
    )
    with refused(StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"):
        await studio.invite(owner, "more@example.com")
    await api.fetch("UPDATE organization_invitations SET created_at = now() - interval '1 day'")
    await studio.invite(owner, "more@example.com")


@pytest.mark.parametrize("email", ["", "nobody", "a@b\n", f"{'a' * 260}@b"])
async def test_bad_addresses_are_refused(api: Api, email: str) -> None:
    studio = await Studio.open(api)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await studio.invite(studio.people["owner"], email)


async def test_bad_answers_are_refused(api: Api) -> None:
    ada = await api.account()
    for answer in (
        {},
        {"token": ""},
        {"token": "x" * 101},
        {"token": "\x00"},
        {"invitation_id": "x"},
    ):
        for act in (accept, decline):
            with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
                await act(api, ada, **answer)
    studio = await Studio.open(api)
    other = await Studio.open(api)
    made = await other.invite(other.people["owner"], "a@example.com")
    for act_on in (studio.resend, studio.revoke):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await act_on(studio.people["owner"], made)

"""Repositories go to another owner when both sides agree, or the operator says so."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from dits.common.v1.permission_pb2 import Permission
from dits.repo.v1 import transfer_service_pb2 as pb
from google.rpc.error_details_pb2 import BadRequest
from grpc import StatusCode

from services.repo.repositories import transfers
from tests.support.api import Account, Api, refused
from tests.support.branches import read_head
from tests.support.cells import move_to
from tests.support.organizations import Studio
from tests.support.repositories import Holding
from tests.support.rivals import together
from tests.support.teams import Crew
from tests.support.trees import save
from tests.support.waiting import PATIENCE_SECONDS


async def ask(films: Holding, new_owner: str, who: Account | None = None) -> pb.Transfer | None:
    """RequestTransfer; returns the request that waits."""
    request = pb.RequestTransferRequest(repository=films.id, new_owner=new_owner)
    auth = (who or films.owner).auth
    answer = await films.api.transfers.RequestTransfer(request, metadata=auth)
    return answer.transfer if answer.HasField("transfer") else None


async def accept(films: Holding, who: Account, **fields: str) -> str:
    """AcceptTransfer; returns the address."""
    request = pb.AcceptTransferRequest(repository_id=films.id, **fields)
    answer = await films.api.transfers.AcceptTransfer(request, metadata=who.auth)
    return f"{answer.owner}/{answer.name}"


async def cancel(films: Holding, who: Account) -> None:
    request = pb.CancelTransferRequest(repository_id=films.id)
    await films.api.transfers.CancelTransfer(request, metadata=who.auth)


async def force(films: Holding, who: Account, **fields: str) -> str:
    request = pb.ForceTransferRequest(**{"repository_id": films.id, "reason": "x", **fields})
    answer = await films.api.transfers.ForceTransfer(request, metadata=who.auth)
    return f"{answer.owner}/{answer.name}"


async def list_open(api: Api, who: Account, owner: str = "", size: int = 0) -> list[str]:
    request = pb.ListTransfersRequest(owner=owner, page_size=size)
    found: list[str] = []
    while True:
        page = await api.transfers.ListTransfers(request, metadata=who.auth)
        found += [transfer.name for transfer in page.transfers]
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


async def test_a_user_accepts_a_repository(api: Api) -> None:
    films, bob = await Holding.open(api, "films"), await api.account("bob")
    head = await save(api, films.owner, films.repository, {"a": b"1"})
    await api.grant(films.repository, bob, "read")
    asked = await ask(films, "BOB")
    assert asked is not None
    told = (asked.owner, asked.name, asked.new_owner, asked.requester)
    assert told == (films.owner.username, "films", "bob", films.owner.username)
    assert await ask(films, "bob") == asked
    for who in (films.owner, bob):
        assert await list_open(api, who, size=1) == ["films"]
    key = str(uuid.uuid4())
    for _ in range(2):
        assert await accept(films, bob, request_id=key) == "bob/films"
    moved = await films.get(f"{films.owner.username}/films", who=bob)
    assert (moved.owner, moved.permission) == ("bob", Permission.PERMISSION_ADMIN)
    assert await read_head(api, bob, films.repository) == head
    for call in (films.get(), save(api, films.owner, films.repository, {"a": b"2"}, parent=head)):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await call
    # The old address leads there, and nobody takes it.
    with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
        await api.repository(films.owner, "films")
    assert await list_open(api, bob) == []
    assert await api.value("SELECT count(*) FROM repository_collaborators") == 0
    assert (await films.events())[-1] == "repo.transferred"
    assert (await films.audited())[1:] == [
        "repository.transfer_requested", "repository.transferred",
    ]  # fmt: skip
    # And back again: the address is its own.
    back = Holding(api, bob, films.repository)
    await ask(back, films.owner.username)
    assert await accept(back, films.owner, name="movies") == f"{films.owner.username}/movies"


async def test_who_administers_both_sides_needs_no_answer(api: Api) -> None:
    studio = await Studio.open(api, "member", "admin")
    owner, member = studio.people["owner"], studio.people["member"]
    films = Holding(api, owner, await api.repository(owner, "films"))
    for _ in range(2):
        assert await ask(films, studio.organization.name) is None
    assert (await films.events()).count("repo.transferred") == 1
    assert (await films.get(who=member)).owner == studio.organization.name
    crew = await Crew.open(studio)
    await api.fetch(
        "INSERT INTO team_repositories (team_id, repo_id) VALUES ($1::uuid, $2::uuid)",
        crew.team.id, films.id,
    )  # fmt: skip
    bob = await api.account()
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await ask(films, bob.username, who=member)
    await ask(films, bob.username, who=studio.people["admin"])
    await accept(films, bob)
    assert await api.value("SELECT count(*) FROM team_repositories") == 0
    # Services keep answers of auth until they hear of the change.
    async with asyncio.timeout(PATIENCE_SECONDS):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            while True:
                await films.get(who=member)


@pytest.mark.parametrize("scope", ["organization", "user"])
async def test_an_owner_takes_no_more_than_the_plan(api: Api, scope: str) -> None:
    studio, films = await Studio.open(api), await Holding.open(api, "films")
    eve = studio.people["owner"]
    await save(api, films.owner, films.repository, {"a": b"x" * 600})
    await api.fetch(f"UPDATE {scope}s SET plan_storage_bytes = 599")
    await ask(films, eve.username if scope == "user" else studio.name)
    with refused(StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED") as refusal:
        await accept(films, eve)
    assert refusal.metadata == {"scope": scope, "limit": "599", "held": "0"}
    assert (await films.get()).owner == films.owner.username
    await api.fetch(f"UPDATE {scope}s SET plan_storage_bytes = 600")
    await accept(films, eve)


async def test_a_request_is_of_its_sides_alone(api: Api) -> None:
    films, bob, eve = await Holding.open(api, "films"), await api.account(), await api.account()
    await ask(films, bob.username)
    for call in (accept(films, eve), cancel(films, eve), accept(films, films.owner)):
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND") as refusal:
            await call
        assert refusal.message == f"transfer '{films.id}' not found"
    with refused(StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING"):
        await list_open(api, eve, bob.username)
    for who in (bob, films.owner):
        await ask(films, bob.username)
        await cancel(films, who)
        with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
            await cancel(films, who)
    await ask(films, bob.username)
    # Another request takes its place; one that is too old is none.
    await ask(films, eve.username)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await accept(films, bob)
    await api.fetch("UPDATE repository_transfers SET expires_at = now()")
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await accept(films, eve)
    assert await list_open(api, eve) == []


async def test_a_request_ends_with_the_right_of_who_made_it(api: Api) -> None:
    studio, thief = await Studio.open(api, "admin"), await api.account()
    owner, admin = studio.people["owner"], studio.people["admin"]
    films = Holding(api, owner, await api.repository(owner, "films"))
    await ask(films, studio.name)
    await ask(films, thief.username, admin)
    await studio.join("member", admin)
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await accept(films, thief)
    assert await list_open(api, thief) == await list_open(api, owner, studio.name) == []
    asked = await ask(films, thief.username, owner)
    assert asked is not None
    assert asked.requester == owner.username
    await accept(films, thief)


async def test_a_deleted_repository_is_not_on_its_way_any_more(api: Api) -> None:
    films, grace = await Holding.open(api), await api.account()
    await ask(films, grace.username)
    await films.delete()
    await films.undelete()
    assert await list_open(api, grace) == []
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await accept(films, grace)


async def test_what_cannot_be_transferred(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    films, bob = await Holding.open(api, "films"), await api.account("bob")
    wrong: list[tuple[str, str]] = [
        ("new_owner", ""), ("new_owner", "x" * 40),
    ]  # fmt: skip
    for field, new_owner in wrong:
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD") as refusal:
            await ask(films, new_owner)
        assert refusal.detail(BadRequest).field_violations[0].field == field
    with refused(StatusCode.NOT_FOUND, "NOT_FOUND"):
        await ask(films, "nobody")
    await api.repository(bob, "films")
    await ask(films, "bob")
    with refused(StatusCode.ALREADY_EXISTS, "NAME_TAKEN"):
        await accept(films, bob)
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
        await accept(films, bob, name="a/b")
    await move_to(api, bob, 1)
    for call in (ask(films, "bob"), accept(films, bob, name="other")):
        with refused(StatusCode.FAILED_PRECONDITION, "CELLS_DIFFER") as refusal:
            await call
        assert refusal.metadata == {"cell": "1", "own_cell": "0"}
    monkeypatch.setattr(transfers, "MOST_OPEN", 1)
    await api.account("eve")
    more = [Holding(api, films.owner, await api.repository(films.owner)) for _ in range(3)]
    won, reasons = await together(*(ask(one, "eve") for one in more))
    assert (won, reasons) == (1, ["LIMIT_REACHED"] * 2)
    await more[0].delete()
    without_sudo = await api.session(films.owner, sudo=False)
    with refused(StatusCode.PERMISSION_DENIED, "SUDO_REQUIRED"):
        await ask(more[1], "eve", who=without_sudo)


async def test_the_operator_transfers_what_nobody_answers_for(api: Api) -> None:
    films = await Holding.open(api, "films")
    await api.account("bob")
    operator = await api.api_token(await api.account(), "site:admin")
    await films.set_disabled(operator, "gone")
    with refused(StatusCode.FAILED_PRECONDITION, "REPOSITORY_READ_ONLY"):
        await ask(films, "bob")
    for who in (films.owner, await api.api_token(films.owner, "repo:admin")):
        with refused(StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"):
            await force(films, who, new_owner="bob")
    wrong: list[dict[str, Any]] = [{"reason": " "}, {"repository_id": "x/y"}, {"name": ".."}]
    for fields in wrong:
        with refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"):
            await force(films, operator, new_owner="bob", **fields)
    assert await force(films, operator, new_owner="bob", name="old") == "bob/old"
    details = await api.value("SELECT details::text FROM audit_log ORDER BY timestamp DESC LIMIT 1")
    assert '"reason": "x"' in details


async def test_of_two_answers_at_once_one_counts(api: Api) -> None:
    films, bob = await Holding.open(api, "films"), await api.account()
    await ask(films, bob.username)
    won, reasons = await together(
        accept(films, bob), accept(films, bob), cancel(films, films.owner)
    )
    assert (won, reasons) == (1, ["NOT_FOUND"] * 2)

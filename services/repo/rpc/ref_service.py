"""Branches: reading them, and moving them between commits that are there."""

from __future__ import annotations

import json

from dits.repo.v1 import ref_service_pb2 as pb

from services.repo.history import ancestry, branches
from services.repo.push.push import apply
from services.repo.push.stream import Push, Update
from shared.db import sql
from shared.db.pool import Connection, Database, Row
from shared.errors import default_branch, name_taken, not_found
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)


class RefService:
    """The RPCs of dits.repo.v1.RefService."""

    def __init__(self, database: Database, key: ServerKey) -> None:
        self._database = database
        self._key = key

    async def CreateBranch(
        self, request: pb.CreateBranchRequest, call: Call
    ) -> pb.CreateBranchResponse:
        """Creates a branch at a commit that is there."""
        name = validation.branch("name", request.name)
        head = validation.digest("head", request.head)

        async def work(connection: Connection) -> Row:
            if head not in await ancestry.known(connection, call.repository.id, [head]):
                raise not_found("commit", head)
            taken = (await branches.heads(connection, call.repository.id, [name])).get(name)
            if taken not in (None, head):
                raise name_taken("branch", name)
            update = Update(name, "", head, force=False)
            created = await branches.move(
                connection, call.repository, call.caller.user_id, [update], {}
            )
            if created:
                await _emit(connection, call, "branch.created", name, "", head)
            return await _row(connection, call, name)

        return pb.CreateBranchResponse(branch=_message(await self._database.transaction(work)))

    async def GetBranch(self, request: pb.GetBranchRequest, call: Call) -> pb.GetBranchResponse:
        """One branch."""
        name = validation.branch("name", request.name) if request.name else ""
        async with self._database.connection() as connection:
            return pb.GetBranchResponse(branch=_message(await _row(connection, call, name)))

    async def ListBranches(
        self, request: pb.ListBranchesRequest, call: Call
    ) -> pb.ListBranchesResponse:
        """Branches by name."""
        page = Page(self._key, request, call)
        prefix = validation.text("name_prefix", request.name_prefix, most=256)
        (after,) = page.after or (None,)
        found = await self._database.fetch(
            Q.list_branches, call.repository.id, prefix, after, page.size + 1
        )
        rows, token = page.answer(found, lambda row: (row["name"],))
        return pb.ListBranchesResponse(branches=map(_message, rows), next_page_token=token)

    async def UpdateBranch(
        self, request: pb.UpdateBranchRequest, call: Call
    ) -> pb.UpdateBranchResponse:
        """Moves a branch: a push that brings nothing new."""
        name = validation.branch("name", request.name)
        expected = validation.digest("expected_head", request.expected_head)
        head = validation.digest("new_head", request.new_head)
        push = Push(updates=[Update(name, expected, head, request.force)])

        async def work(connection: Connection) -> Row:
            repo_id = call.repository.id
            if head not in await ancestry.known(connection, repo_id, [head]):
                raise not_found("commit", head)
            if name not in await branches.heads(connection, repo_id, [name]):
                raise not_found("branch", name)
            await apply(connection, call, push)
            return await _row(connection, call, name)

        return pb.UpdateBranchResponse(branch=_message(await self._database.transaction(work)))

    async def DeleteBranch(
        self, request: pb.DeleteBranchRequest, call: Call
    ) -> pb.DeleteBranchResponse:
        """Removes a branch; its commits stay until they are collected."""
        name = validation.branch("name", request.name)
        expected = validation.digest("expected_head", request.expected_head)

        async def work(connection: Connection) -> None:
            if await connection.fetchval(Q.default_branch, call.repository.id) == name:
                raise default_branch(name)
            if not await branches.delete(connection, call.repository, name, expected):
                raise not_found("branch", name)
            await _emit(connection, call, "branch.deleted", name, expected, "")

        await self._database.transaction(work)
        return pb.DeleteBranchResponse()


async def _row(connection: Connection, call: Call, name: str) -> Row:
    row = await connection.fetchrow(Q.get_branch, call.repository.id, name or None)
    if row is None:
        raise not_found("branch", name)
    return row


async def _emit(
    connection: Connection, call: Call, event: str, name: str, before: str, after: str
) -> None:
    payload = json.dumps(
        {"branch": name, "before": before, "after": after, "user": call.caller.username}
    )
    await connection.execute(Q.emit, event, call.repository.id, call.caller.user_id, payload)


def _message(row: Row) -> pb.Branch:
    return pb.Branch(
        name=row["name"],
        head=row["head_commit"],
        is_default=row["is_default"],
        creator_id=str(row["created_by"] or ""),
        create_time=row["created_at"],
        update_time=row["updated_at"],
    )

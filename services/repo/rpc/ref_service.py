"""RefService: branches."""

from __future__ import annotations

from dits.repo.v1 import ref_service_pb2 as pb

from services.repo.history import branches
from services.repo.history.branches import BranchUpdate
from shared.db import sql
from shared.db.pool import Databases, Row
from shared.errors import not_found
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)


class RefService:
    """The RPCs of dits.repo.v1.RefService."""

    def __init__(self, databases: Databases, key: ServerKey) -> None:
        self._databases = databases
        self._key = key

    async def CreateBranch(
        self, request: pb.CreateBranchRequest, call: Call
    ) -> pb.CreateBranchResponse:
        """Creates a branch at a commit of the repository."""
        name = validation.branch("name", request.name)
        head = validation.digest("head", request.head)
        row = await self._databases.of(call.repository.id).transaction(
            lambda connection: branches.create_branch(connection, call, name, head)
        )
        return pb.CreateBranchResponse(branch=_message(row))

    async def GetBranch(self, request: pb.GetBranchRequest, call: Call) -> pb.GetBranchResponse:
        """Returns one branch."""
        name = validation.branch("name", request.name) if request.name else None
        database = self._databases.of(call.repository.id)
        row = await database.fetchrow(Q.get_branch, call.repository.id, name)
        if row is None:
            raise not_found("branch", request.name)
        return pb.GetBranchResponse(branch=_message(row))

    async def ListBranches(
        self, request: pb.ListBranchesRequest, call: Call
    ) -> pb.ListBranchesResponse:
        """Lists branches by name."""
        page = Page(self._key, request, call)
        prefix = validation.text("name_prefix", request.name_prefix, most=256)
        (after,) = page.after or (None,)
        found = await self._databases.of(call.repository.id).fetch(
            Q.list_branches, call.repository.id, prefix, after, page.size + 1
        )
        rows, token = page.answer(found, lambda row: (row["name"],))
        return pb.ListBranchesResponse(branches=map(_message, rows), next_page_token=token)

    async def UpdateBranch(
        self, request: pb.UpdateBranchRequest, call: Call
    ) -> pb.UpdateBranchResponse:
        """Moves a branch between commits of the repository."""
        update = BranchUpdate(
            validation.branch("name", request.name),
            validation.digest("expected_head", request.expected_head),
            validation.digest("new_head", request.new_head),
            request.force,
        )
        row = await self._databases.of(call.repository.id).transaction(
            lambda connection: branches.update_branch(connection, call, update)
        )
        return pb.UpdateBranchResponse(branch=_message(row))

    async def DeleteBranch(
        self, request: pb.DeleteBranchRequest, call: Call
    ) -> pb.DeleteBranchResponse:
        """Removes a branch; its commits stay until they are collected."""
        name = validation.branch("name", request.name)
        expected = validation.digest("expected_head", request.expected_head)
        await self._databases.of(call.repository.id).transaction(
            lambda connection: branches.delete_branch(connection, call, name, expected)
        )
        return pb.DeleteBranchResponse()


def _message(row: Row) -> pb.Branch:
    return pb.Branch(
        name=row["name"],
        head=row["head_commit"],
        is_default=row["is_default"],
        creator_id=str(row["created_by"] or ""),
        create_time=row["created_at"],
        update_time=row["updated_at"],
    )

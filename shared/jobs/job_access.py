"""Who may see and cancel a job: who asked for it, who has the right on its repository, operators."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from grpc import StatusCode

from shared.db import sql
from shared.db.pool import Database, Row
from shared.errors import DomainError, not_found
from shared.rpc.call import AccessResolver, Call, RepositoryAccess
from shared.rpc.policy import SITE_ADMIN, Permission

Q = sql.load(__file__)

ANSWER_SECONDS = 5.0


def is_operator(call: Call) -> bool:
    """Whether the caller came with an API token of the operator."""
    scopes = call.caller.scopes
    return scopes is not None and SITE_ADMIN in scopes


class JobAccess:
    """Judges callers of one database's jobs."""

    def __init__(self, database: Database, queues: list[str], resolver: AccessResolver) -> None:
        self._database = database
        self._queues = queues
        self._resolver = resolver

    async def fetch_job(self, job_id: UUID, call: Call, *, max_age: float = ANSWER_SECONDS) -> Row:
        """Returns a job that the caller may see. Raises NOT_FOUND or SCOPE_MISSING.

        No answer about rights that it judges by is older than `max_age` seconds.
        """
        row = await self._database.fetchrow(Q.job, job_id, self._queues)
        if row is None:
            raise not_found("job", str(job_id))
        if is_operator(call):
            return row
        is_own = row["requested_by"] == call.caller.user_id
        if row["repo_id"] is None:
            if not is_own or call.caller.reach is not None:
                raise not_found("job", str(job_id))
            call.caller.require_scope("user:read")
            return row
        held = await self._held(row["repo_id"], call, max_age)
        if held is None or held.permission < (Permission.READ if is_own else Permission.WRITE):
            raise not_found("job", str(job_id))
        call.caller.require_scope("repo:read")
        return row

    async def require_cancel(self, row: Row, call: Call) -> None:
        """Raises PERMISSION_MISSING or SCOPE_MISSING unless the caller may cancel a job that they see."""
        if is_operator(call):
            return
        if row["repo_id"] is None:
            # Who may change the caller's repositories may end what the caller has begun, too.
            if not self._has_scope(call, "repo:write"):
                call.caller.require_scope("user:write")
            return
        is_own = row["requested_by"] == call.caller.user_id
        held = await self._held(row["repo_id"], call, ANSWER_SECONDS)
        if held is None:
            raise not_found("job", str(row["id"]))
        held.require(Permission.WRITE if is_own else Permission.ADMIN)
        call.caller.require_scope("repo:write" if is_own else "repo:admin")

    async def choose_visible(self, rows: Sequence[Row], call: Call) -> list[Row]:
        """Returns those of the caller's own jobs that the caller may see now."""
        visible: dict[UUID | None, bool] = {None: self._has_scope(call, "user:read")}
        for repository_id in {row["repo_id"] for row in rows} - {None}:
            held = await self._held(repository_id, call, ANSWER_SECONDS)
            visible[repository_id] = held is not None and self._has_scope(call, "repo:read")
        return [row for row in rows if visible[row["repo_id"]]]

    @staticmethod
    def _has_scope(call: Call, scope: str) -> bool:
        return call.caller.scopes is None or scope in call.caller.scopes

    async def _held(
        self, repository_id: UUID, call: Call, max_age: float
    ) -> RepositoryAccess | None:
        """Returns the caller's right on a repository; None if they cannot see it."""
        try:
            access = await self._resolver.resolve(call.token, str(repository_id), max_age)
        except DomainError as error:
            if error.code is StatusCode.NOT_FOUND:
                return None
            raise
        return access.repository

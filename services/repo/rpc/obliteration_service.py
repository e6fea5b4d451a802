"""ObliterationService: contents that are removed from every version."""

from __future__ import annotations

from dits.repo.v1 import obliteration_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import File

from services.repo.history.revisions import resolve_revision
from services.repo.push.recipes import RecipeReader
from services.repo.trees.obliterations import (
    Content,
    describe_obliteration,
    forget_obliteration,
    lift_obliteration,
    list_obliterations,
    obliterate_content,
    preview_obliteration,
)
from services.repo.trees.path_finder import PathFinder
from shared.db.pool import Connection, Databases
from shared.errors import invalid_field, not_found
from shared.rpc import validation
from shared.rpc.byte_budget import ByteBudget
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey

MAX_REASON = 1_000


class ObliterationService:
    """The RPCs of dits.repo.v1.ObliterationService."""

    def __init__(
        self,
        databases: Databases,
        key: ServerKey,
        finder: PathFinder,
        recipes: RecipeReader,
        budget: ByteBudget,
    ) -> None:
        self._databases = databases
        self._key = key
        self._finder = finder
        self._recipes = recipes
        self._budget = budget

    async def ObliterateAsset(
        self, request: pb.ObliterateAssetRequest, call: Call
    ) -> pb.ObliterateAssetResponse:
        """Removes a content."""
        reason = validation.prose("reason", request.reason, most_bytes=MAX_REASON).strip()
        if not reason:
            raise invalid_field("reason", "must not be empty")
        file = await self._find_file(request, call)

        async def work(connection: Connection) -> pb.ObliterateAssetResponse:
            if request.validate_only:
                return await preview_obliteration(connection, call, file.hash.hex(), reason)
            return await obliterate_content(connection, call, file, reason)

        return await self._databases.of(call.repository.id).transaction(work)

    async def LiftObliteration(
        self, request: pb.LiftObliterationRequest, call: Call
    ) -> pb.LiftObliterationResponse:
        """Gives a content back."""
        database = self._databases.of(call.repository.id)
        if not request.path:
            digest = validation.digest("hash", request.hash)
            await database.transaction(
                lambda connection: forget_obliteration(connection, call, digest)
            )
            return pb.LiftObliterationResponse()
        file = await self._find_file(request, call)
        with self._budget.hold(call.holder) as hold:
            content = await Content.read(self._recipes, file, call, hold)
            await lift_obliteration(database, call, content)
        return pb.LiftObliterationResponse()

    async def ListObliterations(
        self, request: pb.ListObliterationsRequest, call: Call
    ) -> pb.ListObliterationsResponse:
        """Lists the obliterations."""
        page = Page(self._key, request, call)
        (after,) = page.after or ("",)
        database = self._databases.of(call.repository.id)
        found = await list_obliterations(database, call.repository.id, after, page.size + 1)
        rows, token = page.answer(found, lambda row: (row["hash"],))
        return pb.ListObliterationsResponse(
            obliterations=map(describe_obliteration, rows), next_page_token=token
        )

    async def _find_file(
        self, request: pb.ObliterateAssetRequest | pb.LiftObliterationRequest, call: Call
    ) -> File:
        """Returns the file that a request names. Raises NOT_FOUND, INVALID_FIELD."""
        digest = validation.digest("hash", request.hash)
        path = validation.path("path", request.path)
        repository_id, database = call.repository.id, self._databases.of(call.repository.id)
        async with database.connection() as connection:
            revision = await resolve_revision(connection, repository_id, request.revision)
        entry = (await self._finder.find(repository_id, revision.tree, [path])).get(path)
        if entry is None or not entry.HasField("file"):
            raise not_found("path", path)
        if entry.file.hash.hex() != digest:
            raise not_found("asset", digest)
        if not entry.file.size:
            raise invalid_field("hash", "must not be that of an empty file: it has no bytes")
        return entry.file

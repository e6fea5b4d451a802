"""TreeService: directories and files of a commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from dits.repo.v1 import asset_pb2
from dits.repo.v1 import tree_service_pb2 as pb

from services.repo.history.directories import list_entries, read_totals, stream_manifests
from services.repo.history.manifests import load_contents
from services.repo.history.revisions import resolve_revision
from services.repo.push.recipes import RecipeReader
from services.repo.rpc.diff_trees import TreeDiffs
from services.repo.rpc.heavy_calls import HeavyCalls
from services.repo.rpc.tree_messages import describe_entry, measure_entry
from services.repo.trees.asset_search import AssetSearch, Place
from services.repo.trees.assets import (
    AssetFilter,
    AssetUpdate,
    describe_asset,
    find_asset,
    get_asset,
    list_assets,
    update_asset,
)
from services.repo.trees.obliterations import stream_obliterated
from services.repo.trees.path_finder import PathFinder
from services.repo.trees.paths import PathListing
from shared.db import sql
from shared.db.pool import Databases
from shared.errors import not_found
from shared.rpc import validation
from shared.rpc.byte_budget import ByteBudget
from shared.rpc.call import Call
from shared.rpc.paging import PAGE_BYTES, Page
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

# Manifests in one message of StreamTree; a larger one has a message of its own.
MESSAGE_BYTES = 1 << 20


class TreeService:
    """The RPCs of dits.repo.v1.TreeService."""

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
        self._heavy_calls = HeavyCalls()
        self._diffs = TreeDiffs(databases, self._heavy_calls, finder, recipes, budget)

    async def GetManifest(
        self, request: pb.GetManifestRequest, call: Call
    ) -> pb.GetManifestResponse:
        """Returns one manifest by its hash."""
        digest = validation.digest("hash", request.hash)
        database = self._databases.of(call.repository.id)
        loading = load_contents(database, call.repository.id, [digest])
        contents = [content async for loaded in loading for content, _ in loaded]
        row = await database.fetchrow(Q.manifest_counts, call.repository.id, digest)
        if row is None or not contents:
            raise not_found("manifest", digest)
        return pb.GetManifestResponse(
            hash=digest,
            content=contents[0],
            entry_count=row["entry_count"],
            total_size=row["total_size"],
            chunk_count=row["chunk_count"],
        )

    async def StreamTree(
        self, request: pb.StreamTreeRequest, call: Call
    ) -> AsyncIterator[pb.StreamTreeResponse]:
        """Streams all manifests of a tree, parents before children."""
        have = validation.packed_digests("have_hashes", request.have_hashes)
        repository_id, database = call.repository.id, self._databases.of(call.repository.id)
        async with database.connection() as connection:
            revision = await resolve_revision(connection, repository_id, request.revision)
        message = pb.StreamTreeResponse(commit_hash=revision.commit, tree_hash=revision.tree)
        size = 0
        async for content in stream_manifests(database, repository_id, revision.tree, have):
            if message.manifests and size + len(content) > MESSAGE_BYTES:
                yield message
                message, size = pb.StreamTreeResponse(), 0
            message.manifests.append(content)
            size += len(content)
        yield message
        async for obliterated in stream_obliterated(database, repository_id):
            yield pb.StreamTreeResponse(obliterated=obliterated)

    async def ListDirectory(
        self, request: pb.ListDirectoryRequest, call: Call
    ) -> pb.ListDirectoryResponse:
        """Lists the entries of one directory by name."""
        page = Page(self._key, request, call)
        path = validation.path("path", request.path) if request.path else ""
        # Later pages stay on the commit of the first, even if the branch has moved on.
        commit, after = page.after or (request.revision, None)
        repository_id, database = call.repository.id, self._databases.of(call.repository.id)
        async with database.connection() as connection:
            revision = await resolve_revision(connection, repository_id, commit)
        directory = await self._finder.find_directory(repository_id, revision.tree, path)
        found = await list_entries(database, repository_id, directory, after, page.size + 1)
        entries, token = page.answer(found, lambda entry: (revision.commit, entry.name))
        async with database.connection() as connection:
            totals = await read_totals(connection, repository_id, entries)
        shown = (describe_entry(entry, totals) for entry in entries)
        return pb.ListDirectoryResponse(
            commit_hash=revision.commit, entries=shown, next_page_token=token
        )

    async def GetEntry(self, request: pb.GetEntryRequest, call: Call) -> pb.GetEntryResponse:
        """Returns what is at a path."""
        path = validation.path("path", request.path)
        repository_id, database = call.repository.id, self._databases.of(call.repository.id)
        async with database.connection() as connection:
            revision = await resolve_revision(connection, repository_id, request.revision)
        found = await self._finder.find(repository_id, revision.tree, [path])
        if path not in found:
            raise not_found("path", path)
        entry = found[path]
        async with database.connection() as connection:
            totals = await read_totals(connection, repository_id, [entry])
        shown = describe_entry(entry, totals)
        return pb.GetEntryResponse(commit_hash=revision.commit, entry=shown, stored=entry)

    async def GetEntries(self, request: pb.GetEntriesRequest, call: Call) -> pb.GetEntriesResponse:
        """Returns what is at many paths."""
        paths = await validation.parse_in_time(_parse_paths, request)
        repository_id, database = call.repository.id, self._databases.of(call.repository.id)
        async with database.connection() as connection:
            revision = await resolve_revision(connection, repository_id, request.revision)
        async with self._heavy_calls.turn(call):
            found = await self._finder.find(repository_id, revision.tree, set(paths))
            async with database.connection() as connection:
                totals = await read_totals(connection, repository_id, list(found.values()))
        response, size = pb.GetEntriesResponse(commit_hash=revision.commit), 0
        for path in paths:
            answer = pb.PathEntry(path=path)
            if (entry := found.get(path)) is not None:
                answer.entry.CopyFrom(describe_entry(entry, totals))
                if request.with_stored:
                    answer.stored.CopyFrom(entry)
            size += answer.ByteSize()
            if response.entries and size > PAGE_BYTES:
                break
            response.entries.append(answer)
        return response

    async def ListPaths(self, request: pb.ListPathsRequest, call: Call) -> pb.ListPathsResponse:
        """Lists all that is below a directory."""
        page = Page(self._key, request, call)
        path = validation.path("path", request.path) if request.path else ""
        commit, after = page.after or (request.revision, None)
        repository_id, database = call.repository.id, self._databases.of(call.repository.id)
        async with database.connection() as connection:
            revision = await resolve_revision(connection, repository_id, commit)
        async with self._heavy_calls.turn(call):
            listing = PathListing(self._finder, database, repository_id, page.size + 1)
            found = await listing.list_at(revision.tree, path, after)
            async with database.connection() as connection:
                totals = await read_totals(connection, repository_id, [e for _, e in found])
        rows, token = page.answer(found, lambda row: (revision.commit, row[0]), measure_entry)
        entries = [pb.PathEntry(path=p, entry=describe_entry(e, totals)) for p, e in rows]
        return pb.ListPathsResponse(
            commit_hash=revision.commit, entries=entries, next_page_token=token
        )

    async def DiffTrees(
        self, request: pb.DiffTreesRequest, call: Call
    ) -> AsyncIterator[pb.DiffTreesResponse]:
        """Streams what differs between two trees."""
        async with aclosing(self._diffs.stream_changes(request, call)) as messages:
            async for message in messages:
                yield message

    async def ListAssets(
        self, request: asset_pb2.ListAssetsRequest, call: Call
    ) -> asset_pb2.ListAssetsResponse:
        """Lists the contents of files."""
        page = Page(self._key, request, call)
        wanted = AssetFilter.parse(request)
        database = self._databases.of(call.repository.id)
        rows, following = await list_assets(
            database, call.repository.id, wanted, page.after, page.size
        )
        token = page.token(*following) if following else ""
        # What clients have stored is parsed: up to 3 MiB.
        found = await asyncio.to_thread(list, map(describe_asset, rows))
        return asset_pb2.ListAssetsResponse(assets=found, next_page_token=token)

    async def GetAsset(
        self, request: asset_pb2.GetAssetRequest, call: Call
    ) -> asset_pb2.GetAssetResponse:
        """Returns one content."""
        digest = validation.digest("hash", request.hash)
        row = await get_asset(self._databases.of(call.repository.id), call.repository.id, digest)
        return asset_pb2.GetAssetResponse(asset=describe_asset(row))

    async def UpdateAssetMetadata(
        self, request: asset_pb2.UpdateAssetMetadataRequest, call: Call
    ) -> asset_pb2.UpdateAssetMetadataResponse:
        """Stores what a client says about a content."""
        update = await asyncio.to_thread(AssetUpdate.parse, request)
        database = self._databases.of(call.repository.id)
        row = await database.transaction(lambda connection: update_asset(connection, call, update))
        return asset_pb2.UpdateAssetMetadataResponse(asset=describe_asset(row))

    async def FindAsset(
        self, request: asset_pb2.FindAssetRequest, call: Call
    ) -> asset_pb2.FindAssetResponse:
        """Finds the paths at which a content is."""
        page = Page(self._key, request, call)
        digest = validation.digest("hash", request.hash)
        commit, *position = page.after or (request.revision,)
        repository_id, database = call.repository.id, self._databases.of(call.repository.id)
        await find_asset(database, repository_id, digest)
        async with database.connection() as connection:
            revision = await resolve_revision(connection, repository_id, commit)
        search = AssetSearch(database, repository_id, digest, page.size)
        async with self._heavy_calls.turn(call):
            place = Place.parse(position) if position else None
            paths, following = await search.find_paths(revision.tree, place)
        token = page.token(revision.commit, *following.describe()) if following else ""
        return asset_pb2.FindAssetResponse(
            commit_hash=revision.commit, paths=paths, next_page_token=token
        )


def _parse_paths(request: pb.GetEntriesRequest) -> list[str]:
    validation.count("paths", request.paths, validation.MAX_PATHS)
    return [validation.path(f"paths[{at}]", path) for at, path in enumerate(request.paths)]

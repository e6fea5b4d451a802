"""TreeService: directories and files of a commit."""

from __future__ import annotations

from collections.abc import AsyncIterator

from dits.repo.v1 import tree_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import Entry

from services.repo.history.directories import (
    Totals,
    find_child,
    find_directory,
    list_entries,
    read_totals,
    stream_manifests,
)
from services.repo.history.manifests import load_contents
from services.repo.history.revisions import resolve_revision
from shared.db import sql
from shared.db.pool import Databases
from shared.errors import not_found
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

# Manifests in one message of StreamTree; a larger one has a message of its own.
MESSAGE_BYTES = 1 << 20


class TreeService:
    """The RPCs of dits.repo.v1.TreeService."""

    def __init__(self, databases: Databases, key: ServerKey) -> None:
        self._databases = databases
        self._key = key

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
        directory = await find_directory(database, repository_id, revision, path)
        found = await list_entries(database, repository_id, directory, after, page.size + 1)
        entries, token = page.answer(found, lambda entry: (revision.commit, entry.name))
        async with database.connection() as connection:
            totals = await read_totals(connection, repository_id, entries)
        shown = (_message(entry, totals) for entry in entries)
        return pb.ListDirectoryResponse(
            commit_hash=revision.commit, entries=shown, next_page_token=token
        )

    async def GetEntry(self, request: pb.GetEntryRequest, call: Call) -> pb.GetEntryResponse:
        """Returns what is at a path."""
        path = validation.path("path", request.path)
        parent, _, name = path.rpartition("/")
        repository_id, database = call.repository.id, self._databases.of(call.repository.id)
        async with database.connection() as connection:
            revision = await resolve_revision(connection, repository_id, request.revision)
        directory = await find_directory(database, repository_id, revision, parent)
        entry = await find_child(database, repository_id, directory, name)
        if entry is None:
            raise not_found("path", path)
        async with database.connection() as connection:
            totals = await read_totals(connection, repository_id, [entry])
        shown = _message(entry, totals)
        return pb.GetEntryResponse(commit_hash=revision.commit, entry=shown, stored=entry)


def _message(entry: Entry, totals: Totals) -> pb.DirectoryEntry:
    if entry.HasField("file"):
        file = entry.file
        digest = file.hash.hex()
        return pb.DirectoryEntry(
            name=entry.name,
            kind=pb.ENTRY_KIND_FILE,
            size=file.size,
            mode=file.mode,
            hash=digest,
            chunk_count=totals.chunk_counts.get(digest, len(file.chunk_sizes)),
        )
    if entry.HasField("directory"):
        digest = entry.directory.manifest_hash.hex()
        return pb.DirectoryEntry(
            name=entry.name,
            kind=pb.ENTRY_KIND_DIRECTORY,
            size=totals.sizes[digest],
            hash=digest,
            chunk_count=totals.chunk_counts[digest],
        )
    return pb.DirectoryEntry(
        name=entry.name, kind=pb.ENTRY_KIND_SYMLINK, target=entry.symlink.target
    )

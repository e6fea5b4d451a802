"""Trees: reading directories and files of a commit."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import AsyncIterator
from uuid import UUID

from dits.repo.v1 import tree_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import Entry, Manifest

from services.repo.history import manifests, revisions
from services.repo.history.revisions import Revision
from shared.db import sql
from shared.db.pool import Connection, Database
from shared.errors import not_found
from shared.rpc import validation
from shared.rpc.call import Call
from shared.rpc.paging import Page
from shared.runtime.server_key import ServerKey

Q = sql.load(__file__)

MESSAGE_BYTES = 1 << 20
FETCH = 500


class TreeService:
    """The RPCs of dits.repo.v1.TreeService."""

    def __init__(self, database: Database, key: ServerKey) -> None:
        self._database = database
        self._key = key

    async def GetManifest(
        self, request: pb.GetManifestRequest, call: Call
    ) -> pb.GetManifestResponse:
        """One manifest by its name."""
        name = validation.digest("hash", request.hash)
        row = await self._database.fetchrow(Q.manifest, call.repository.id, name)
        if row is None:
            raise not_found("manifest", name)
        return pb.GetManifestResponse(
            hash=name,
            content=manifests.decompress(row["content"]),
            entry_count=row["entry_count"],
            total_size=row["total_size"],
            chunk_count=row["chunk_count"],
        )

    async def StreamTree(
        self, request: pb.StreamTreeRequest, call: Call
    ) -> AsyncIterator[pb.StreamTreeResponse]:
        """All manifests of a tree, parents before children."""
        seen = set(validation.packed_digests("have_hashes", request.have_hashes))
        repo_id = call.repository.id
        async with self._database.connection() as connection:
            revision = await revisions.find(connection, repo_id, request.revision)
        message = pb.StreamTreeResponse(commit_hash=revision.commit, tree_hash=revision.tree)
        size = 0
        level = [revision.tree] if revision.tree not in seen else []
        while level:
            batch, level = level[:FETCH], level[FETCH:]
            async with self._database.connection() as connection:
                loaded = await manifests.load(connection, repo_id, batch)
            for content, manifest in loaded.values():
                fresh = [c for c in dict.fromkeys(manifests.children(manifest)) if c not in seen]
                seen.update(fresh)
                level += fresh
                if message.manifests and size + len(content) > MESSAGE_BYTES:
                    yield message
                    message, size = pb.StreamTreeResponse(), 0
                message.manifests.append(content)
                size += len(content)
        yield message

    async def ListDirectory(
        self, request: pb.ListDirectoryRequest, call: Call
    ) -> pb.ListDirectoryResponse:
        """The entries of one directory, by name."""
        page = Page(self._key, request, call)
        # Later pages stay on the commit of the first, even if the branch has moved on.
        pinned, after = page.after or (None, None)
        repo_id = call.repository.id
        async with self._database.connection() as connection:
            revision = await revisions.find(connection, repo_id, pinned or request.revision)
            manifest = await _directory(connection, repo_id, revision, request.path)
            names = [entry.name for entry in manifest.entries]
            start = bisect_right(names, after) if after is not None else 0
            entries, token = page.answer(
                manifest.entries[start : start + page.size + 1],
                lambda entry: (revision.commit, entry.name),
            )
            shown = await _describe(connection, repo_id, list(entries))
        return pb.ListDirectoryResponse(
            commit_hash=revision.commit, entries=shown, next_page_token=token
        )

    async def GetEntry(self, request: pb.GetEntryRequest, call: Call) -> pb.GetEntryResponse:
        """What is at a path."""
        repo_id = call.repository.id
        path = validation.path("path", request.path)
        parent, _, name = path.rpartition("/")
        async with self._database.connection() as connection:
            revision = await revisions.find(connection, repo_id, request.revision)
            manifest = await _directory(connection, repo_id, revision, parent)
            entry = _child(manifest, name, path)
            shown = await _describe(connection, repo_id, [entry])
        return pb.GetEntryResponse(commit_hash=revision.commit, entry=shown[0], stored=entry)


async def _directory(
    connection: Connection, repo_id: UUID, revision: Revision, path: str
) -> Manifest:
    """The manifest of a directory of a commit."""
    path = unicodedata.normalize("NFC", path)
    name = revision.tree
    parts = validation.path("path", path).split("/") if path else []
    for depth in range(len(parts) + 1):
        row = await connection.fetchrow(Q.manifest, repo_id, name)
        if row is None:
            # The tree of a commit is complete; only the empty one is not stored.
            raise not_found("path", path)
        manifest = manifests.parse(row["content"])
        if depth < len(parts):
            entry = _child(manifest, parts[depth], path)
            if not entry.HasField("directory"):
                raise not_found("path", path)
            name = entry.directory.manifest_hash.hex()
    return manifest


def _child(manifest: Manifest, name: str, path: str) -> Entry:
    """One entry of a directory, or NOT_FOUND for the path."""
    for entry in manifest.entries:
        if entry.name == name:
            return entry
    raise not_found("path", path)


async def _describe(
    connection: Connection, repo_id: UUID, entries: list[Entry]
) -> list[pb.DirectoryEntry]:
    """Entries as people see them; what lies below a directory was counted when it was pushed."""
    directories = [e.directory.manifest_hash.hex() for e in entries if e.HasField("directory")]
    large = [e.file.hash.hex() for e in entries if e.file.recipe_hashes]
    sizes, chunks = {}, {}
    if directories:
        for row in await connection.fetch(Q.directory_counts, repo_id, directories):
            sizes[row["hash"]], chunks[row["hash"]] = row["total_size"], row["chunk_count"]
    if large:
        for row in await connection.fetch(Q.chunk_counts, repo_id, large):
            chunks[row["hash"]] = row["chunk_count"]
    return [_shown(entry, sizes, chunks) for entry in entries]


def _shown(entry: Entry, sizes: dict[str, int], chunks: dict[str, int]) -> pb.DirectoryEntry:
    if entry.HasField("file"):
        file = entry.file
        return pb.DirectoryEntry(
            name=entry.name,
            kind=pb.ENTRY_KIND_FILE,
            size=file.size,
            mode=file.mode,
            hash=file.hash.hex(),
            chunk_count=chunks.get(file.hash.hex(), len(file.chunk_sizes)),
        )
    if entry.HasField("directory"):
        name = entry.directory.manifest_hash.hex()
        return pb.DirectoryEntry(
            name=entry.name,
            kind=pb.ENTRY_KIND_DIRECTORY,
            size=sizes[name],
            hash=name,
            chunk_count=chunks[name],
        )
    return pb.DirectoryEntry(
        name=entry.name, kind=pb.ENTRY_KIND_SYMLINK, target=entry.symlink.target
    )

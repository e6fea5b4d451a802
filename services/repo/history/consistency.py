"""History held against itself: what names what, and how often."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from dits.repo.v1.manifest_pb2 import File, Manifest

from services.repo.history.batches import split_batches
from services.repo.history.manifests import child_hashes, load_manifests
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import DomainError
from shared.formats.canonical import FormatError, split_hashes
from shared.formats.recipes import decode_recipe

Q = sql.load(__file__)

_MANIFESTS = 200
_RECIPES = 20

# Returns the bytes of those recipes that there are.
ReadRecipes = Callable[[Sequence[bytes]], Awaitable[Mapping[bytes, bytes]]]


@dataclass(slots=True)
class HistoryReport:
    """What was found of one repository.

    Attributes:
        manifest_count: its directories.
        faults: a sentence for each.
        chunks: how many contents have each chunk, recipes included.
    """

    manifest_count: int = 0
    faults: list[str] = field(default_factory=list)
    chunks: dict[bytes, int] = field(default_factory=dict)


async def list_repositories(connection: Connection) -> list[UUID]:
    """Returns all repositories but those that are deleted."""
    return [row["id"] for row in await connection.fetch(Q.list_repositories)]


async def check_history(
    connection: Connection, repository_id: UUID, read_recipes: ReadRecipes
) -> HistoryReport:
    """Checks that all that is named is there, and that contents are counted right. Reads every directory.

    Heads, tags and trees of commits need no check: the database has references for them.
    """
    report = HistoryReport()
    for row in await connection.fetch(Q.missing_parents, repository_id):
        report.faults.append(f"commit {row['hash']}: its parent {row['parent']} is missing")
    hashes = [row["hash"] for row in await connection.fetch(Q.list_manifests, repository_id)]
    report.manifest_count = len(hashes)
    contents = _Contents(set(hashes))
    for batch in split_batches(hashes, _MANIFESTS):
        for digest, manifest in (await _load(connection, repository_id, batch, report)).items():
            contents.add(digest, manifest, report)
    for row in await connection.fetch(Q.list_assets, repository_id):
        count = contents.counts.pop(row["hash"], 0)
        if row["is_obliterated"]:
            contents.files.pop(row["hash"], None)
        if count != row["ref_count"]:
            report.faults.append(
                f"content {row['hash']} of repository {repository_id}: ref_count is {row['ref_count']}, "
                f"and {count} directories have it"
            )
    report.faults += [f"content {each}: it has no row" for each in contents.counts]
    await _count_chunks(contents.files, read_recipes, report)
    return report


async def _load(
    connection: Connection, repository_id: UUID, hashes: Sequence[str], report: HistoryReport
) -> dict[str, Manifest]:
    """Returns manifests; those that are damaged are reported."""
    try:
        return await load_manifests(connection, repository_id, hashes)
    except DomainError as error:
        if len(hashes) == 1:
            report.faults.append(f"directory {hashes[0]}: {error.message}")
            return {}
    loaded: dict[str, Manifest] = {}
    for each in hashes:
        loaded |= await _load(connection, repository_id, [each], report)
    return loaded


class _Contents:
    """The contents of a repository's directories.

    Attributes:
        counts: how many directories have each.
        files: each as one of the directories has it.
    """

    def __init__(self, directories: set[str]) -> None:
        self.counts: dict[str, int] = {}
        self.files: dict[str, File] = {}
        self._directories = directories

    def add(self, digest: str, manifest: Manifest, report: HistoryReport) -> None:
        """Adds a directory."""
        for child in set(child_hashes(manifest)) - self._directories:
            report.faults.append(f"directory {digest}: its directory {child} is missing")
        found = {e.file.hash.hex(): e.file for e in manifest.entries if e.HasField("file")}
        for name, file in found.items():
            self.counts[name] = self.counts.get(name, 0) + 1
            self.files.setdefault(name, file)


async def _count_chunks(
    files: Mapping[str, File], read_recipes: ReadRecipes, report: HistoryReport
) -> None:
    """Counts in how many contents each chunk is."""
    for file in files.values():
        chunks = set(split_hashes(file.chunk_hashes))
        for batch in split_batches(sorted(set(split_hashes(file.recipe_hashes))), _RECIPES):
            recipes = await read_recipes(batch)
            chunks |= set(batch)
            for digest in batch:
                chunks.update(_list_chunks(digest, recipes.get(digest), report))
        for chunk in chunks:
            report.chunks[chunk] = report.chunks.get(chunk, 0) + 1


def _list_chunks(digest: bytes, content: bytes | None, report: HistoryReport) -> Iterable[bytes]:
    if content is None:
        report.faults.append(f"recipe {digest.hex()}: it cannot be read, nor can what is in it")
        return ()
    try:
        return split_hashes(decode_recipe(content).chunk_hashes)
    except FormatError as error:
        report.faults.append(f"recipe {digest.hex()}: {error}")
        return ()

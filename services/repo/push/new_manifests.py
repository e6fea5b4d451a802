"""The manifests of a push: which of them are new, what lies below them, and adding them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Manifest

from services.repo.history.batches import split_batches, split_by_size
from services.repo.push.chunk_lists import ChunkLists
from services.repo.push.counts import Counts, count_below, require_bounded
from services.repo.push.manifest_deltas import ChosenForm, choose_forms
from services.repo.push.preparation import PreparedPush
from services.repo.push.stream import Push
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import history_missing, stream_order
from shared.runtime.weighed_work import do_weighed

Q = sql.load(__file__)

# Manifests that one statement looks up; how many it adds, and bytes of them as they are stored.
BATCH = 2_000
MOST_ADDED = 200
MOST_BYTES = 4 << 20


async def lock_manifests(
    connection: Connection, repository_id: UUID, push: Push
) -> dict[str, Counts]:
    """Locks the manifests that a push brings or names; returns the counts of those that exist.

    What was condemned of them is not any more. Raises HISTORY_MISSING if one is neither in the push nor in
    the repository.
    """
    named = await do_weighed(push.steps, push.named_manifests)
    if not named:
        return {}
    rows = []
    for batch in split_batches(sorted(named), BATCH):
        rows += await connection.fetch(Q.lock_manifests, repository_id, batch)
    counts = {
        row["hash"]: Counts(
            row["entry_count"],
            row["total_size"],
            row["chunk_count"],
            row["depth"],
            row["path_bytes"],
        )
        for row in rows
    }
    absent = named - counts.keys() - push.manifests.keys()
    if absent:
        raise history_missing("manifest", sorted(absent))
    if condemned := [row["hash"] for row in rows if row["condemned"] is not None]:
        await connection.execute(Q.pardon_manifests, repository_id, condemned)
    return counts


async def insert_manifests(
    connection: Connection,
    repository_id: UUID,
    prepared: PreparedPush,
    stored: Mapping[str, Counts],
    counts: Mapping[str, Counts],
    predecessors: Mapping[str, str],
) -> list[Manifest]:
    """Adds the manifests of a push that are not stored yet; returns those that were new.

    `predecessors` names for a directory the manifest that it had before.
    """
    push = prepared.push
    hashes = sorted(push.manifests.keys() - stored.keys())
    if not hashes:
        return []
    first_commits = await do_weighed(push.steps, _find_first_commits, push)
    forms = await choose_forms(connection, repository_id, prepared, hashes, predecessors)
    inserted: list[str] = []
    sized = ((digest, len(forms[digest].content)) for digest in hashes)
    for batch in split_by_size(sized, MOST_ADDED, MOST_BYTES):
        rows = await connection.fetch(
            *Q.bind.insert_manifests(
                repository_id=repository_id,
                hashes=batch,
                commit_hashes=[first_commits[digest] for digest in batch],
                parent_hashes=[predecessors.get(digest) for digest in batch],
                **_list_counts([counts[digest] for digest in batch]),
                **_list_forms([forms[digest] for digest in batch]),
            )
        )
        inserted += [row["hash"] for row in rows]
    if len(inserted) < len(hashes):
        await _accept_foreign(connection, repository_id, prepared, inserted, forms)
    return [push.manifests[digest] for digest in inserted]


def _list_counts(counts: Sequence[Counts]) -> dict[str, list[int]]:
    return {
        "entry_counts": [below.entries for below in counts],
        "total_sizes": [below.size for below in counts],
        "chunk_counts": [below.chunks for below in counts],
        "depths": [below.depth for below in counts],
        "path_bytes": [below.path_bytes for below in counts],
    }


def _list_forms(forms: Sequence[ChosenForm]) -> dict[str, list[object]]:
    return {
        "contents": [form.content for form in forms],
        "delta_bases": [form.link.base for form in forms],
        "delta_depths": [form.link.depth for form in forms],
        "decoded_bytes": [form.link.decoded for form in forms],
    }


async def _accept_foreign(
    connection: Connection,
    repository_id: UUID,
    prepared: PreparedPush,
    inserted: Collection[str],
    forms: Mapping[str, ChosenForm],
) -> None:
    """Keeps the manifests that another push has added meanwhile.

    Manifests with one of them as base are stored alone: its chain may be longer.
    """
    foreign = forms.keys() - set(inserted)
    await connection.execute(Q.pardon_manifests, repository_id, sorted(foreign))
    stored, contents = prepared.stored, prepared.push.contents
    alone = [digest for digest in inserted if forms[digest].link.base in foreign]
    sized = ((digest, len(stored[digest])) for digest in alone)
    for batch in split_by_size(sized, MOST_ADDED, MOST_BYTES):
        wholes = [stored[digest] for digest in batch]
        sizes = [len(contents[digest]) for digest in batch]
        await connection.execute(Q.store_whole, repository_id, batch, wholes, sizes)


def count_manifests(
    push: Push, stored: Mapping[str, Counts], lists: ChunkLists
) -> dict[str, Counts]:
    """Returns the counts of the manifests that a push brings or names.

    Raises STREAM_ORDER, and INVALID_FIELD or BATCH_TOO_LARGE for a tree over a limit.
    """
    counts = dict(stored)
    exact: set[str] = set()
    for digest, manifest in push.manifests.items():  # children first, as they came
        if digest in counts:
            continue
        children = push.children[digest]
        for child in children:
            if child not in counts:
                raise stream_order(f"the manifest {child} comes after one that names it")
        if lists.are_inline and exact.issuperset(children):
            # All below it came with the push, and was counted when it came.
            counts[digest] = push.counts[digest]
            exact.add(digest)
            continue
        counts[digest] = count_below(manifest, counts, lists.count_chunks)
        require_bounded(digest, counts[digest])
    return counts


def _find_first_commits(push: Push) -> dict[str, str]:
    """Returns for each manifest of the push the first of its commits that reaches it."""
    found: dict[str, str] = {}
    for commit, content in push.commits.items():
        left = [content.tree_hash.hex()]
        while left:
            digest = left.pop()
            if digest in found or digest not in push.manifests:
                continue
            found[digest] = commit
            left += push.children[digest]
    return found

"""What a push needs before its transaction: the chunk lists of large files, and compressed manifests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from dits.repo.v1.manifest_pb2 import Manifest

from services.repo.history.ancestry import read_nodes
from services.repo.history.filter_computation import KeptManifests, TreeChange, compute_filters
from services.repo.history.manifest_forms import compress_manifest
from services.repo.history.signatures import CheckedSignature, check_given_signature
from services.repo.push.chunk_lists import ChunkLists, read_lists
from services.repo.push.recipes import RecipeReader
from services.repo.push.stream import ENTRY_COST, Push
from shared.db.pool import Database
from shared.formats.commits import encode_commit
from shared.formats.sshsig import COMMIT_NAMESPACE
from shared.rpc.byte_budget import Hold
from shared.rpc.call import Call
from shared.runtime.weighed_work import do_weighed

# Commits that get their filters with the push; those of the others are computed in the background.
MAX_FILTERS = 1_000
# What a byte of the largest manifest takes while its form is chosen: two bases, and a delta in work.
FORM_COST = 7


@dataclass(frozen=True, slots=True)
class PreparedPush:
    """A push that is ready to be applied.

    Attributes:
        push: what the client sent.
        stored: the manifests of the push, by hash, in the form in which they are stored.
        lists: the chunk lists of its files.
        filters: filters of changed paths, of its first commits.
        signatures: those of its commits.
        known: some manifests that it names or brings, or that were there before.
    """

    push: Push
    stored: Mapping[str, bytes]
    lists: ChunkLists
    filters: Mapping[str, bytes]
    signatures: Mapping[str, CheckedSignature]
    known: Mapping[str, Manifest]


async def prepare_push(
    database: Database, recipes: RecipeReader, push: Push, call: Call, hold: Hold
) -> PreparedPush:
    """Does the slow work that needs no transaction. Raises what `read_lists` raises."""
    lists = await read_lists(database, recipes, push, call, hold)
    cost = push.cost + lists.cost + FORM_COST * push.largest
    await hold.grow_to(cost)
    stored = await do_weighed(push.steps, _compress_all, push.contents)
    known = KeptManifests()
    filters = await _compute_filters(database, call.repository.id, push, known)
    await hold.grow_to(cost + ENTRY_COST * known.entries)
    signatures = await asyncio.to_thread(_check_signatures, push) if push.signatures else {}
    return PreparedPush(push, stored, lists, filters, signatures, known.manifests)


def _check_signatures(push: Push) -> dict[str, CheckedSignature]:
    return {
        commit: check_given_signature(
            given,
            encode_commit(push.commits[commit]),
            COMMIT_NAMESPACE,
            push.commits[commit].author.email,
        )
        for commit, given in push.signatures.items()
    }


def _compress_all(contents: Mapping[str, bytes]) -> dict[str, bytes]:
    return {digest: compress_manifest(content) for digest, content in contents.items()}


async def _compute_filters(
    database: Database, repository_id: UUID, push: Push, known: KeptManifests
) -> dict[str, bytes]:
    """Returns the filters of the first commits; a commit whose parent is not known gets none."""
    commits = dict(islice(push.commits.items(), MAX_FILTERS))
    parents = {commit: c.parent_hashes[0].hex() for commit, c in commits.items() if c.parent_hashes}
    trees: dict[str, str | None] = {c: push.commits[c].tree_hash.hex() for c in push.commits}
    if stored := set(parents.values()) - trees.keys():
        async with database.connection() as connection:
            nodes = await read_nodes(connection, repository_id, stored)
        trees |= {commit: node.tree for commit, node in nodes.items()}
    trees[""] = None
    changes = {
        commit: TreeChange(trees[parent], content.tree_hash.hex())
        for commit, content in commits.items()
        if (parent := parents.get(commit, "")) in trees
    }
    return await compute_filters(database, repository_id, push.manifests, changes, known)

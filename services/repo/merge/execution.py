"""A merge carried out as a push of the server's own: in the same transaction, under the same rules."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from dits.repo.v1.manifest_pb2 import CommitContent, Signer

from services.repo.history.branch_moves import BranchUpdate, read_branches
from services.repo.history.revisions import resolve_revision
from services.repo.merge.plan import MergePlan, Outcome
from services.repo.push.preparation import PreparedPush, prepare_push
from services.repo.push.recipes import RecipeReader
from services.repo.push.ref_updates import RefUpdates
from services.repo.push.stream import BYTE_COST, ITEM_COST, Push
from services.repo.push.transaction import apply_push
from shared.db.pool import Connection, Database
from shared.errors import head_moved, invalid_field, not_found
from shared.formats.canonical import FormatError
from shared.formats.commits import commit_hash
from shared.rpc.byte_budget import Hold
from shared.rpc.call import Call


@dataclass(frozen=True, slots=True)
class MergeOrder:
    """Two branches and where they are; the commit that is made of them.

    Attributes:
        target: name of the branch that is moved.
        ours: hash of the commit where it is expected.
        source: revision that has to mean `theirs`; empty = none has to.
        theirs: hash of the commit that is merged.
        locks: ids and fences of locks that the merge relies on.
    """

    target: str
    ours: str
    source: str
    theirs: str
    message: str
    author: Signer
    locks: Sequence[tuple[UUID, int]] = ()


@dataclass(frozen=True, slots=True)
class PreparedMerge:
    """A merge that is ready to be applied: the head that it makes, and the push; None = nothing moves."""

    order: MergeOrder
    head: str
    push: PreparedPush | None

    async def apply(self, connection: Connection, call: Call) -> list[str]:
        """Moves the target; returns the ids of the locks that were released.

        Raises HEAD_MOVED, NOT_FOUND, and what a push raises.
        """
        order, repository_id = self.order, call.repository.id
        if order.source:
            await _require_source(connection, repository_id, order.source, order.theirs)
        if self.push is None:
            await _require_head(connection, repository_id, order.target, order.ours)
            return []
        await _require_branch(connection, repository_id, order.target)
        response = await apply_push(connection, call, self.push)
        return list(response.released_lock_ids)


async def prepare_merge(
    database: Database,
    recipes: RecipeReader,
    order: MergeOrder,
    plan: MergePlan,
    call: Call,
    hold: Hold,
) -> PreparedMerge:
    """Returns the merge as a push; `hold` grows by what it takes. Raises INVALID_FIELD, SERVER_BUSY."""
    if plan.outcome is Outcome.UP_TO_DATE:
        return PreparedMerge(order, order.ours, None)
    push, head = Push(locks=list(order.locks)), order.theirs
    if plan.outcome is Outcome.MERGED:
        head = _add_commit(push, order, plan.tree)
        size = sum(map(len, plan.manifests.values()))
        await hold.grow_to(BYTE_COST * size + ITEM_COST * len(plan.manifests))
        await asyncio.to_thread(_add_manifests, push, plan.manifests)
        push.cost += hold.size
    push.refs = RefUpdates([BranchUpdate(order.target, order.ours, head)])
    await hold.grow_to(push.cost)
    return PreparedMerge(order, head, await prepare_push(database, recipes, push, call, hold))


def _add_commit(push: Push, order: MergeOrder, tree: str) -> str:
    content = CommitContent(
        tree_hash=bytes.fromhex(tree),
        parent_hashes=[bytes.fromhex(order.ours), bytes.fromhex(order.theirs)],
        author=order.author,
        committer=order.author,
        message=order.message,
    )
    try:
        name = commit_hash(content)
    except FormatError as error:
        field = error.field.replace("committer", "author")
        raise invalid_field(field, error.description) from None
    push.commits[name] = content
    return name


def _add_manifests(push: Push, contents: Mapping[str, bytes]) -> None:
    for content in contents.values():
        push.add_manifest(content)


async def _require_branch(connection: Connection, repository_id: UUID, branch: str) -> str:
    """Returns where a branch is. Raises NOT_FOUND."""
    rows = await read_branches(connection, repository_id, [branch])
    if branch not in rows:
        raise not_found("branch", branch)
    return str(rows[branch]["head_commit"])


async def _require_head(
    connection: Connection, repository_id: UUID, branch: str, expected: str
) -> None:
    """Raises HEAD_MOVED or NOT_FOUND unless a branch is at a commit."""
    head = await _require_branch(connection, repository_id, branch)
    if head != expected:
        raise head_moved(branch, expected, head)


async def _require_source(
    connection: Connection, repository_id: UUID, source: str, expected: str
) -> None:
    """Raises HEAD_MOVED, NOT_FOUND or INVALID_FIELD unless a revision means this commit."""
    if source in await read_branches(connection, repository_id, [source]):
        return await _require_head(connection, repository_id, source, expected)
    found = await resolve_revision(connection, repository_id, source, "source")
    if found.commit == expected:
        return None
    if found.commit.startswith(source):
        raise invalid_field("expected_source_head", "is not the commit of source")
    raise head_moved("", expected, found.commit, source)

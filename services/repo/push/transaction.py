"""Push: manifests, file contents, commits and refs in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from dits.repo.v1.commit_service_pb2 import PushResponse

from services.repo.history.ancestry import Node, insert_commits
from services.repo.history.branch_moves import BranchUpdate, find_moves, move_branches
from services.repo.history.catch_up import CatchUp
from services.repo.history.change_rules import ChangeRules, lock_repository
from services.repo.history.changes import Comparison
from services.repo.history.diff import Trees
from services.repo.history.lock_rules import (
    check_fences,
    check_locks,
    measure_locks,
    release_locks,
)
from services.repo.history.mentions import find_mentions
from services.repo.history.push_announcement import announce_push
from services.repo.history.signatures import sign_commits
from services.repo.history.tags import move_tags
from services.repo.push.assets import record_assets
from services.repo.push.commit_graph import build_graph, find_push_changes
from services.repo.push.new_manifests import count_manifests, insert_manifests, lock_manifests
from services.repo.push.preparation import PreparedPush
from shared.db.pool import Connection
from shared.formats.shelves import is_shelf
from shared.rpc.call import Call
from shared.runtime.weighed_work import do_weighed


async def apply_push(connection: Connection, call: Call, prepared: PreparedPush) -> PushResponse:
    """Applies all of a push, in the order in which rows are locked everywhere."""
    push, repository_id = prepared.push, call.repository.id
    rules = await lock_repository(connection, call)
    stored = await lock_manifests(connection, repository_id, push)
    counts = await do_weighed(push.steps, count_manifests, push, stored, prepared.lists)
    moves = await find_moves(connection, repository_id, push.refs.branches)
    graph = await build_graph(connection, repository_id, push)
    trees = Trees(connection, repository_id, push.manifests, rules.files, prepared.known)
    changes = await find_push_changes(connection, repository_id, push, moves, graph, trees)
    predecessors = await do_weighed(changes.steps, changes.find_predecessors)
    manifests = await insert_manifests(
        connection, repository_id, prepared, stored, counts, predecessors
    )
    assets = await record_assets(
        connection, repository_id, manifests, prepared.lists, rules, push.steps
    )
    new = await _insert_commits(connection, repository_id, prepared, graph)
    catch_up = CatchUp(connection, repository_id, trees, changes, _list_left(moves, graph))
    released = await _apply_locks(connection, call, rules, catch_up, push.locks)
    tags = await move_tags(connection, call, push.refs.tags)
    await move_branches(connection, call, moves, graph, changes)
    mentions = await do_weighed(push.steps, find_mentions, push.commits, new)
    await announce_push(
        connection,
        call,
        [move.describe() for move in moves],
        [tag.describe() for tag in tags],
        commits=len(new),
        assets=len(assets),
        size=await do_weighed(len(assets), sum, (asset.file.size for asset in assets)),
        mentions=mentions,
    )
    return PushResponse(
        refs=push.refs.states,
        new_commit_count=len(new),
        new_manifest_count=len(manifests),
        new_asset_count=len(assets),
        released_lock_ids=released,
    )


def _list_left(
    moves: Sequence[BranchUpdate], graph: Mapping[str, Node]
) -> list[tuple[str, Comparison]]:
    """Returns where the branches were that move, except shelves, each with its trees."""
    return [
        (move.expected, move.compare(graph))
        for move in moves
        if move.expected and not is_shelf(move.branch)
    ]


async def _apply_locks(
    connection: Connection,
    call: Call,
    rules: ChangeRules,
    catch_up: CatchUp,
    fences: Sequence[tuple[UUID, int]],
) -> list[str]:
    """Holds a push against the locks of the repository; returns the ids of those that it ends."""
    changes = catch_up.changes
    extent = await measure_locks(connection, call, changes)
    await check_locks(connection, call, rules, catch_up, extent)
    await check_fences(connection, call, fences)
    return await release_locks(connection, call, changes, extent)


async def _insert_commits(
    connection: Connection, repository_id: UUID, prepared: PreparedPush, graph: Mapping[str, Node]
) -> list[str]:
    """Adds the commits of a push with their signatures; returns those that were new."""
    commits = prepared.push.commits
    new = await insert_commits(connection, repository_id, commits, graph, prepared.filters)
    await sign_commits(connection, repository_id, prepared.signatures)
    return new

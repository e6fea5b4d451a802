"""Push: manifests, file contents, commits and branches in one transaction."""

from __future__ import annotations

import asyncio

from dits.repo.v1.commit_service_pb2 import PushResponse, RefState

from services.repo.history.ancestry import insert_commits
from services.repo.history.branches import find_moves, move_branches
from services.repo.history.change_rules import lock_repository
from services.repo.history.diff import Trees
from services.repo.history.lock_rules import check_fences, check_locks, release_locks
from services.repo.history.mentions import find_mentions
from services.repo.history.push_announcement import announce_push
from services.repo.push.assets import record_assets
from services.repo.push.commit_graph import build_graph, find_push_changes
from services.repo.push.new_manifests import count_manifests, insert_manifests, lock_manifests
from services.repo.push.preparation import PreparedPush
from shared.db.pool import Connection
from shared.rpc.call import Call


async def apply_push(connection: Connection, call: Call, prepared: PreparedPush) -> PushResponse:
    """Applies all of a push, in the order in which rows are locked everywhere."""
    push, repository_id = prepared.push, call.repository.id
    rules = await lock_repository(connection, repository_id)
    stored = await lock_manifests(connection, repository_id, push)
    counts = await asyncio.to_thread(count_manifests, push, stored, prepared.lists)
    moves = await find_moves(connection, repository_id, push.updates)
    graph = await build_graph(connection, repository_id, push)
    trees = Trees(connection, repository_id, push.manifests, rules.files)
    changes = await find_push_changes(push, moves, graph, trees)
    predecessors = await asyncio.to_thread(changes.find_predecessors)
    manifests = await insert_manifests(
        connection, repository_id, prepared, stored, counts, predecessors
    )
    assets = await record_assets(connection, repository_id, manifests, prepared.lists)
    new = await insert_commits(connection, repository_id, push.commits, graph, prepared.filters)
    await check_locks(connection, call, rules, changes, trees)
    await check_fences(connection, call, push.locks)
    released = await release_locks(connection, call, changes)
    await move_branches(connection, call, moves, graph)
    size = await asyncio.to_thread(sum, (asset.file.size for asset in assets))
    mentions = await asyncio.to_thread(find_mentions, push.commits, new)
    await announce_push(
        connection,
        call,
        [move.describe() for move in moves],
        commits=len(new),
        assets=len(assets),
        size=size,
        mentions=mentions,
    )
    return PushResponse(
        refs=[RefState(branch=update.branch, head=update.new) for update in push.updates],
        new_commit_count=len(new),
        new_manifest_count=len(manifests),
        new_asset_count=len(assets),
        released_lock_ids=released,
    )

"""RefService.MergeBranches: two branches merged by path, or what forbids it listed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from dits.repo.v1 import merge_pb2 as pb
from dits.repo.v1.manifest_pb2 import Entry, Signer

from services.repo.history.directories import Totals, read_totals
from services.repo.history.lock_rules import find_held_paths
from services.repo.history.revisions import is_commit, resolve_revision
from services.repo.merge.execution import MergeOrder, PreparedMerge, prepare_merge
from services.repo.merge.plan import MergePlan, MergeWish, Outcome, plan_merge
from services.repo.merge.three_way import Conflict, Resolutions, Side
from services.repo.push.recipes import RecipeReader
from services.repo.rpc.heavy_calls import HeavyCalls
from services.repo.rpc.tree_messages import describe_entry
from shared.db.pool import Connection, Database, Databases
from shared.errors import LockConflict, invalid_field, merge_conflict
from shared.records.idempotency import IdempotentWrites, Repeatable
from shared.rpc import validation
from shared.rpc.byte_budget import ByteBudget
from shared.rpc.call import Call
from shared.rpc.paging import PAGE_BYTES
from shared.runtime.server_key import ServerKey

MAX_RESOLUTIONS = 10_000
MAX_LOCKS = 10_000
# Conflicts that a response lists.
MAX_SHOWN = 1_000

_SIDES = {pb.MERGE_SIDE_OURS: Side.OURS, pb.MERGE_SIDE_THEIRS: Side.THEIRS}
_SIDE_VALUES = {side: value for value, side in _SIDES.items()}
_OUTCOMES = {
    Outcome.UP_TO_DATE: pb.MERGE_OUTCOME_UP_TO_DATE,
    Outcome.FAST_FORWARD: pb.MERGE_OUTCOME_FAST_FORWARD,
    Outcome.MERGED: pb.MERGE_OUTCOME_MERGED,
    Outcome.CONFLICTS: pb.MERGE_OUTCOME_CONFLICTS,
}


class BranchMerges:
    """Merges branches for callers."""

    def __init__(
        self, databases: Databases, key: ServerKey, recipes: RecipeReader, budget: ByteBudget
    ) -> None:
        self._databases = databases
        self._key = key
        self._recipes = recipes
        self._budget = budget
        self._heavy_calls = HeavyCalls()

    async def merge(self, request: pb.MergeBranchesRequest, call: Call) -> pb.MergeBranchesResponse:
        """Merges, or with `validate_only` finds out what would happen."""
        make = partial(self._merge, request, call)
        repeatable = Repeatable.of(request)
        if request.validate_only:
            return await make()
        # The branches may have changed since the first call.
        return await self._writes(call).find_or_make(
            call, repeatable, pb.MergeBranchesResponse, make
        )

    def _writes(self, call: Call) -> IdempotentWrites:
        return IdempotentWrites(self._databases.of(call.repository.id), self._key)

    async def _merge(
        self, request: pb.MergeBranchesRequest, call: Call
    ) -> pb.MergeBranchesResponse:
        database = self._databases.of(call.repository.id)
        resolutions = await validation.parse_in_time(_parse_resolutions, request)
        order = await _read_order(database, request, call)
        wish = MergeWish(
            order.ours,
            order.theirs,
            resolutions,
            no_fast_forward=request.no_fast_forward,
            allow_unrelated=request.allow_unrelated,
        )
        with self._budget.hold(call.holder) as hold:
            async with self._heavy_calls.turn(call):
                plan = await plan_merge(database, call.repository.id, wish, hold)
            if plan.outcome is Outcome.CONFLICTS:
                if not request.validate_only:
                    raise merge_conflict([conflict.path for conflict in plan.unresolved])
                return await _show(database, call, order, plan, "")
            prepared = await prepare_merge(database, self._recipes, order, plan, call, hold)
            if request.validate_only:
                await database.transaction(
                    lambda connection: prepared.apply(connection, call), undo=True
                )
                head = "" if plan.outcome is Outcome.MERGED else prepared.head
                return await _show(database, call, order, plan, head)
            return await self._writes(call).once(
                call,
                Repeatable.of(request),
                pb.MergeBranchesResponse,
                partial(_apply, call=call, prepared=prepared, plan=plan),
            )


async def _apply(
    connection: Connection, *, call: Call, prepared: PreparedMerge, plan: MergePlan
) -> pb.MergeBranchesResponse:
    released = await prepared.apply(connection, call)
    response = _describe(prepared.order, plan, prepared.head)
    response.released_lock_ids.extend(released)
    return response


def _parse_resolutions(request: pb.MergeBranchesRequest) -> Resolutions:
    validation.count("resolutions", request.resolutions, MAX_RESOLUTIONS, least=0)
    sides: dict[str, Side] = {}
    for at, resolution in enumerate(request.resolutions):
        path = validation.path(f"resolutions[{at}].path", resolution.path, directory=True)
        if resolution.side not in _SIDES:
            raise invalid_field(f"resolutions[{at}].side", "must be OURS or THEIRS")
        if path in sides:
            raise invalid_field(f"resolutions[{at}].path", "is there twice")
        sides[path] = _SIDES[resolution.side]
    if request.other_conflicts and request.other_conflicts not in _SIDES:
        raise invalid_field("other_conflicts", "must be OURS or THEIRS")
    return Resolutions(sides.items(), _SIDES.get(request.other_conflicts))


async def _read_order(
    database: Database, request: pb.MergeBranchesRequest, call: Call
) -> MergeOrder:
    target = validation.branch("target", request.target)
    ours = validation.digest("expected_head", request.expected_head)
    validation.count("locks", request.locks, MAX_LOCKS, least=0)
    locks = [(validation.uuid("locks.lock_id", lock.lock_id), lock.fence) for lock in request.locks]
    if is_commit(request.source):
        source, branch = request.source, ""
    else:
        source, branch = validation.branch("source", request.source), request.source
    theirs = request.expected_source_head
    if theirs:
        validation.digest("expected_source_head", theirs)
        if not branch and theirs != source:
            raise invalid_field("expected_source_head", "is not the commit of source")
    else:
        async with database.connection() as connection:
            theirs = (
                await resolve_revision(connection, call.repository.id, source, "source")
            ).commit
        branch = ""
    author = request.author if request.HasField("author") else _make_author(call)
    message = request.message or f"Merge {request.source} into {target}"
    return MergeOrder(target, ours, branch, theirs, message, author, locks)


def _make_author(call: Call) -> Signer:
    return Signer(name=call.caller.username, time_us=time.time_ns() // 1000)


def _describe(order: MergeOrder, plan: MergePlan, head: str) -> pb.MergeBranchesResponse:
    return pb.MergeBranchesResponse(
        outcome=_OUTCOMES[plan.outcome],
        head=head,
        source_head=order.theirs,
        merge_bases=plan.bases,
        conflict_count=len(plan.conflicts),
        unresolved_count=len(plan.unresolved),
    )


async def _show(
    database: Database, call: Call, order: MergeOrder, plan: MergePlan, head: str
) -> pb.MergeBranchesResponse:
    """Returns what a merge comes to, with its first conflicts and the locks on them."""
    response = _describe(order, plan, head)
    shown = _choose_shown(plan.conflicts)
    if not shown:
        return response
    entries = [e for c in shown for e in (c.base, c.ours, c.theirs) if e is not None]
    async with database.connection() as connection:
        totals = await read_totals(connection, call.repository.id, entries)
        held = await find_held_paths(connection, call, [conflict.path for conflict in shown])
    await asyncio.to_thread(_add_conflicts, response, shown, totals, held)
    return response


def _choose_shown(conflicts: Sequence[Conflict]) -> list[Conflict]:
    """Returns the first conflicts, as many as a response has room for."""
    shown: list[Conflict] = []
    size = 0
    for conflict in conflicts[:MAX_SHOWN]:
        size += conflict.measure()
        if shown and size > PAGE_BYTES:
            break
        shown.append(conflict)
    return shown


def _add_conflicts(
    response: pb.MergeBranchesResponse,
    conflicts: Iterable[Conflict],
    totals: Totals,
    held: Mapping[str, Sequence[LockConflict]],
) -> None:
    for conflict in conflicts:
        message = _describe_conflict(conflict, totals, held.get(conflict.path, ()))
        response.conflicts.append(message)


def _describe_conflict(
    conflict: Conflict, totals: Totals, locks: Sequence[LockConflict]
) -> pb.MergeConflict:
    message = pb.MergeConflict(path=conflict.path)
    if conflict.side is not None:
        message.resolution = _SIDE_VALUES[conflict.side]
    for side, entry in (("ours", conflict.ours), ("theirs", conflict.theirs)):
        if entry is not None:
            getattr(message, side).CopyFrom(describe_entry(entry, totals))
    if conflict.base is not None and not _is_directory(conflict.base):
        message.base.CopyFrom(describe_entry(conflict.base, totals))
    for lock in locks:
        shown = message.locks.add(lock_id=lock.lock_id, path=lock.lock_path, holder=lock.holder)
        shown.expire_time.FromDatetime(lock.expires)
    return message


def _is_directory(entry: Entry) -> bool:
    return entry.HasField("directory")

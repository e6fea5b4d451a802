"""The refs that a push moves: read and checked before the database is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dits.repo.v1 import commit_service_pb2 as pb

from services.repo.history.branch_moves import BranchUpdate
from services.repo.history.tags import TagUpdate, make_tag_update
from shared.errors import invalid_field
from shared.rpc import validation

MAX_UPDATES = 1_000
FIELD = "refs.updates"


@dataclass(frozen=True, slots=True)
class RefUpdates:
    """The refs that a push moves.

    Attributes:
        branches: sorted by name.
        tags: sorted by name.
        states: where all of them are afterwards, in the order of the request.
    """

    branches: list[BranchUpdate] = field(default_factory=list)
    tags: list[TagUpdate] = field(default_factory=list)
    states: list[pb.RefState] = field(default_factory=list)

    @property
    def new_heads(self) -> set[str]:
        """Returns the commits that the refs are moved to."""
        return {branch.new for branch in self.branches} | {tag.new for tag in self.tags}

    def describe(self) -> list[str]:
        """Returns a line for each ref that says all of its move."""
        lines = [f"{u.branch}\0{u.expected}\0{u.new}\0{u.force}" for u in self.branches]
        return lines + [f"\0{u.tag}\0{u.expected}\0{u.new}\0{u.force}\0{u.hash}" for u in self.tags]


def parse_ref_updates(updates: Sequence[pb.RefUpdate]) -> RefUpdates:
    """Returns the moves of a push. Raises INVALID_FIELD, BATCH_TOO_LARGE."""
    validation.count(FIELD, updates, MAX_UPDATES)
    parsed = RefUpdates()
    for update in updates:
        kind = update.WhichOneof("ref")
        if kind == "branch":
            parsed.branches.append(_parse_branch(update))
            parsed.states.append(pb.RefState(branch=update.branch, head=update.new_head))
        elif kind == "tag":
            parsed.tags.append(_parse_tag(update))
            parsed.states.append(pb.RefState(tag=update.tag, head=update.new_head))
        else:
            raise invalid_field(f"{FIELD}.ref", "must be set")
    parsed.branches.sort(key=lambda update: update.branch.encode())
    parsed.tags.sort(key=lambda update: update.tag.encode())
    names = {update.branch for update in parsed.branches}
    tags = {update.tag for update in parsed.tags}
    if len(names) + len(tags) < len(updates):
        raise invalid_field(FIELD, "must name each ref once")
    return parsed


def _parse_branch(update: pb.RefUpdate) -> BranchUpdate:
    if update.HasField("annotation"):
        raise invalid_field(f"{FIELD}.annotation", "is for tags alone")
    return BranchUpdate(
        validation.branch(f"{FIELD}.branch", update.branch),
        _parse_expected(update),
        validation.digest(f"{FIELD}.new_head", update.new_head),
        update.force,
    )


def _parse_tag(update: pb.RefUpdate) -> TagUpdate:
    name = validation.branch(f"{FIELD}.tag", update.tag)
    head = validation.digest(f"{FIELD}.new_head", update.new_head)
    annotation = update.annotation if update.HasField("annotation") else None
    return make_tag_update(
        f"{FIELD}.annotation",
        TagUpdate(name, _parse_expected(update), head, update.force),
        annotation,
    )


def _parse_expected(update: pb.RefUpdate) -> str:
    if update.expected_head:
        validation.digest(f"{FIELD}.expected_head", update.expected_head)
    return update.expected_head

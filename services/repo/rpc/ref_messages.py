"""Rows of branches and tags as messages, and the tag that a message asks for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, timedelta

from dits.repo.v1 import ref_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import Signer
from dits.repo.v1.ref_protection_pb2 import BranchRule

from services.repo.history.ancestry import EPOCH
from services.repo.history.branch_rules import BranchRules
from services.repo.history.commit_comparison import CommitComparison
from services.repo.history.protection import parse_protection
from services.repo.history.tags import TagUpdate, make_tag_update
from services.repo.rpc.signature_message import signature_message
from shared.db.pool import Row
from shared.rpc import validation

# What a tag takes in a message besides its name and message, at most.
_TAG_BYTES = 2_000


def branch_message(row: Row, rules: Sequence[BranchRule] = ()) -> pb.Branch:
    """Returns a branch as a message, with the rules that protect it, too.

    A row of a list says only whether it is protected.
    """
    text = row["protection"]
    return pb.Branch(
        name=row["name"],
        head=row["head_commit"],
        is_default=row["is_default"],
        creator_id=str(row["created_by"] or ""),
        create_time=row["created_at"],
        update_time=row["updated_at"],
        protection=parse_protection(text) if text else None,
        is_protected=bool(text is not None or row.get("is_protected", False) or rules),
        rules=rules,
    )


def describe_branches(rows: Sequence[Row], rules: BranchRules) -> list[pb.Branch]:
    """Returns the branches of a list, which say only whether they are protected."""
    listed = list(map(branch_message, rows))
    for branch in listed:
        branch.is_protected |= bool(rules.select(branch.name))
    return listed


def add_divergence(branches: list[pb.Branch], compared: Sequence[CommitComparison | None]) -> bool:
    """Says in the first branches how far they are, and drops the others; returns whether it dropped any."""
    is_cut = len(compared) < len(branches)
    del branches[len(compared) :]
    for branch, found in zip(branches, compared, strict=True):
        if found is not None:
            branch.divergence.CopyFrom(pb.Divergence(ahead=found.ahead, behind=found.behind))
    return is_cut


def tag_message(row: Row) -> pb.Tag:
    """Returns a tag as a message."""
    return pb.Tag(
        name=row["name"],
        head=row["commit_hash"],
        annotation=_annotation(row) if row["tag_hash"] else None,
        hash=row["tag_hash"] or "",
        creator_id=str(row["created_by"] or ""),
        create_time=row["created_at"],
        signature=signature_message(row),
    )


def measure_tag(row: Row) -> int:
    """Returns how many bytes a tag takes in a message, at most."""
    return _TAG_BYTES + int(row["size"])


def _annotation(row: Row) -> pb.TagAnnotation:
    # The first and the last time of all come back without a zone: the driver stores them as infinity.
    time = row["tagger_timestamp"].replace(tzinfo=UTC)
    tagger = Signer(
        name=row["tagger_name"],
        email=row["tagger_email"],
        time_us=(time - EPOCH) // timedelta(microseconds=1),
        offset_minutes=row["tagger_offset_minutes"],
    )
    signature = (row["signature"] or b"").decode()
    return pb.TagAnnotation(tagger=tagger, message=row["message"], signature=signature)


def parse_tag(request: pb.CreateTagRequest) -> TagUpdate:
    """Returns the tag that a request wants. Raises INVALID_FIELD, and what `make_tag_update` raises."""
    name = validation.branch("name", request.name)
    head = validation.digest("head", request.head)
    annotation = request.annotation if request.HasField("annotation") else None
    return make_tag_update("annotation", TagUpdate(name, "", head), annotation)

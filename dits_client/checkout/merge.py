"""Merging on the server: a revision into a branch, by path."""

import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dits.common.v1.error_reason_pb2 import (
    ERROR_REASON_LOCK_REQUIRED,
    ERROR_REASON_MERGE_CONFLICT,
)
from dits.repo.v1.manifest_pb2 import Signer
from dits.repo.v1.merge_pb2 import (
    MERGE_SIDE_OURS,
    MERGE_SIDE_THEIRS,
    MERGE_SIDE_UNSPECIFIED,
    MergeBranchesRequest,
    MergeBranchesResponse,
    MergeConflict,
    MergeResolution,
)

from dits_client.checkout.merge_locks import hold_merge_locks
from dits_client.checkout.switch import missing_branch
from dits_client.errors import ClientError, RemoteError
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import escape_text, format_count

# Conflicts that a sentence names.
LISTED = 20
# The server reads directories that both branches changed, and writes a commit.
TIMEOUT = 300.0

_SIDES = {"ours": MERGE_SIDE_OURS, "theirs": MERGE_SIDE_THEIRS, "": MERGE_SIDE_UNSPECIFIED}


class MergeConflictError(ClientError):
    """Both branches changed paths, and nobody said which side to take; `conflicts` lists them."""

    def __init__(self, message: str, conflicts: list[MergeConflict]) -> None:
        super().__init__(message)
        self.conflicts = conflicts


@dataclass(slots=True)
class MergeOptions:
    """What is merged, and how."""

    source: str
    target: str
    # `ours` (the target) or `theirs`, by path; a path with a slash behind it = all below.
    sides: Mapping[str, str] = field(default_factory=dict)
    # `ours` or `theirs` for all other conflicts; empty = they forbid the merge.
    other: str = ""
    message: str = ""
    # Name and e-mail address; None = the account's name.
    author: tuple[str, str] | None = None
    no_fast_forward: bool = False
    allow_unrelated: bool = False
    # Only find out what would happen.
    dry_run: bool = False


def merge_branches(repository: RepositoryClient, wanted: MergeOptions) -> MergeBranchesResponse:
    """Merge; return the server's response. Locks that the merge needs are taken for it.

    Raises MergeConflictError, ClientError.
    """
    head = repository.get_head(wanted.target)
    if not head:
        raise missing_branch(repository, wanted.target)
    request = _make_request(repository.name, wanted, head)
    try:
        return repository.call(repository.refs.MergeBranches, request, TIMEOUT)
    except RemoteError as error:
        if error.reason == ERROR_REASON_LOCK_REQUIRED and not wanted.dry_run:
            with hold_merge_locks(repository, head, wanted.source):
                return repository.call(repository.refs.MergeBranches, request, TIMEOUT)
        if error.reason != ERROR_REASON_MERGE_CONFLICT:
            raise
    request.validate_only = True
    found = repository.call(repository.refs.MergeBranches, request, TIMEOUT)
    raise MergeConflictError("\n".join(_describe_conflicts(wanted, found)), list(found.conflicts))


def _make_request(repository: str, wanted: MergeOptions, head: str) -> MergeBranchesRequest:
    request = MergeBranchesRequest(
        repository=repository,
        request_id=str(uuid.uuid4()),
        target=wanted.target,
        expected_head=head,
        source=wanted.source,
        resolutions=[
            MergeResolution(path=path, side=_SIDES[side]) for path, side in wanted.sides.items()
        ],
        other_conflicts=_SIDES[wanted.other],
        message=wanted.message,
        no_fast_forward=wanted.no_fast_forward,
        allow_unrelated=wanted.allow_unrelated,
        validate_only=wanted.dry_run,
    )
    if wanted.author is not None:
        name, email = wanted.author
        offset = time.localtime().tm_gmtoff // 60
        author = Signer(
            name=name, email=email, time_us=time.time_ns() // 1000, offset_minutes=offset
        )
        request.author.CopyFrom(author)
    return request


def _describe_conflicts(wanted: MergeOptions, found: MergeBranchesResponse) -> Iterator[str]:
    paths = format_count(found.unresolved_count, "path")
    yield (
        f"{wanted.target} and {wanted.source} both changed {paths}: say "
        "which to keep, with --ours PATH, --theirs PATH or --all-others ours|theirs"
    )
    left = [conflict for conflict in found.conflicts if not conflict.resolution]
    for conflict in left[:LISTED]:
        yield f"  {describe_conflict(conflict)}"
    if found.unresolved_count > LISTED:
        yield f"  and {found.unresolved_count - LISTED} more"


def describe_conflict(conflict: MergeConflict) -> str:
    """Return a line about a conflict: the path, both sides, and who has locks on it."""
    ours, theirs = (
        f"{name} {format_count(getattr(conflict, name).size, 'byte')}"
        if conflict.HasField(name)
        else f"{name} gone"
        for name in ("ours", "theirs")
    )
    locks = "".join(f", locked by {lock.holder}" for lock in conflict.locks)
    return f"{escape_text(conflict.path)}: {ours}, {theirs}{locks}"

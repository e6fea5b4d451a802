"""The options of a push, and its result."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from dits.repo.v1.manifest_pb2 import Signer

from dits_client.content.manifest import Change
from dits_client.transfer.upload_stream import UploadReport
from dits_client.workspace.ignore import IgnoreRules
from dits_client.workspace.snapshot import Snapshot
from dits_client.workspace.state import WorkspaceState

# Makes the signature, in armor, of the canonical bytes of a commit.
Sign: TypeAlias = Callable[[bytes], str]


@dataclass(slots=True)
class PushReport:
    """The result of a push."""

    # The commit that the branch is at now, hexadecimal; empty = it has no commit.
    commit: str
    branch: str
    # False = there was nothing to push.
    pushed: bool
    # The branch has commits on the server that the folder does not have.
    behind: bool
    # Files in the folder; files and links that differ from the parent.
    files: int
    changed: int
    # Of those, what the branch no longer has.
    deleted: int
    # Bytes of the files that were read, and the number of chunks offered, with recipes.
    bytes: int
    chunks: int
    chunks_sent: int
    # Bytes of these chunks as they were sent.
    bytes_sent: int
    # Bytes that are new on the server, as stored there.
    bytes_stored: int
    seconds: float
    # A sentence for each name that cannot be stored: it is in the folder alone.
    left_out: list[str]


@dataclass(frozen=True, slots=True)
class Author:
    """Who commits; without name and address, the caller."""

    name: str
    email: str
    # Makes the signature of the commit; None = it gets none.
    sign_commit: Sign | None = None

    def sign(self) -> Signer:
        """Return the author at this moment, in the time zone of this machine."""
        now = time.time_ns()
        offset = time.localtime(now // 1_000_000_000).tm_gmtoff
        return Signer(
            name=self.name, email=self.email, time_us=now // 1000, offset_minutes=offset // 60
        )


@dataclass(frozen=True, slots=True)
class PushOptions:
    """What the user asks for."""

    message: str
    branch: str
    force: bool
    # None = the caller.
    author: Author | None
    # None = the folder's own.
    ignore: IgnoreRules | None


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What was sent, and the number of chunks that were offered."""

    sent: UploadReport
    offered: int


def make_report(
    snapshot: Snapshot,
    state: WorkspaceState,
    changes: Sequence[Change] = (),
    uploaded: UploadResult | None = None,
    *,
    behind: bool = False,
) -> PushReport:
    """Return the report of a push, without its duration."""
    sent = uploaded.sent if uploaded else UploadReport()
    return PushReport(
        commit=state.head,
        branch=state.branch,
        pushed=bool(changes),
        behind=behind,
        files=snapshot.files,
        changed=len(changes),
        deleted=sum(change.new is None for change in changes),
        bytes=snapshot.bytes_read,
        chunks=uploaded.offered if uploaded else 0,
        chunks_sent=sent.chunks_sent,
        bytes_sent=sent.bytes_sent,
        bytes_stored=sent.bytes_stored,
        seconds=0.0,
        left_out=sorted(set(snapshot.unusable.values())),
    )

"""What a push is asked for, and what it came to."""

import time
from dataclasses import dataclass

from dits.repo.v1.manifest_pb2 import Signer

from dits_client.transfer.upload_stream import UploadReport
from dits_client.workspace.snapshot import Snapshot
from dits_client.workspace.workspace import WorkspaceState


@dataclass(slots=True)
class PushReport:
    """What a push came to."""

    # The commit that the branch is at now, hexadecimal; empty = nothing was ever pushed.
    commit: str
    branch: str
    # False = there was nothing to push.
    pushed: bool
    # The branch has commits on the server that the folder does not have.
    behind: bool
    # Files in the folder; files and links that differ from the parent.
    files: int
    changed: int
    # Of the files that were read: bytes, and chunks with recipes.
    bytes: int
    chunks: int
    chunks_sent: int
    # As encoded.
    bytes_sent: int
    # New on the server, as stored there.
    bytes_stored: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Author:
    """Who commits."""

    name: str
    email: str

    def sign(self) -> Signer:
        """Return the author at this moment, in the time zone of this machine."""
        now = time.time_ns()
        offset = time.localtime(now // 1_000_000_000).tm_gmtoff
        return Signer(
            name=self.name, email=self.email, time_us=now // 1000, offset_minutes=offset // 60
        )


@dataclass(frozen=True, slots=True)
class PushOptions:
    """What the user asked for."""

    message: str
    branch: str
    force: bool
    # None = whoever is logged in.
    author: Author | None


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What was sent, and how many chunks were offered."""

    sent: UploadReport
    offered: int


def make_report(
    snapshot: Snapshot,
    state: WorkspaceState,
    changes: int = 0,
    uploaded: UploadResult | None = None,
    *,
    behind: bool = False,
) -> PushReport:
    """Return the report of a push; the caller knows the time it took."""
    sent = uploaded.sent if uploaded else UploadReport()
    return PushReport(
        commit=state.head,
        branch=state.branch,
        pushed=changes > 0,
        behind=behind,
        files=snapshot.files,
        changed=changes,
        bytes=snapshot.bytes_read,
        chunks=uploaded.offered if uploaded else 0,
        chunks_sent=sent.chunks_sent,
        bytes_sent=sent.bytes_sent,
        bytes_stored=sent.bytes_stored,
        seconds=0.0,
    )

"""The result of a clone or pull."""

from dataclasses import dataclass

from dits_client.checkout.apply_plan import WriteResult
from dits_client.checkout.plan import CheckoutPlan
from dits_client.workspace.state import WorkspaceState


@dataclass(slots=True)
class CheckoutReport:
    """The result of a clone or pull."""

    # The commit that the folder follows now, hexadecimal; empty = the repository has none yet.
    commit: str
    branch: str
    # Files and links written, and paths removed.
    files: int
    removed: int
    # Of the files written: bytes, and chunks with recipes.
    bytes: int
    chunks: int
    # Chunks that the server sent; the others were in the folder.
    chunks_received: int
    # Bytes of these chunks as the server sent them.
    bytes_received: int
    seconds: float


def make_report(state: WorkspaceState, todo: CheckoutPlan, written: WriteResult) -> CheckoutReport:
    """Return the report of a checkout, without its duration."""
    return CheckoutReport(
        commit=state.head,
        branch=state.branch,
        files=len(todo.writes),
        removed=len(todo.removals),
        bytes=written.bytes,
        chunks=written.chunks,
        chunks_received=written.chunks_received,
        bytes_received=written.bytes_received,
        seconds=0.0,
    )

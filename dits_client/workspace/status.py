"""What changed in the folder since the commit that it follows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dits_client.content.manifest import compare_trees
from dits_client.progress import Progress
from dits_client.workspace.index import Index
from dits_client.workspace.snapshot import Snapshot
from dits_client.workspace.tracked import TrackedPaths
from dits_client.workspace.trees import Trees
from dits_client.workspace.workspace import Workspace, WorkspaceState

if TYPE_CHECKING:
    from dits_client.server.client import Client
    from dits_client.server.repository import RepositoryClient


@dataclass(slots=True)
class StatusReport:
    """The paths that differ."""

    repository: str
    branch: str
    # Hexadecimal; empty = no push or pull happened yet.
    commit: str
    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    # Files that the next push leaves out; they stay in the folder.
    untracked: list[str] = field(default_factory=list)
    # A sentence for each name that cannot be pushed.
    unusable: list[str] = field(default_factory=list)


def compare_folder(
    folder: Path, connect: "Callable[[], Client]", progress: Progress | None = None
) -> StatusReport:
    """Return the paths that differ from the commit; `connect` is called only if the index is lost."""
    progress = progress or Progress()
    workspace = Workspace.locate(folder)
    with workspace.lock():
        if workspace.journal.exists():
            progress.warn("a clone or pull was interrupted: `dits pull` completes it")
        state, index = workspace.state, workspace.load_index()
        trees = open_trees(workspace, index, connect)
        base = bytes.fromhex(state.tree) or None
        report = StatusReport(state.repository, state.branch, state.head)
        try:
            untracked = frozenset(state.untracked)
            tracked = TrackedPaths(trees.load_manifest, [base], untracked)
            snapshot = Snapshot(workspace.root, index, progress.warn, tracked)
            report.unusable = snapshot.unusable
            try:
                snapshot.complete(progress=progress)
            finally:
                if snapshot.changed:
                    keep = trees.list_manifests(base) if base else set()
                    workspace.save_index(index, keep, recipes=True)
            for change in compare_trees(trees.load_manifest, base, snapshot.tree):
                paths = report.changed
                if change.old is None:
                    paths = report.new
                elif change.new is None:
                    is_untracked = change.path in untracked
                    paths = report.untracked if is_untracked else report.deleted
                paths.append(change.path)
        finally:
            index.close()
    return report


def open_trees(workspace: Workspace, index: Index, connect: "Callable[[], Client]") -> Trees:
    """Return the trees of a folder's repository; `connect` is called only if the index is lost."""
    state = workspace.state
    return Trees(index.objects, lambda: _open_repository(connect, state), state.head)


def _open_repository(connect: "Callable[[], Client]", state: WorkspaceState) -> "RepositoryClient":
    # Loaded only if the server is needed.
    from dits_client.server.repository import RepositoryClient

    return RepositoryClient(connect(), state.repository)

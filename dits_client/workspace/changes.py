"""What differs in the folder from the commit that it follows, with what else the scan found."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dits_client.content.manifest import Change, compare_trees
from dits_client.progress import Progress
from dits_client.workspace.ignore import IgnoreRules
from dits_client.workspace.index import OUTSIDE_STAT, Index
from dits_client.workspace.interrupted import list_interrupted
from dits_client.workspace.outside import OutsideEntries
from dits_client.workspace.snapshot import Snapshot
from dits_client.workspace.state import WorkspaceState
from dits_client.workspace.tracked import TrackedPaths
from dits_client.workspace.trees import Trees
from dits_client.workspace.workspace import Workspace

if TYPE_CHECKING:
    from dits_client.server.client import Client
    from dits_client.server.repository import RepositoryClient


@dataclass(slots=True)
class FolderChanges:
    """The changes of a folder, whose index is open."""

    # Sorted by path.
    changes: list[Change]
    snapshot: Snapshot
    index: Index
    trees: Trees
    # What the folder's commit has.
    tracked: TrackedPaths
    # What is to come, if it was asked for.
    coming: Sequence[Change]

    def is_here(self, path: str) -> bool:
        """Return whether something of the folder is at a path on the disk."""
        above, _, name = path.rpartition("/")
        directory = self.snapshot.directories_by_path.get(above)
        if directory is None or name not in directory.names:
            return False
        return directory.stats[directory.names.index(name)] != OUTSIDE_STAT


@contextmanager
def open_changes(
    workspace: Workspace,
    connect: "Callable[[], Client]",
    progress: Progress,
    find_coming: Callable[[Trees], Sequence[Change]] = lambda _: (),
) -> Iterator[FolderChanges]:
    """Read a folder whose lock is held; `connect` is called only if the index is lost.

    `find_coming` returns changes that are to be made: what is on the disk at their paths is read, also if
    it is ignored.
    """
    state, index = workspace.state, workspace.load_index()
    trees = open_trees(workspace, index, connect)
    base = bytes.fromhex(state.tree) or None
    try:
        coming = find_coming(trees)
        untracked = frozenset(state.untracked)
        outside = OutsideEntries(
            trees.load_manifest, base, state.scope, state.away, untracked, state.older
        )
        tracked = TrackedPaths(
            trees.load_manifest, [base], untracked, outside, {x.path for x in coming}
        )
        snapshot = take_snapshot(workspace, index, progress.warn, tracked)
        try:
            snapshot.complete(progress=progress)
        finally:
            if snapshot.changed:
                known = list_interrupted(workspace.journal.list_targets(), trees, state.scope)
                known += [(base, state.scope)] if base else []
                keep = set[bytes]().union(*(trees.list_manifests(*part) for part in known))
                workspace.save_index(index, keep, recipes=True)
        found = list(compare_trees(trees.load_manifest, base, snapshot.tree))
        yield FolderChanges(found, snapshot, index, trees, tracked, coming)
    finally:
        index.close()


def take_snapshot(
    workspace: Workspace,
    index: Index,
    warn: Callable[[str], None],
    tracked: TrackedPaths,
    ignore: IgnoreRules | None = None,
) -> Snapshot:
    """Scan a folder as its state says."""
    is_readonly = workspace.state.lock_readonly
    return Snapshot(workspace.root, index, warn, tracked, ignore, keeps_modes=is_readonly)


def open_trees(workspace: Workspace, index: Index, connect: "Callable[[], Client]") -> Trees:
    """Return the trees of a folder's repository; `connect` is called only if the index is lost."""
    state = workspace.state
    commits = (state.head, *(target.commit for target in workspace.journal.list_targets()))
    return Trees(
        index.objects, lambda: _open_repository(connect, state), *commits, scope=state.scope
    )


def _open_repository(connect: "Callable[[], Client]", state: WorkspaceState) -> "RepositoryClient":
    # Loaded only if the server is needed.
    from dits_client.server.repository import RepositoryClient

    return RepositoryClient(connect(), state.address)

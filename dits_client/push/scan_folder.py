"""What a push finds in the folder, before it reads a file."""

from collections.abc import Callable, Mapping

from dits_client.push.refusals import check_snapshot
from dits_client.workspace.changes import take_snapshot
from dits_client.workspace.ignore import IgnoreRules
from dits_client.workspace.index import Index
from dits_client.workspace.outside import OutsideEntries
from dits_client.workspace.scan import list_paths
from dits_client.workspace.snapshot import Snapshot
from dits_client.workspace.tracked import TrackedPaths
from dits_client.workspace.trees import Trees
from dits_client.workspace.workspace import Workspace


def scan_folder(
    workspace: Workspace,
    index: Index,
    trees: Trees,
    ignore: IgnoreRules | None,
    warn: Callable[[str], None],
    refused: Mapping[str, str] | None = None,
) -> Snapshot:
    """Scan a folder, and say what of it is not pushed. Raises ClientError for what trees cannot store.

    With `refused`, scan it again, without these paths; their sentences are in the snapshot.
    """
    state, load = workspace.state, trees.load_manifest
    parent = bytes.fromhex(state.tree) or None
    if refused is not None:
        warn = _say_nothing
    untracked = frozenset(state.untracked)
    outside = OutsideEntries(load, parent, state.scope, state.away, untracked, state.older)
    tracked = TrackedPaths(load, [parent], untracked, outside, refused=refused)
    snapshot = take_snapshot(workspace, index, warn, tracked, ignore)
    check_snapshot(snapshot)
    if parent is None and (empty := snapshot.directories[0].empty):
        warn(f"folders without files are not pushed: {list_paths(empty)}")
    if snapshot.outside:
        listed = list_paths(snapshot.outside)
        warn(f"not pushed, because this folder does not include it (`dits include`): {listed}")
    return snapshot


def _say_nothing(_: str) -> None:
    """The first scan said it."""

"""Older versions of files that nobody can get now: they stay in the folder, and are no changes of it."""

from collections.abc import Iterable

from dits_client.content.manifest import Change, hash_content
from dits_client.workspace.state import WorkspaceState
from dits_client.workspace.tracked import TrackedPaths
from dits_client.workspace.trees import Trees


def find_older_versions(
    state: WorkspaceState,
    paths: Iterable[str],
    local: Iterable[Change],
    trees: Trees,
    base: bytes | None,
) -> dict[str, str]:
    """Return what the folder has of files that are gone, by path: the hashes of their contents.

    `paths`: those that a checkout could not write, and that are there. What they have differs from the
    commit before (`base`) and was to be overwritten, or was found before, or is that commit's.
    """
    changed = {change.path: change.new for change in local}
    tracked = TrackedPaths(trees.load_manifest, [base])
    kept = {path: content for path, content in state.older.items() if path in state.gone}
    for path in paths:
        if path in changed or path not in kept:
            entry = changed[path] if path in changed else tracked.get_entry(path)
            if entry is not None:
                kept[path] = hash_content(entry)
    return kept

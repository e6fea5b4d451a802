"""Untrack: files leave the repository with the next push, and stay in the folder."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from dits_client.content.manifest import compare_trees
from dits_client.content.paths import iterate_parents
from dits_client.content.scope import EVERYTHING, IGNORE_FILE
from dits_client.errors import ClientError
from dits_client.terminal import quote_text
from dits_client.workspace.changes import open_trees
from dits_client.workspace.ignore_files import read_rules
from dits_client.workspace.workspace import Workspace

if TYPE_CHECKING:
    from dits_client.server.client import Client


def untrack_paths(folder: Path, connect: "Callable[[], Client]", paths: Iterable[str]) -> list[str]:
    """Leave files, or all files below directories, out of the next push; return the files' paths.

    Only files that are ignored, or whose contents are gone, can be left out: others would be new files at
    once. Raises ClientError.
    """
    workspace = Workspace.locate(folder)
    with workspace.lock():
        state, index, rules = workspace.state, workspace.load_index(), read_rules(workspace.root)
        try:
            trees = open_trees(workspace, index, connect)
            base = bytes.fromhex(state.tree) or None
            scopes = (EVERYTHING, state.scope)
            changes = compare_trees(trees.load_manifest, None, base, scopes=scopes)
            files = [change.path for change in changes]
        finally:
            index.close()
        found: list[str] = []
        for path in paths:
            below = [file for file in files if path in (file, *iterate_parents(file))]
            if not below:
                raise ClientError(f"{quote_text(path)} is not tracked")
            found += below
        for file in found:
            is_away = file in state.gone or file in state.waiting
            if not is_away and not rules.cover(file):
                raise ClientError(
                    f"{quote_text(file)} is not ignored, so the next push would add it again: "
                    f"add a pattern to {IGNORE_FILE} first"
                )
        state.untracked = sorted({*state.untracked, *found})
        workspace.save()
    return found

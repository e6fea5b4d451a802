"""Include and exclude: which parts of its commit a folder has."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from dits.repo.v1.tree_service_pb2 import GetEntriesRequest

from dits_client.checkout.report import CheckoutReport
from dits_client.checkout.update_folder import FolderUpdate
from dits_client.content.paths import to_repository_path
from dits_client.content.scope import EVERYTHING, IGNORE_FILE, Part, Scope, join_scopes
from dits_client.errors import ClientError
from dits_client.progress import Progress
from dits_client.server.client import Client
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import quote_text
from dits_client.workspace.identity import check_followed
from dits_client.workspace.lock_modes import update_modes
from dits_client.workspace.workspace import Workspace

# Paths of one question.
MAX_PATHS = 1_000


def include_paths(
    folder: Path,
    client: Client,
    paths: Sequence[str],
    *,
    levels: int | None = None,
    progress: Progress | None = None,
) -> CheckoutReport:
    """Bring paths of its commit into a folder, with all or some levels below; without paths, everything.

    What is on the disk there already becomes the folder's. Raises ConflictError, and changes nothing, where
    that differs from the commit's; ClientError for a path that is neither in the commit nor on the disk.
    """
    paths = [to_repository_path(path) for path in paths]

    def change(workspace: Workspace, scope: Scope) -> Scope:
        _check_there(workspace, client, paths)
        for path in paths:
            scope = scope.include(path, levels)
        return scope if paths else EVERYTHING

    return _change_scope(folder, client, change, progress)


def exclude_paths(
    folder: Path, client: Client, paths: Sequence[str], *, progress: Progress | None = None
) -> CheckoutReport:
    """Remove paths of its commit from a folder, not from the commit; ignored files stay.

    Raises ConflictError, and changes nothing, where changes would be lost that are not pushed; ClientError
    for a path that the folder does not include, or that is neither in the commit nor on the disk.
    """
    paths = [to_repository_path(path) for path in paths]

    def change(workspace: Workspace, scope: Scope) -> Scope:
        # What an interrupted command has left out already is still to be completed.
        known = join_scopes([workspace.state.scope, scope])
        for path in paths:
            if not known.covers(path) and known.measure(path) == Part.NOTHING:
                raise ClientError(f"this folder does not include {quote_text(path)}")
            if not path or path.rpartition("/")[2] == IGNORE_FILE:
                raise ClientError(f"{quote_text(path or '.')} is always included")
            scope = scope.exclude(path)
        _check_there(workspace, client, paths)
        return scope

    return _change_scope(folder, client, change, progress)


def _change_scope(
    folder: Path,
    client: Client,
    change: Callable[[Workspace, Scope], Scope],
    progress: Progress | None,
) -> CheckoutReport:
    """Bring a folder to what it is to include of its commit; an interrupted change goes on from there."""
    started = time.monotonic()
    workspace = Workspace.locate(folder)
    with workspace.lock():
        # Also of a clone, pull or switch that cannot end as it was begun, because the disk is too small.
        commit = workspace.wanted_commit
        if not workspace.journal.list_targets():
            workspace.check_complete()
        remote = RepositoryClient(client, workspace.state.address)
        check_followed(remote, workspace.state, "")
        scope = change(workspace, workspace.wanted_scope)
        with closing(FolderUpdate(workspace, remote, progress)) as update:
            report = update.apply(commit, force=False, branch=workspace.wanted_branch, scope=scope)
        update_modes(workspace, remote, progress)
    report.seconds = round(time.monotonic() - started, 3)
    return report


def _check_there(workspace: Workspace, client: Client, paths: Sequence[str]) -> None:
    """Raise ClientError for paths that are neither on the disk nor in the folder's commit."""
    remote = RepositoryClient(client, workspace.state.address)
    absent = [path for path in paths if not os.path.lexists(workspace.root / path)]
    check_paths(remote, workspace.wanted_commit, absent)


def check_paths(remote: RepositoryClient, commit: str, paths: Sequence[str]) -> None:
    """Raise ClientError for paths that a commit does not have."""
    for at in range(0, len(paths), MAX_PATHS):
        asked = [to_repository_path(path) for path in paths[at : at + MAX_PATHS]]
        if not commit:
            raise ClientError(f"there is no {quote_text(asked[0])}: the branch has no commit yet")
        request = GetEntriesRequest(repository=remote.name, revision=commit, paths=asked)
        for answer in remote.call(remote.trees.GetEntries, request).entries:
            if not answer.HasField("entry"):
                raise ClientError(f"{quote_text(answer.path)} is not in the commit {commit[:12]}")

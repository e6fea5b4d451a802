"""Undo: a commit is reversed by another one, which is pushed."""

from pathlib import Path

from dits.repo.v1.commit_service_pb2 import Commit, GetCommitRequest

from dits_client.checkout.apply_changes import apply_changes
from dits_client.content.manifest import Change, compare_trees
from dits_client.errors import ClientError
from dits_client.progress import Progress
from dits_client.push.push_folder import push_folder
from dits_client.push.report import Author, PushReport
from dits_client.server.client import Client
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import format_count, quote_text
from dits_client.workspace.changes import FolderChanges, open_changes
from dits_client.workspace.ignore import NothingBut
from dits_client.workspace.state import WorkspaceState
from dits_client.workspace.trees import Trees
from dits_client.workspace.workspace import Workspace


def undo_commit(
    folder: Path,
    client: Client,
    revision: str = "",
    *,
    force: bool = False,
    author: Author | None = None,
    progress: Progress | None = None,
) -> PushReport:
    """Push a commit that takes back what a commit, by default the folder's, changed to its (first) parent.

    The folder must have no changes, and the newest commit of its branch. To take back a commit without a
    parent removes all that it brought, and wants `force`. Raises ConflictError, and changes nothing, where
    the same files were changed since. If the push is refused, the folder has the changes.
    """
    progress = progress or Progress()
    workspace = Workspace.locate(folder)
    remote = RepositoryClient(client, workspace.state.address)
    with workspace.lock():
        workspace.check_complete()
        state = workspace.state
        commit = _get_commit(remote, state, revision)
        parent = commit.parent_hashes[0] if commit.parent_hashes else ""
        with open_changes(
            workspace, lambda: client, progress, lambda trees: _reverse(trees, commit.hash, parent)
        ) as found:
            _check_changes(found)
            if not (parent or force):
                raise _first_commit_error(commit, found, state.branch)
            made = apply_changes(workspace, remote, found, parent[:12], progress)
    return push_folder(
        workspace.root,
        client,
        message=_describe(commit),
        author=author,
        # If `.ditsignore` was among them, more is new in the folder now, and stays out.
        ignore=NothingBut(change.path for change in made),
        progress=progress,
    )


def _get_commit(remote: RepositoryClient, state: WorkspaceState, revision: str) -> Commit:
    """Return what is to be taken back. Raises ClientError unless the folder is at its branch."""
    if not state.head or remote.get_head(state.branch) != state.head:
        raise ClientError(f"the folder is not at the newest {state.branch}: run `dits pull`")
    request = GetCommitRequest(repository=remote.name, revision=revision or state.head)
    return remote.call(remote.commits.GetCommit, request).commit


def _first_commit_error(commit: Commit, found: FolderChanges, branch: str) -> ClientError:
    count = format_count(len(found.coming), "file")
    return ClientError(
        f"{commit.hash[:12]} is the first commit: to take it back removes the {count} "
        f"that it brought from {branch} and from this folder. With --force it does; the history keeps "
        "them, and another `dits undo` brings them back"
    )


def _describe(commit: Commit) -> str:
    title = commit.message.partition("\n")[0]
    start = f'Undo "{title}"' if title else "Undo"
    return f"{start}\n\nThis takes back {commit.hash}."


def _reverse(trees: Trees, commit: str, parent: str) -> list[Change]:
    """Return the changes from a commit to its parent; without one, all is removed."""
    _, tree = trees.fetch_tree(commit)
    before = trees.fetch_tree(parent)[1] if parent else None
    return list(compare_trees(trees.load_manifest, tree, before))


def _check_changes(found: FolderChanges) -> None:
    """Raise ClientError for changes of the user's, except those of an undo that was interrupted.

    New files where it writes are named with what else is in the way.
    """
    taken_back = {
        (path, new is not None and new.SerializeToString()) for path, _, new in found.coming
    }
    written = {path for path, _, new in found.coming if new is not None}
    for path, old, new in found.changes:
        if old is None and path in written:
            continue
        if (path, new is not None and new.SerializeToString()) not in taken_back:
            raise ClientError(
                f"{quote_text(path)} has changes that are not pushed: run `dits push` or "
                "`dits shelve` first"
            )

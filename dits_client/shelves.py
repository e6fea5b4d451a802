"""Shelves: changes of a folder that are put aside on the server, and brought back, there or elsewhere.

A shelf is a commit on a branch below `shelves/`, whose parent is the commit that the folder followed. So it
survives the machine, and a colleague can take it over.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dits.repo.v1.commit_service_pb2 import Commit, GetCommitRequest
from dits.repo.v1.ref_service_pb2 import ListBranchesRequest

from dits_client.checkout.apply_changes import apply_changes
from dits_client.checkout.obstacles import warn_of_ignored
from dits_client.checkout.switch import delete_branch
from dits_client.checkout.update_folder import FolderUpdate
from dits_client.content.manifest import Change, compare_trees
from dits_client.errors import ClientError, RemoteError
from dits_client.nearest import suggest
from dits_client.progress import Progress
from dits_client.push.push_folder import push_folder
from dits_client.push.refusals import LEAVE_SHELF, nothing_aside_error
from dits_client.push.report import Author
from dits_client.server.client import Client
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import quote_argument
from dits_client.workspace.changes import open_changes
from dits_client.workspace.lock_modes import update_modes
from dits_client.workspace.status import compare_folder
from dits_client.workspace.trees import Trees
from dits_client.workspace.workspace import Workspace
from shared.formats.shelves import SHELVES, is_shelf


@dataclass(slots=True)
class ShelfReport:
    """What was put aside or brought back."""

    # `user/name`.
    shelf: str
    # Hexadecimal.
    commit: str
    # Files and links.
    changed: int
    # A sentence for each name that cannot be stored: it stays in the folder.
    left_out: list[str] = field(default_factory=list)


def list_shelves(remote: RepositoryClient, user: str = "") -> Iterator[tuple[str, str]]:
    """Yield `user/name` and commit of each shelf of a repository, or of a user in it."""
    prefix = f"{SHELVES}{user}/" if user else SHELVES
    request = ListBranchesRequest(
        repository=remote.name, name_prefix=prefix, page_size=1000, include_shelves=True
    )
    for page in remote.list_pages(remote.refs.ListBranches, request):
        yield from ((found.name.removeprefix(SHELVES), found.head) for found in page.branches)


def shelve_folder(
    folder: Path,
    client: Client,
    shelf: str,
    *,
    message: str = "",
    author: Author | None = None,
    progress: Progress | None = None,
) -> ShelfReport:
    """Put the changes of a folder on a new shelf, `user/name`; the folder is then as its commit.

    If that is interrupted, the folder follows the shelf, with everything: another call goes on with that
    one, and `dits switch` leads back. Raises ClientError.
    """
    workspace = Workspace.locate(folder)
    state, remote = workspace.state, RepositoryClient(client, workspace.state.address)
    commit, branch = workspace.wanted_commit, workspace.wanted_branch
    is_repeated = is_shelf(state.branch) and branch != state.branch
    if is_repeated:
        report = ShelfReport(state.branch.removeprefix(SHELVES), state.head, 0)
    else:
        _check_changes(workspace, client)
        if remote.get_head(SHELVES + shelf):
            raise ClientError(f"there is a shelf {shelf} already")
        put = partial(push_folder, workspace.root, client, branch=SHELVES + shelf)
        pushed = put(message=message, author=author, progress=progress)
        report = ShelfReport(shelf, pushed.commit, pushed.changed, pushed.left_out)
    workspace = Workspace.locate(folder)
    with (
        workspace.lock(),
        closing(FolderUpdate(workspace, remote, progress)) as update,
        _tell_of_shelf(report.shelf),
    ):
        done = update.apply(commit, force=False, branch=branch)
        if is_repeated:
            report.changed = done.files + done.removed
        update_modes(workspace, remote, progress)
    return report


@contextmanager
def _tell_of_shelf(shelf: str) -> Iterator[None]:
    """Add to an error where the changes are."""
    try:
        yield
    except ClientError as error:
        where = f"the changes are on the shelf: `dits unshelve {quote_argument(shelf)}`"
        error.args = (f"{error} ({where} brings them back)",)
        raise


def _check_changes(workspace: Workspace, client: Client) -> None:
    """Raise ClientError unless a folder has changes that can be put aside."""
    workspace.check_complete()
    state = workspace.state
    if not state.head:
        raise ClientError("nothing was pushed from this folder yet: run `dits push`")
    if state.untracked:
        raise ClientError("`dits untrack` waits for its push: run `dits push` first")
    found = compare_folder(workspace.root, lambda: client)
    if not (found.new or found.changed or found.deleted):
        raise nothing_aside_error(found.unusable)


def unshelve_folder(
    folder: Path,
    client: Client,
    shelf: str,
    *,
    keep: bool = False,
    progress: Progress | None = None,
) -> ShelfReport:
    """Make the changes of a shelf in a folder, where they are changes of the user's; remove the shelf.

    Raises ConflictError, and changes nothing, where the folder or its commit has other changes of the same
    files. A shelf that the user may not remove stays. If it is interrupted, the same command completes it.
    """
    progress = progress or Progress()
    workspace = Workspace.locate(folder)
    remote = RepositoryClient(client, workspace.state.address)
    commit = _find_shelf(remote, shelf)
    with (
        workspace.lock(),
        open_changes(
            workspace, lambda: client, progress, lambda trees: _read_shelf(trees, commit)
        ) as found,
    ):
        if workspace.state.branch == SHELVES + shelf:
            raise ClientError(f"the folder follows the shelf {shelf} itself: {LEAVE_SHELF}")
        changes = apply_changes(workspace, remote, found, SHELVES + shelf, progress)
        warn_of_ignored(workspace.root, found, progress)
    if not keep:
        _remove_shelf(remote, shelf, commit.hash, progress)
    return ShelfReport(shelf, commit.hash, len(changes))


def _remove_shelf(remote: RepositoryClient, shelf: str, head: str, progress: Progress) -> None:
    """Remove a shelf whose changes are in the folder by now; a failure is a warning."""
    try:
        delete_branch(remote, SHELVES + shelf, head)
    except RemoteError as error:
        progress.warn(f"the changes are back, and the shelf stays, as with --keep: {error}")


def _find_shelf(remote: RepositoryClient, shelf: str) -> Commit:
    head = remote.get_head(SHELVES + shelf)
    if not head:
        hint = suggest(shelf, [name for name, _ in list_shelves(remote)])
        raise ClientError(f"there is no shelf {shelf}{hint}")
    request = GetCommitRequest(repository=remote.name, revision=head)
    return remote.call(remote.commits.GetCommit, request).commit


def _read_shelf(trees: Trees, commit: Commit) -> list[Change]:
    """Return what a shelf changes against the commit of the folder that it is from."""
    base = None
    if commit.parent_hashes:
        _, base = trees.fetch_tree(commit.parent_hashes[0])
    _, tree = trees.fetch_tree(commit.hash)
    return list(compare_trees(trees.load_manifest, base, tree))

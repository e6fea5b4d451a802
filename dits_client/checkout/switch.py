"""Switch: a folder goes to another branch, and takes along what the user changed."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from dits.repo.v1.commit_service_pb2 import GetCommitRequest
from dits.repo.v1.ref_service_pb2 import (
    CreateBranchRequest,
    DeleteBranchRequest,
    ListBranchesRequest,
)

from dits_client.checkout.report import CheckoutReport
from dits_client.checkout.update_folder import FolderUpdate
from dits_client.errors import ClientError
from dits_client.nearest import suggest
from dits_client.progress import Progress
from dits_client.server.client import TIMEOUT, Client
from dits_client.server.locks import GIVE_BACK_SECONDS
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import quote_argument
from dits_client.workspace.identity import check_followed, complete_identity
from dits_client.workspace.lock_modes import update_modes
from dits_client.workspace.state import WorkspaceState
from dits_client.workspace.workspace import Workspace

# Names that a typing error is compared with.
MAX_NAMES = 1000


def switch_folder(
    folder: Path,
    client: Client,
    branch: str = "",
    *,
    create: bool = False,
    start: str = "",
    force: bool = False,
    progress: Progress | None = None,
) -> CheckoutReport:
    """Bring the folder to the head of a branch, which it follows then; without one, end a broken switch.

    With `create` the branch is made first, at the revision `start`, by default the folder's commit. Local
    changes stay; with `force` every file of the commit is written as the commit has it. Raises
    ConflictError, and changes nothing, where a local change would be lost.
    """
    started = time.monotonic()
    workspace = Workspace.locate(folder)
    with workspace.lock():
        if not branch and not workspace.journal.exists():
            raise ClientError("nothing was interrupted in this folder: name a branch")
        wanted = branch or workspace.wanted_branch
        remote = RepositoryClient(client, workspace.state.address)
        complete_identity(workspace, remote)
        made = ""
        if create:
            made = create_branch(remote, wanted, start or _find_start(remote, workspace.state))
        with _keep_branch(workspace, remote, wanted, made, progress or Progress()):
            commit = _find_head(workspace, remote, wanted, may_miss=create)
            with closing(FolderUpdate(workspace, remote, progress)) as update:
                report = update.apply(commit, force=force, branch=wanted)
        update_modes(workspace, remote, progress)
    report.seconds = round(time.monotonic() - started, 3)
    return report


def _find_head(
    workspace: Workspace, remote: RepositoryClient, branch: str, *, may_miss: bool
) -> str:
    """Return where a branch is; empty = it is missing, as it may in a folder without a commit."""
    commit = remote.get_head(branch)
    if not commit and (workspace.state.head or not may_miss):
        raise missing_branch(remote, branch)
    check_followed(remote, workspace.state, commit)
    return commit


@contextmanager
def _keep_branch(
    workspace: Workspace, remote: RepositoryClient, branch: str, made: str, progress: Progress
) -> Iterator[None]:
    """Delete a branch that was made at a commit if the folder does not get on its way there.

    If that fails, a warning says so: the error is that of the switch.
    """
    try:
        yield
    except BaseException:
        if made and workspace.wanted_branch != branch:
            try:
                delete_branch(remote, branch, made, timeout=GIVE_BACK_SECONDS)
            except ClientError as error:
                progress.warn(
                    f"the branch {branch} was made and is still there (`dits branch delete "
                    f"{quote_argument(branch)}`): {error}"
                )
        raise


def _find_start(remote: RepositoryClient, state: WorkspaceState) -> str:
    """Return the folder's commit. Raises ClientError if the server has lost it."""
    check_followed(remote, state, "")
    return state.head


def create_branch(remote: RepositoryClient, name: str, revision: str) -> str:
    """Make a branch at a revision; return its commit. Without one, none is made: the first push does it."""
    # The server takes the same request twice, and would say that it made a branch that is there.
    if remote.get_head(name):
        raise ClientError(
            f"there is a branch {name} already: `dits switch {quote_argument(name)}` goes to it"
        )
    if not revision:
        return ""
    asked = GetCommitRequest(repository=remote.name, revision=revision)
    head = remote.call(remote.commits.GetCommit, asked).commit.hash
    request = CreateBranchRequest(repository=remote.name, name=name, head=head)
    remote.call(remote.refs.CreateBranch, request)
    return head


def delete_branch(
    remote: RepositoryClient, name: str, head: str, *, timeout: float = TIMEOUT
) -> None:
    """Delete a branch that is at a commit."""
    request = DeleteBranchRequest(repository=remote.name, name=name, expected_head=head)
    remote.call(remote.refs.DeleteBranch, request, timeout)


def missing_branch(remote: RepositoryClient, name: str, kind: str = "branch") -> ClientError:
    """Return the error for a branch that is not there; it tells the nearest name of a branch."""
    # Raises if the repository does not exist.
    info = remote.get_info()
    request = ListBranchesRequest(repository=remote.name, page_size=MAX_NAMES)
    found = remote.call(remote.refs.ListBranches, request).branches
    hint = suggest(name, [branch.name for branch in found])
    return ClientError(f"{info.name} has no {kind} {name}{hint}")

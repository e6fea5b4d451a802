"""A push that has nothing to commit may still make a branch, or move one by force."""

from dits.repo.v1.ref_service_pb2 import CreateBranchRequest, UpdateBranchRequest

from dits_client.push.report import PushOptions
from dits_client.server.repository import RepositoryClient
from dits_client.workspace.identity import check_followed
from dits_client.workspace.state import WorkspaceState


def move_branch(
    repository: RepositoryClient, wanted: PushOptions, head: str, state: WorkspaceState
) -> bool:
    """Make a branch, or move it by force, to the folder's commit; return whether it is elsewhere.

    `head` is where the branch is, empty if it is nowhere; the folder's commit may be none, too.
    """
    commit = state.head
    is_elsewhere = head not in ("", commit)
    check_followed(repository, state, head)
    if commit and not head:
        create = CreateBranchRequest(repository=repository.name, name=wanted.branch, head=commit)
        repository.call(repository.refs.CreateBranch, create)
    elif commit and is_elsewhere and wanted.force:
        update = UpdateBranchRequest(
            repository=repository.name,
            name=wanted.branch,
            expected_head=head,
            new_head=commit,
            force=True,
        )
        repository.call(repository.refs.UpdateBranch, update)
        return False
    return is_elsewhere

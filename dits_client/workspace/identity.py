"""Whether the server's repository is the one that a folder follows, and knows what the folder knows."""

from dits.common.v1.error_reason_pb2 import ERROR_REASON_NOT_FOUND
from dits.repo.v1.commit_service_pb2 import GetCommitRequest

from dits_client.errors import ClientError, RemoteError
from dits_client.server.repository import RepositoryClient, RepositoryInfo
from dits_client.workspace.state import WorkspaceState
from dits_client.workspace.workspace import Workspace


def has_commit(remote: RepositoryClient, commit: str) -> bool:
    """Return whether a repository has a commit. Raises ClientError if there is no such repository."""
    request = GetCommitRequest(repository=remote.name, revision=commit)
    try:
        remote.call(remote.commits.GetCommit, request)
    except RemoteError as error:
        if error.reason != ERROR_REASON_NOT_FOUND or error.lacks_repository:
            raise
        return False
    return True


def has_lost(remote: RepositoryClient, state: WorkspaceState, commit: str) -> bool:
    """Return whether a folder is to leave its commit for another one, and the server has lost the first.

    Then nobody else may have what the folder has of it, as after the server's backup was restored.
    """
    return state.head not in ("", commit) and not has_commit(remote, state.head)


def check_followed(
    remote: RepositoryClient, state: WorkspaceState, commit: str, branch: str = ""
) -> None:
    """Raise ClientError if the server has lost the commit that a folder is to leave for another one.

    An empty one stands for what the server is asked about the folder's own.
    """
    if has_lost(remote, state, commit):
        raise ClientError(
            f"the server does not know the commit {state.head[:12]} that this folder is at, as after a "
            f"backup was restored: `dits pull --keep` follows {branch or state.branch} and leaves what is "
            "here as it is, for `dits push` to bring it again; `dits pull --force` takes the server's"
        )


def forget_lost_commit(
    remote: RepositoryClient, state: WorkspaceState, commit: str, *, must: bool
) -> None:
    """Make a folder follow no commit if the server has lost its own: all that is in it is new then.

    Raises ClientError if the server has it, and `must` says that it has not.
    """
    if has_lost(remote, state, commit):
        state.head = state.tree = ""
        state.gone, state.waiting, state.older, state.untracked = {}, {}, {}, []
    elif must:
        raise ClientError("the server knows the commit of this folder: run `dits pull`")


def note_repository(state: WorkspaceState, remote: RepositoryClient, info: RepositoryInfo) -> None:
    """Note the repository's name, and its UUID in the state of a folder that does not know it.

    Another repository may have got the name: its UUID is not noted unless it has the folder's commit.
    """
    state.repository = info.name
    if not state.repository_id and (not state.head or has_commit(remote, state.head)):
        state.repository_id = info.id


def complete_identity(workspace: Workspace, remote: RepositoryClient) -> None:
    """Note the repository in a folder, whose lock is held, that does not know its UUID."""
    if not workspace.state.repository_id:
        note_repository(workspace.state, remote, remote.get_info())
        workspace.save()

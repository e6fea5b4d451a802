"""What a client wants to know of a repository before it works with it."""

from dataclasses import dataclass
from typing import Self

from dits.common.v1.error_reason_pb2 import ERROR_REASON_NOT_FOUND
from dits.repo.v1.ref_service_pb2 import GetBranchRequest
from dits.repo.v1.repository_service_pb2 import GetRepositoryRequest

from dits_client.errors import RemoteError
from dits_client.server.connection import Client


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository."""

    # `owner/name`, in its own spelling.
    name: str
    default_branch: str
    lock_required: bool

    @classmethod
    def get(cls, client: Client, repository: str) -> Self:
        """Ask for a repository by `owner/name` or UUID."""
        request = GetRepositoryRequest(repository=repository)
        found = client.call(client.repositories.GetRepository, request).repository
        settings = found.settings
        # Not said means the default, which is to require locks.
        required = settings.require_lock_for_edit or not settings.HasField("require_lock_for_edit")
        return cls(f"{found.owner}/{found.name}", found.default_branch, required)


def head_of(client: Client, repository: str, branch: str) -> str:
    """Return the commit that a branch is at, in hexadecimal; empty = there is no such branch."""
    request = GetBranchRequest(repository=repository, name=branch)
    try:
        return client.call(client.refs.GetBranch, request).branch.head
    except RemoteError as error:
        # A repository that is not there looks the same; the next call tells.
        if error.reason == ERROR_REASON_NOT_FOUND:
            return ""
        raise

"""The locks that a merge needs, taken for it and given back after it."""

from collections.abc import Iterator
from contextlib import contextmanager

from dits.repo.v1.commit_service_pb2 import CompareCommitsRequest
from dits.repo.v1.tree_service_pb2 import CHANGE_KIND_COPIED, DiffTreesRequest

from dits_client.server.locks import (
    GIVE_BACK_SECONDS,
    LockOptions,
    acquire_locks,
    release_locks,
)
from dits_client.server.repository import RepositoryClient

TTL_SECONDS = 600


@contextmanager
def hold_merge_locks(repository: RepositoryClient, head: str, source: str) -> Iterator[None]:
    """Hold locks on the files that a source has changed since it parted from a head.

    Locks that were held before stay. Raises RemoteError if others have locks on these files.
    """
    options = LockOptions(ttl_seconds=TTL_SECONDS, reason="being merged", release_on_push=True)
    taken: list[str] = []
    try:
        for response in acquire_locks(repository, _list_paths(repository, head, source), options):
            taken += [result.lock.id for result in response.results if not result.already_held]
        yield
    finally:
        # Those that the merge has released are gone, and their release does nothing.
        release_locks(repository, taken, timeout=GIVE_BACK_SECONDS)


def _list_paths(repository: RepositoryClient, head: str, source: str) -> list[str]:
    """Return the files that a source changed, moved or deleted."""
    compare = CompareCommitsRequest(repository=repository.name, base=head, head=source)
    found = repository.call(repository.commits.CompareCommits, compare)
    if not found.merge_bases:
        return []
    request = DiffTreesRequest(
        repository=repository.name, base=found.merge_bases[0], head=found.head_commit
    )
    call = repository.trees.DiffTrees(request, metadata=repository.metadata)
    return sorted(
        {
            change.old_path or change.path
            for response in repository.read_stream(call)
            for change in response.changes
            if change.HasField("old") and change.kind != CHANGE_KIND_COPIED
        }
    )

"""What the tests of random walks ask of folders and of the server."""

from __future__ import annotations

from dits.repo.v1.commit_service_pb2 import ListCommitsRequest
from dits.repo.v1.ref_service_pb2 import ListBranchesRequest
from dits.repo.v1.repository_service_pb2 import UpdateRepositorySettingsRequest

from dits_client.content.manifest import compare_trees
from dits_client.server.locks import LockOptions, acquire_locks, list_locks, release_locks
from dits_client.server.repository import RepositoryClient
from dits_client.workspace.objects import Objects
from dits_client.workspace.trees import Trees
from dits_client.workspace.workspace import Workspace
from tests.support.client import Person, read

FILM = "ada/film"


def contents(who: Person, *, included: bool = False) -> set[bytes]:
    """What is in somebody's folder; of a folder that has only a part, perhaps just that."""
    scope = Workspace.locate(who.home / "work").state.scope
    return {
        found[1]
        for path, found in read(who.home / "work").items()
        if not isinstance(found, str) and (not included or scope.covers(path))
    }


def list_changes(who: Person, before: str, after: str) -> set[str]:
    """The paths that differ between two commits."""
    trees = Trees(Objects(), lambda: RepositoryClient(who.client, FILM))
    old, new = (trees.fetch_tree(commit)[1] for commit in (before, after))
    return {change.path for change in compare_trees(trees.load_manifest, old, new)}


def list_history(who: Person) -> set[bytes]:
    """The hashes of all contents that branches and shelves have, or had."""
    remote = RepositoryClient(who.client, FILM)
    trees, found = Trees(Objects(), lambda: remote), set[bytes]()
    request = ListBranchesRequest(repository=remote.name, page_size=1000, include_shelves=True)
    commits = set[str]()
    for branch in remote.call(remote.refs.ListBranches, request).branches:
        asked = ListCommitsRequest(repository=remote.name, revision=branch.head, page_size=1000)
        listed = remote.call(remote.commits.ListCommits, asked).commits
        commits |= {commit.hash for commit in listed}
    for commit in commits:
        _, tree = trees.fetch_tree(commit)
        changes = compare_trees(trees.load_manifest, None, tree)
        found |= {new.file.hash for _, _, new in changes if new is not None}
    return found


def leave_to_fetch(remote: RepositoryClient, *patterns: str) -> None:
    """Let clones and pulls leave out new files that match patterns."""
    request = UpdateRepositorySettingsRequest(repository=FILM)
    request.settings.on_demand_patterns.extend(patterns)
    request.update_mask.paths.append("on_demand_patterns")
    remote.call(remote.repositories.UpdateRepositorySettings, request)


def take_lock(who: Person, path: str) -> None:
    """Lock a path, whatever its version. Raises ClientError if others have locks there."""
    list(acquire_locks(RepositoryClient(who.client, FILM), [path], LockOptions()))


def give_back_locks(who: Person) -> None:
    """Unlock everything."""
    remote = RepositoryClient(who.client, FILM)
    release_locks(remote, [lock.id for lock in list_locks(remote, holder="me")])

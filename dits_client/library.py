"""The client as a library: `from dits_client import Client, Workspace`.

Nothing here writes to the terminal. What a method cannot do is raised as `ClientError`, with one sentence
for people. `ConflictError` lists the files whose changes would be lost, `RemoteError` has the reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dits.lock.v1.lock_service_pb2 import Lock
from dits.repo.v1.merge_pb2 import MergeBranchesResponse

from dits_client.checkout.clone import clone_repository
from dits_client.checkout.get_file import find_file, get_file
from dits_client.checkout.include import exclude_paths, include_paths
from dits_client.checkout.merge import MergeOptions, merge_branches
from dits_client.checkout.pull import pull_folder
from dits_client.checkout.report import CheckoutReport
from dits_client.checkout.restore import RestoreReport, restore_paths
from dits_client.checkout.switch import switch_folder
from dits_client.checkout.waiting_files import FetchReport, fetch_paths
from dits_client.errors import ClientError
from dits_client.progress import Progress
from dits_client.push.push_folder import push_folder
from dits_client.push.report import Author, PushReport
from dits_client.server import client as server
from dits_client.server.endpoints import Endpoints
from dits_client.server.locks import LockOptions, acquire_locks, list_locks, release_locks
from dits_client.server.repository import RepositoryClient
from dits_client.shelves import ShelfReport, list_shelves, shelve_folder, unshelve_folder
from dits_client.undo import undo_commit
from dits_client.workspace import workspace as folders
from dits_client.workspace.lock_modes import refresh_modes
from dits_client.workspace.scan import list_paths
from dits_client.workspace.state import WorkspaceState, make_state
from dits_client.workspace.status import StatusReport, compare_folder
from dits_client.workspace.untrack import untrack_paths


class Client(server.Client):
    """A server, called with an API token; a context manager, whose end closes the connections.

    Several threads may use one. `progress` is told of warnings and of bytes that are done.
    """

    def __init__(
        self, address: str | Endpoints, token: str, progress: Progress | None = None
    ) -> None:
        """Take `[http://|https://]host[:port]`, or the addresses of the four services."""
        endpoints = Endpoints.parse(address) if isinstance(address, str) else address
        super().__init__(endpoints, token)
        self.progress = progress or Progress()

    def clone(
        self,
        repository: str,
        folder: Path | str,
        *,
        revision: str = "",
        only: Sequence[str] = (),
        depth: int | None = None,
    ) -> "Workspace":
        """Fetch `owner/name` into a new folder, or go on with a clone that was interrupted.

        `revision`: a branch, tag or commit, by default the default branch. `only`: the paths to include, by
        default everything, with `depth` levels of folders of each.
        """
        to = Path(folder)
        only = [only] if isinstance(only, str) else only
        clone_repository(
            self, repository, to, revision=revision, only=only, levels=depth, progress=self.progress
        )
        return Workspace(to, self)

    def init(self, folder: Path | str, repository: str, *, branch: str = "") -> "Workspace":
        """Make a folder follow a repository that exists; its first push makes the first commit."""
        info = RepositoryClient(self, repository).get_info()
        state = make_state(self.endpoints.name, info, branch)
        return Workspace(folders.Workspace.create(Path(folder), state).root, self)


class Workspace:
    """A folder that follows a branch of a repository.

    Paths are those of the repository: relative to the top folder, with slashes. One command at a time works
    in a folder, also of other processes; a second one raises ClientError.
    """

    def __init__(
        self, folder: Path | str, client: server.Client, progress: Progress | None = None
    ) -> None:
        """Find the workspace that contains a folder. Raises ClientError if none does."""
        self.root = folders.Workspace.locate(Path(folder)).root
        self.client = client
        own = getattr(client, "progress", None)
        self._progress = progress or (own if isinstance(own, Progress) else Progress())

    @property
    def state(self) -> WorkspaceState:
        """The server, the repository, the branch, the commit, and what is included, as of now."""
        return folders.Workspace.locate(self.root).state

    @property
    def repository(self) -> RepositoryClient:
        """The repository, for all other calls: the stubs of its services, with retries and typed errors."""
        return RepositoryClient(self.client, self.state.address)

    def status(self) -> StatusReport:
        """Return what differs from the commit that the folder follows."""
        return compare_folder(self.root, lambda: self.client, self._progress)

    def push(
        self,
        message: str = "",
        *,
        branch: str = "",
        force: bool = False,
        author: Author | None = None,
    ) -> PushReport:
        """Commit what is in the folder and push it; `branch` makes it follow another one, perhaps new."""
        return push_folder(
            self.root,
            self.client,
            message=message,
            branch=branch,
            force=force,
            author=author,
            progress=self._progress,
        )

    def pull(self, *, force: bool = False) -> CheckoutReport:
        """Bring the folder to its branch's newest commit, or complete what was interrupted.

        Changes stay, or raise ConflictError; with `force` they are overwritten.
        """
        return pull_folder(self.root, self.client, force=force, progress=self._progress)

    def switch(
        self, branch: str = "", *, create: bool = False, start: str = "", force: bool = False
    ) -> CheckoutReport:
        """Bring the folder to another branch; without a name, complete a switch that was interrupted."""
        return switch_folder(
            self.root,
            self.client,
            branch,
            create=create,
            start=start,
            force=force,
            progress=self._progress,
        )

    def merge(
        self,
        source: str,
        *,
        sides: Mapping[str, str] | None = None,
        other: str = "",
        message: str = "",
    ) -> MergeBranchesResponse:
        """Merge a revision into the branch of the folder, on the server, and pull the result.

        `sides`: `ours` or `theirs` by path, `other`: for all others. Raises MergeConflictError.
        """
        folders.Workspace.locate(self.root).check_complete()
        wanted = MergeOptions(source, self.state.branch, sides or {}, other, message)
        response = merge_branches(self.repository, wanted)
        self.pull()
        return response

    def restore(
        self, paths: Sequence[str], *, revision: str = "", force: bool = False
    ) -> RestoreReport:
        """Write paths as a revision has them, by default the folder's commit."""
        # A string is a sequence, too, of paths of one letter.
        paths = [paths] if isinstance(paths, str) else paths
        return restore_paths(
            self.root, self.client, paths, revision=revision, force=force, progress=self._progress
        )

    def get(self, path: str, output: Path | str, *, revision: str = "") -> None:
        """Write a file of any revision, by default the folder's commit, to a new place."""
        repository = self.repository
        _, file = find_file(repository, path, revision or self.state.head)
        get_file(repository, file, Path(output), self._progress)

    def undo(
        self, revision: str = "", *, force: bool = False, author: Author | None = None
    ) -> PushReport:
        """Push a commit that takes back what a commit changed, by default the folder's.

        To take back the first one removes all that it brought, and wants `force`.
        """
        return undo_commit(
            self.root, self.client, revision, force=force, author=author, progress=self._progress
        )

    def shelve(self, name: str, message: str = "") -> ShelfReport:
        """Put the folder's changes aside on the server, as `user/name`."""
        return shelve_folder(self.root, self.client, name, message=message, progress=self._progress)

    def unshelve(self, name: str, *, keep: bool = False) -> ShelfReport:
        """Bring back what is on a shelf, `user/name`."""
        return unshelve_folder(self.root, self.client, name, keep=keep, progress=self._progress)

    def list_shelves(self) -> list[str]:
        """Return the shelves of the repository, each as `user/name`."""
        return [name for name, _ in list_shelves(self.repository)]

    def include(self, *paths: str, depth: int | None = None) -> CheckoutReport:
        """Bring paths of the commit into the folder; without any, everything."""
        return include_paths(self.root, self.client, paths, levels=depth, progress=self._progress)

    def exclude(self, *paths: str) -> CheckoutReport:
        """Remove paths from the folder, and keep them in the repository."""
        return exclude_paths(self.root, self.client, paths, progress=self._progress)

    def fetch(self, *paths: str) -> FetchReport:
        """Bring files that wait until somebody asks for them."""
        return fetch_paths(self.root, self.client, paths, progress=self._progress)

    def untrack(self, *paths: str) -> list[str]:
        """Leave ignored files out of the next push; return their paths."""
        return untrack_paths(self.root, lambda: self.client, paths)

    def lock(self, *paths: str, ttl: int | None = None, reason: str = "") -> list[Lock]:
        """Take exclusive locks on paths, all or none; a folder ends with a slash. `ttl` is in seconds.

        Locks are given only on files of which the folder has the newest version.
        """
        state = self.state
        options = LockOptions(
            ttl_seconds=ttl, reason=reason, base_commit=state.head, branch=state.branch
        )
        responses = acquire_locks(self.repository, paths, options)
        taken = [result.lock for response in responses for result in response.results]
        refresh_modes(self.root, self.repository, self._progress)
        return taken

    def unlock(self, *paths: str) -> None:
        """Give back one's locks, also over unpushed changes. Raises ClientError where there is none."""
        held = {lock.path: lock.id for lock in self.iterate_locks(mine=True)}
        if missing := [path for path in paths if path not in held]:
            raise ClientError(f"you hold no lock on {list_paths(missing)}")
        release_locks(self.repository, [held[path] for path in paths])
        refresh_modes(self.root, self.repository, self._progress)

    def iterate_locks(self, *, mine: bool = False) -> Iterator[Lock]:
        """Yield the live locks of the repository, or one's own."""
        return list_locks(self.repository, holder="me" if mine else "")

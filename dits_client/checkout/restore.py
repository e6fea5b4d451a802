"""Single files of a revision brought back into the folder; the folder follows the commit it followed."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dits.repo.v1.manifest_pb2 import Entry
from dits.repo.v1.tree_service_pb2 import (
    ENTRY_KIND_DIRECTORY,
    GetEntriesRequest,
    ListPathsRequest,
    PathEntry,
)

from dits_client.checkout.apply_plan import apply_plan
from dits_client.checkout.gone_files import refuse_gone_file
from dits_client.checkout.obstacles import check_plan, warn_of_ignored
from dits_client.checkout.plan import CheckoutPlan, make_plan
from dits_client.checkout.site import open_site
from dits_client.content.manifest import Change
from dits_client.content.paths import iterate_parents, to_repository_path
from dits_client.errors import ClientError
from dits_client.progress import Progress
from dits_client.server.client import Client
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import name_revision, quote_text
from dits_client.workspace.changes import FolderChanges, open_changes
from dits_client.workspace.identity import check_followed
from dits_client.workspace.included import check_included
from dits_client.workspace.interrupted import InterruptedCheckouts
from dits_client.workspace.lock_modes import update_modes
from dits_client.workspace.state import WorkspaceState
from dits_client.workspace.workspace import Workspace

# The most paths of one question, and of a page.
MAX_PATHS = 1_000
PAGE = 1_000


@dataclass(slots=True)
class RestoreReport:
    """What was brought back."""

    # Hexadecimal.
    commit: str
    files: int
    bytes: int


def restore_paths(
    folder: Path,
    client: Client,
    paths: Sequence[str],
    *,
    revision: str = "",
    force: bool = False,
    progress: Progress | None = None,
) -> RestoreReport:
    """Write files, links and all below directories as a revision has them, by default the folder's commit.

    Other files stay as they are. Of files that wait, only those come that are named themselves. Raises
    ConflictError, and writes nothing, where a local change would be lost; with `force` it is. Raises
    ClientError if the revision does not have a path.
    """
    progress = progress or Progress()
    workspace = Workspace.locate(folder)
    repository = RepositoryClient(client, workspace.state.address)
    if not revision:
        check_followed(repository, workspace.state, "")
    if not (revision := revision or workspace.state.head):
        raise ClientError("this folder has no commit yet: run `dits pull`, or say --revision")
    commit, writes = _fetch_entries(repository, revision, paths)
    if writes and not any(map(workspace.state.scope.covers, writes)):
        check_included(workspace.state.scope, writes)
    with workspace.lock():
        coming = [Change(path, None, new) for path, new in writes.items()]
        with open_changes(workspace, lambda: client, progress, lambda _: coming) as found:
            state = workspace.state
            named = {to_repository_path(path) for path in paths} & state.waiting.keys()
            todo = _plan(found, writes, _list_absent(found, state, named, writes), force)
            site = open_site(workspace, repository, found, progress, force=force)
            check_plan(site, todo)
            written = apply_plan(site, todo)
            warn_of_ignored(workspace.root, found, progress)
            if state.forget_away(named | todo.writes.keys()):
                workspace.save()
        update_modes(workspace, repository, progress)
    return RestoreReport(commit, len(todo.writes), written.bytes)


def _list_absent(
    found: FolderChanges, state: WorkspaceState, named: Container[str], writes: Iterable[str]
) -> set[str]:
    """Return what is to come and was not deleted: named files that wait, and what nobody could get."""
    changed = {change.path for change in found.changes}
    return {
        path
        for path in writes
        if ((path in state.gone or path in named) and not found.is_here(path))
        or (path in state.older and path not in changed)
    }


def _plan(
    found: FolderChanges, writes: Mapping[str, Entry], absent: Container[str], force: bool
) -> CheckoutPlan:
    """Return the plan that writes some entries; what is as they say, or deleted, is no conflict.

    So an interrupted restore is completed by the same command. `absent`: what is to come although the
    folder's commit has it and nothing was deleted.
    """
    scope = found.tracked.outside.scope
    upstream = [
        Change(path, None if path in absent else found.tracked.get_entry(path), new)
        for path, new in writes.items()
        if scope.covers(path)
    ]
    local = [change for change in found.changes if change.path in writes]
    in_the_way = list(_list_in_the_way(found, writes))
    upstream += [Change(path, old, None) for path, old, _ in in_the_way]
    local += in_the_way
    return make_plan(upstream, local, force=force, interrupted=InterruptedCheckouts(happened=True))


def _list_in_the_way(found: FolderChanges, writes: Mapping[str, Entry]) -> Iterator[Change]:
    """Yield changed files that are where a folder is needed, or in a folder where a file is needed."""
    needed = {above for path in writes for above in iterate_parents(path)}
    for change in found.changes:
        if change.new is not None and change.path not in writes:
            above = iterate_parents(change.path)
            if change.path in needed or any(parent in writes for parent in above):
                yield change


def _fetch_entries(
    repository: RepositoryClient, revision: str, paths: Sequence[str]
) -> tuple[str, dict[str, Entry]]:
    """Return the commit of a revision, and its files and links at some paths and below."""
    asked = [to_repository_path(path) for path in paths]
    commit, found = "", dict[str, PathEntry]()
    for answered, answer in _get_entries(repository, revision, asked):
        commit = answered
        if not answer.HasField("entry"):
            raise ClientError(f"{quote_text(answer.path)} is not in {name_revision(revision)}")
        found[answer.path] = answer
    directories = [p for p, a in found.items() if a.entry.kind == ENTRY_KIND_DIRECTORY]
    below = [path for top in directories for path in _list_files(repository, commit, top)]
    for _, answer in _get_entries(repository, commit, below):
        found[answer.path] = answer
    for path in asked:
        refuse_gone_file(path, found[path].entry)
    return commit, {
        path: answer.stored
        for path, answer in found.items()
        if not answer.stored.HasField("directory") and not answer.entry.obliteration_reason
    }


def _list_files(repository: RepositoryClient, revision: str, directory: str) -> Iterator[str]:
    request = ListPathsRequest(
        repository=repository.name, revision=revision, path=directory, page_size=PAGE
    )
    for page in repository.list_pages(repository.trees.ListPaths, request):
        for answer in page.entries:
            if answer.entry.kind != ENTRY_KIND_DIRECTORY:
                yield answer.path


def _get_entries(
    repository: RepositoryClient, revision: str, paths: Sequence[str]
) -> Iterator[tuple[str, PathEntry]]:
    """Yield the commit, and what is at each path; the server may answer for some at a time."""
    left = list(paths)
    while left:
        request = GetEntriesRequest(
            repository=repository.name,
            revision=revision,
            paths=left[:MAX_PATHS],
            with_stored=True,
        )
        response = repository.call(repository.trees.GetEntries, request)
        if not response.entries:
            raise ClientError("the server did not answer for any path")
        # The next question is about the same commit, even if the branch moves.
        revision = response.commit_hash
        yield from ((response.commit_hash, answer) for answer in response.entries)
        del left[: len(response.entries)]

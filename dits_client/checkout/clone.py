"""Clone: a revision of a repository becomes a new folder."""

import re
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from dits.common.v1.error_reason_pb2 import ERROR_REASON_NOT_FOUND
from dits.repo.v1.commit_service_pb2 import GetCommitRequest

from dits_client.checkout.include import check_paths
from dits_client.checkout.report import CheckoutReport
from dits_client.checkout.switch import missing_branch
from dits_client.checkout.update_folder import FolderUpdate
from dits_client.content.paths import to_repository_path
from dits_client.content.scope import make_scope
from dits_client.errors import ClientError, RemoteError, os_error
from dits_client.platform import Platform
from dits_client.progress import Progress
from dits_client.server.client import Client
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import quote_text
from dits_client.workspace.local_directory import OWN_DIRECTORY
from dits_client.workspace.state import WorkspaceState, make_state
from dits_client.workspace.workspace import Workspace

HASH_DIGITS = 64
# What is in `.dits` before the state.
_BEGUN = re.compile(r"checkout|\.state\.json-.*")


def clone_repository(
    client: Client,
    repository: str,
    folder: Path,
    *,
    revision: str = "",
    only: Sequence[str] = (),
    levels: int | None = None,
    progress: Progress | None = None,
    platform: Platform | None = None,
) -> CheckoutReport:
    """Fetch a revision, or else the default branch, into a new folder that follows the branch.

    `only`: the paths to include, by default everything; `levels`: how many levels of folders of each, where
    its own files are the first. An interrupted clone is continued. Raises ClientError if the folder has
    other content, or if the commit has none of a path.
    """
    started = time.monotonic()
    remote = RepositoryClient(client, repository)
    info = remote.get_info()
    branch, commit = _find_revision(remote, revision or info.default_branch, info.default_branch)
    if revision and not commit:
        raise missing_branch(remote, revision, "branch, tag or commit")
    scope = make_scope([to_repository_path(path) for path in only], levels)
    check_paths(remote, commit, only)
    state = make_state(client.endpoints.name, info, branch, client.account)
    state.included = dict(scope.rules)
    workspace = _new_workspace(folder, state)
    with workspace.lock(), closing(FolderUpdate(workspace, remote, progress, platform)) as update:
        report = update.apply(commit, force=False)
    report.seconds = round(time.monotonic() - started, 3)
    return report


def _find_revision(remote: RepositoryClient, revision: str, default: str) -> tuple[str, str]:
    """Return the branch to follow, by default for a tag or commit, and the commit; empty = none."""
    # No branch has the name of a whole hash.
    if len(revision) != HASH_DIGITS and (head := remote.get_head(revision)):
        return revision, head
    # A tag, or a commit, which the first digits name.
    request = GetCommitRequest(repository=remote.name, revision=revision)
    try:
        return default, remote.call(remote.commits.GetCommit, request).commit.hash
    except RemoteError as error:
        # A repository that does not exist gives the same reason; the next call will fail.
        if error.reason == ERROR_REASON_NOT_FOUND:
            return default, ""
        raise


def _new_workspace(folder: Path, state: WorkspaceState) -> Workspace:
    """Return a new workspace, or the one of an interrupted clone."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if _is_free(folder):
            return Workspace.create(folder, state, is_checkout=True)
    except OSError as error:
        raise os_error(error, "make folder", str(folder)) from error
    started = Workspace.open(folder)
    if started is not None and started.journal.exists() and started.state == state:
        return started
    if started is not None and started.state.address == state.address:
        raise ClientError(
            f"{quote_text(folder)} is not empty: it follows {state.repository} already, and "
            "`dits pull` in it brings what is new or missing"
        )
    raise ClientError(f"{quote_text(folder)} is not empty")


def _is_free(folder: Path) -> bool:
    """Return whether there is nothing, or what a clone left that was killed before it made a workspace."""
    own = folder / OWN_DIRECTORY
    return all(
        found == own
        and own.is_dir()
        and all(_BEGUN.fullmatch(inner.name) for inner in own.iterdir())
        for found in folder.iterdir()
    )

"""Clone: a revision of a repository becomes a new folder."""

import time
from contextlib import closing
from pathlib import Path

from dits_client.checkout.report import CheckoutReport
from dits_client.checkout.update_folder import FolderUpdate
from dits_client.errors import ClientError, os_error
from dits_client.progress import Progress
from dits_client.server.client import Client
from dits_client.server.repository import RepositoryClient
from dits_client.workspace.workspace import Workspace, WorkspaceState


def clone_repository(
    client: Client,
    repository: str,
    folder: Path,
    *,
    revision: str = "",
    progress: Progress | None = None,
) -> CheckoutReport:
    """Fetch a revision, or else the default branch, into a new folder that follows the branch.

    An interrupted clone is continued. Raises ClientError if the folder has other content.
    """
    started = time.monotonic()
    remote = RepositoryClient(client, repository)
    info = remote.get_info()
    is_branch = len(revision) != 64
    branch = revision if revision and is_branch else info.default_branch
    commit = remote.get_head(branch) if is_branch else revision
    if revision and not commit:
        raise ClientError(f"{info.name} has no branch {revision}")
    workspace = _new_workspace(folder, WorkspaceState(client.endpoints.name, info.name, branch))
    with workspace.lock(), closing(FolderUpdate(workspace, remote, progress)) as update:
        report = update.apply(commit, force=False)
    report.seconds = round(time.monotonic() - started, 3)
    return report


def _new_workspace(folder: Path, state: WorkspaceState) -> Workspace:
    """Return a new workspace, or the one of an interrupted clone."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            workspace = Workspace.create(folder, state)
            workspace.journal.start()
            return workspace
    except OSError as error:
        raise os_error(error, "make folder", str(folder)) from error
    started = Workspace.open(folder)
    if started is not None and started.journal.exists() and started.state == state:
        return started
    raise ClientError(f'"{folder}" is not empty')

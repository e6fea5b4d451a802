"""Pull: a folder is brought to the head of its branch."""

import time
from contextlib import closing
from pathlib import Path

from dits_client.checkout.report import CheckoutReport
from dits_client.checkout.update_folder import FolderUpdate
from dits_client.errors import ClientError
from dits_client.progress import Progress
from dits_client.server.client import Client
from dits_client.server.repository import RepositoryClient
from dits_client.workspace.workspace import Workspace


def pull_folder(
    folder: Path, client: Client, *, force: bool = False, progress: Progress | None = None
) -> CheckoutReport:
    """Bring the folder to the head of its branch.

    Local changes stay. Raises ConflictError, and changes nothing, if the same paths changed on the branch;
    with `force` every file of the commit is written as the commit has it, and new files stay.
    """
    started = time.monotonic()
    workspace = Workspace.locate(folder)
    with workspace.lock():
        state = workspace.state
        remote = RepositoryClient(client, state.repository)
        commit = remote.get_head(state.branch)
        if not commit:
            # Raises if the repository does not exist.
            remote.get_info()
            if state.head:
                raise ClientError(f"{state.repository} has no branch {state.branch} any more")
        with closing(FolderUpdate(workspace, remote, progress)) as update:
            report = update.apply(commit, force=force)
    report.seconds = round(time.monotonic() - started, 3)
    return report

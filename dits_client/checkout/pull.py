"""Pull: a folder is brought to the head of its branch."""

import time
from contextlib import closing
from pathlib import Path

from dits_client.checkout.report import CheckoutReport
from dits_client.checkout.update_folder import FolderUpdate
from dits_client.errors import ClientError
from dits_client.platform import Platform
from dits_client.progress import Progress
from dits_client.server.client import Client
from dits_client.server.repository import RepositoryClient
from dits_client.workspace.identity import (
    check_followed,
    complete_identity,
    forget_lost_commit,
)
from dits_client.workspace.lock_modes import update_modes
from dits_client.workspace.workspace import Workspace


def pull_folder(
    folder: Path,
    client: Client,
    *,
    force: bool = False,
    keep: bool = False,
    progress: Progress | None = None,
    platform: Platform | None = None,
) -> CheckoutReport:
    """Bring the folder to the head of its branch.

    Local changes stay. Raises ConflictError, and changes nothing, if the same paths changed on the branch;
    with `force` every file of the commit is written as the commit has it, and new files stay. `keep` is for
    a folder whose commit the server has lost: missing files come, what is here stays and is a change.
    """
    started = time.monotonic()
    workspace = Workspace.locate(folder)
    with workspace.lock():
        state = workspace.state
        remote = RepositoryClient(client, state.address)
        complete_identity(workspace, remote)
        # An interrupted switch goes on.
        branch = workspace.wanted_branch
        commit = remote.get_head(branch)
        if not commit:
            # Raises if the repository does not exist.
            name = remote.get_info().name
            if state.head:
                message = f"{name} has no branch {branch} any more: `dits switch` goes to another"
                raise ClientError(message)
        if force or keep:
            forget_lost_commit(remote, state, commit, must=keep)
        else:
            check_followed(remote, state, commit, branch)
        with closing(FolderUpdate(workspace, remote, progress, platform)) as update:
            update.keeps_files = keep
            report = update.apply(commit, force=force, branch=branch)
        update_modes(workspace, remote, progress)
    report.seconds = round(time.monotonic() - started, 3)
    return report

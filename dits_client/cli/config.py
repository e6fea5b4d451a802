"""`dits config`: the settings of a folder."""

import json
from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING

from dits_client.cli.logins import get_login
from dits_client.cli.session import connect_to
from dits_client.cli.workspace_paths import open_workspace
from dits_client.errors import UsageError
from dits_client.progress import Warnings
from dits_client.workspace.workspace import Workspace

if TYPE_CHECKING:
    from dits_client.server.client import Client

_VALUES = {"true": True, "false": False}


def handle_config(arguments: Namespace) -> None:
    """Show the settings of the folder, or change one."""
    workspace = open_workspace()
    if arguments.value is not None:
        if arguments.value not in _VALUES:
            raise UsageError(f"{arguments.name} is true or false")
        _set_readonly(workspace, _VALUES[arguments.value])
    value = workspace.state.lock_readonly
    if arguments.json:
        print(json.dumps({"lock.readonly": value}))
    elif arguments.value is None:
        print(f"lock.readonly = {str(value).lower()}")


def _set_readonly(workspace: Workspace, value: bool) -> None:
    """Make what needs a lock, and is not locked by the user, read-only from now on, or writable again."""
    from dits_client.workspace.lock_modes import LockRules, apply_rules, update_modes

    with workspace.lock():
        workspace.check_complete()
        if not value:
            # While it holds, modes on the disk are no changes.
            apply_rules(workspace, LockRules(), partial(_connect_late, workspace), Warnings())
        workspace.state.lock_readonly = value
        workspace.save()
        if value:
            with connect_to(workspace) as (remote, _):
                update_modes(workspace, remote, Warnings())
            if not LockRules.load(workspace).required:
                Warnings().warn("the repository requires no locks: all files stay writable")


def _connect_late(workspace: Workspace) -> "Client":
    from dits_client.cli.stored_session import open_client

    return open_client(get_login(workspace.state.server))

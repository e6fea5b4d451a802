"""`dits config`: the settings of a folder, and those of the user."""

import json
from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING

from dits_client.cli.credentials import Credentials
from dits_client.cli.keyring_secrets import STORES
from dits_client.cli.logins import get_login
from dits_client.cli.session import connect_to
from dits_client.cli.workspace_paths import open_workspace
from dits_client.errors import ClientError, NoWorkspaceError, UsageError
from dits_client.progress import Warnings
from dits_client.workspace.workspace import Workspace

if TYPE_CHECKING:
    from dits_client.server.client import Client

READONLY, ACCOUNT, STORE = "lock.readonly", "account", "credentials.store"
_VALUES = {"true": True, "false": False}


def handle_config(arguments: Namespace) -> None:
    """Show the settings of the folder and the user, or change one."""
    name, value = arguments.name, arguments.value
    if value is not None:
        _SETTERS[name](value)
    found: dict[str, bool | str] = {STORE: Credentials().store}
    try:
        state = open_workspace().state
        found |= {READONLY: state.lock_readonly, ACCOUNT: state.account}
    except NoWorkspaceError:
        if name not in (None, STORE):
            raise
    shown = {key: found[key] for key in found if key == name or not name}
    if arguments.json:
        print(json.dumps(shown))
    elif value is None:
        for key, setting in shown.items():
            print(f"{key} = {str(setting).lower() if isinstance(setting, bool) else setting}")


def _set_store(value: str) -> None:
    """Move all logins to where they are to be kept from now on."""
    if value not in STORES:
        raise UsageError(f"{STORE} is {', '.join(STORES)}")
    Credentials().move_secrets(value)


def _set_account(value: str) -> None:
    """Use the folder with another account of the user's; empty = with the one chosen last."""
    workspace = open_workspace()
    if value:
        server, logins = workspace.state.server, Credentials().logins
        names = [login.username for login in logins if login.is_of(server, value)]
        if not names:
            raise ClientError(f"not logged in as {value} to {server}: run `dits login`")
        value = names[0]
    with workspace.lock():
        workspace.state.account = value
        workspace.save()


def _set_readonly(value: str) -> None:
    """Make what needs a lock, and is not locked by the user, read-only from now on, or writable again."""
    from dits_client.workspace.lock_modes import LockRules, apply_rules

    if value not in _VALUES:
        raise UsageError(f"{READONLY} is true or false")
    workspace, is_on = open_workspace(), _VALUES[value]
    with workspace.lock():
        workspace.check_complete()
        if is_on:
            with connect_to(workspace) as (remote, _):
                rules = LockRules.fetch(remote)
        else:
            # While it holds, modes on the disk are no changes.
            apply_rules(workspace, LockRules(), partial(_connect_late, workspace), Warnings())
        workspace.state.lock_readonly = is_on
        workspace.save()
        if is_on:
            rules.save(workspace)
            apply_rules(workspace, rules, partial(_connect_late, workspace), Warnings())
            if not rules.required:
                Warnings().warn("the repository requires no locks: all files stay writable")


_SETTERS = {READONLY: _set_readonly, ACCOUNT: _set_account, STORE: _set_store}


def _connect_late(workspace: Workspace) -> "Client":
    from dits_client.cli.stored_session import open_client

    return open_client(get_login(workspace.state.server_account))

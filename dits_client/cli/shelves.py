"""`dits shelve`, `unshelve` and `shelves`."""

import json
from argparse import Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING

from dits_client.cli.logins import get_username
from dits_client.cli.session import connect, connect_to
from dits_client.cli.table import print_table
from dits_client.cli.workspace_paths import open_workspace
from dits_client.progress import make_progress
from dits_client.terminal import escape_text, format_count, quote_argument
from dits_client.transfer.memory import keep_freed_memory
from dits_client.workspace.unusable import check_left_out

if TYPE_CHECKING:
    from dits_client.server.repository import RepositoryClient


def handle_shelve(arguments: Namespace) -> None:
    """Put the changes of the folder aside, on the server."""
    from dits_client.push.report import Author
    from dits_client.server.repository import RepositoryClient
    from dits_client.shelves import shelve_folder

    keep_freed_memory()
    workspace = open_workspace()
    with (
        connect(workspace.state.server_account) as (client, login),
        make_progress(arguments.quiet) as progress,
    ):
        remote = RepositoryClient(client, workspace.state.address)
        user = get_username(client, login)
        report = shelve_folder(
            workspace.root,
            client,
            f"{user}/{arguments.name or _number(remote, user)}",
            message=arguments.message,
            author=Author(login.name, login.email if login.name else ""),
            progress=progress,
        )
    if arguments.json:
        print(json.dumps(asdict(report)))
    elif not arguments.quiet:
        shelf, changes = report.shelf, format_count(report.changed, "change")
        print(
            f"On the shelf {escape_text(shelf)}: {changes}. They come back with `dits unshelve "
            f"{quote_argument(shelf)}`."
        )
    check_left_out(report.left_out)


def _number(remote: "RepositoryClient", user: str) -> int:
    """Return a number that no shelf of a user has."""
    from dits_client.shelves import list_shelves

    names = [name.partition("/")[2] for name, _ in list_shelves(remote, user)]
    return 1 + max((int(name) for name in names if name.isdecimal()), default=0)


def handle_unshelve(arguments: Namespace) -> None:
    """Bring back what is on a shelf."""
    from dits_client.shelves import unshelve_folder

    keep_freed_memory()
    workspace = open_workspace()
    with (
        connect(workspace.state.server_account) as (client, login),
        make_progress(arguments.quiet) as progress,
    ):
        name = arguments.name
        shelf = name if "/" in name else f"{get_username(client, login)}/{name}"
        report = unshelve_folder(
            workspace.root, client, shelf, keep=arguments.keep, progress=progress
        )
    if arguments.json:
        print(json.dumps(asdict(report)))
    elif not arguments.quiet:
        changes = format_count(report.changed, "change")
        print(f"Back from the shelf {escape_text(report.shelf)}: {changes}.")


def handle_shelves(arguments: Namespace) -> None:
    """List what is on shelves."""
    from dits_client.cli.history import find_commit, format_time
    from dits_client.shelves import list_shelves

    with connect_to(open_workspace()) as (remote, _login):
        rows = []
        for name, head in list_shelves(remote):
            commit = find_commit(remote, head)
            if arguments.json:
                print(json.dumps({"shelf": name, "commit": head}))
                continue
            title = commit.message.partition("\n")[0]
            rows.append((name, head[:12], format_time(commit.author), title))
    if not arguments.json:
        print_table(("SHELF", "COMMIT", "WHEN", ""), rows, "No shelves.")

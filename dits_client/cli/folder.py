"""`dits clone`, `push`, `pull`, `status` and `untrack`."""

import json
from argparse import Namespace
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dits_client.cli.session import (
    complete_name,
    connect,
    get_login,
    open_workspace,
    parse_paths,
)
from dits_client.progress import make_progress
from dits_client.transfer.memory import keep_freed_memory
from dits_client.workspace.workspace import Workspace

if TYPE_CHECKING:
    from dits_client.checkout.report import CheckoutReport
    from dits_client.server.client import Client


def handle_clone(arguments: Namespace) -> None:
    """Fetch a repository into a new folder."""
    from dits_client.checkout.clone import clone_repository

    keep_freed_memory()
    with connect() as (client, login), make_progress(arguments.quiet) as progress:
        repository = complete_name(arguments.repository, client, login)
        folder = Path(arguments.folder or repository.rpartition("/")[2])
        report = clone_repository(
            client, repository, folder, revision=arguments.revision, progress=progress
        )
    if not report.commit:
        _print_report(arguments, report, f"Cloned {repository}, which is empty, into {folder}.")
    else:
        _print_report(
            arguments, report, f"Cloned {repository} into {folder}: {_summarize(report)}."
        )


def handle_push(arguments: Namespace) -> None:
    """Commit the folder's state and push it."""
    from dits_client.push.push_folder import push_folder
    from dits_client.push.report import Author

    keep_freed_memory()
    workspace = open_workspace()
    with connect(workspace.state.server) as (client, login):
        author = Author(login.name, login.email) if login.name else None
        with make_progress(arguments.quiet) as progress:
            report = push_folder(
                workspace.root,
                client,
                message=arguments.message,
                branch=arguments.branch,
                force=arguments.force,
                author=author,
                progress=progress,
            )
    if report.pushed:
        text = (
            f"Pushed {report.commit[:12]} to {report.branch}: {report.changed} changed, "
            f"{report.chunks_sent} chunks sent ({format_bytes(report.bytes_sent)}), "
            f"{report.seconds:.1f} s."
        )
    else:
        text = f"Nothing to push: the folder equals {report.branch} at {report.commit[:12]}."
        if report.behind:
            text += f"\n{report.branch} has other commits on the server: run `dits pull`."
    _print_report(arguments, report, text)


def handle_pull(arguments: Namespace) -> None:
    """Bring the folder to its branch's state."""
    from dits_client.checkout.pull import pull_folder

    keep_freed_memory()
    workspace = open_workspace()
    with (
        connect(workspace.state.server) as (client, _),
        make_progress(arguments.quiet) as progress,
    ):
        report = pull_folder(workspace.root, client, force=arguments.force, progress=progress)
    if report.files or report.removed:
        text = f"{report.branch} is at {report.commit[:12]}: {_summarize(report)}."
    else:
        text = f"Nothing to pull: {report.branch} is at {report.commit[:12] or 'no commit'}."
    _print_report(arguments, report, text)


def handle_status(arguments: Namespace) -> None:
    """Show what changed in the folder."""
    from dits_client.workspace.status import compare_folder

    workspace = open_workspace()
    with make_progress(arguments.quiet) as progress:
        report = compare_folder(workspace.root, partial(_connect_late, workspace), progress)
    lines = [f"{report.repository}, {report.branch} at {report.commit[:12] or 'no commit'}"]
    for word, paths in (
        ("new", report.new),
        ("changed", report.changed),
        ("deleted", report.deleted),
        ("untracked", report.untracked),
        ("unusable", report.unusable),
    ):
        lines += [f"  {word:8} {path}" for path in paths]
    if len(lines) == 1:
        lines.append("Nothing has changed.")
    _print_report(arguments, report, "\n".join(lines))


def handle_untrack(arguments: Namespace) -> None:
    """Leave files out of the next push, and keep them in the folder."""
    from dits_client.workspace.untrack import untrack_paths

    workspace = open_workspace()
    paths = [path.rstrip("/") for path in parse_paths(workspace, arguments.paths)]
    for path in untrack_paths(workspace.root, partial(_connect_late, workspace), paths):
        print(f"untracked: {path}")
    print("The next push leaves them out. They stay in this folder, and in those of others.")


def _connect_late(workspace: Workspace) -> "Client":
    from dits_client.server.client import Client

    login = get_login(workspace.state.server)
    return Client(login.endpoints, login.token)


def _summarize(report: "CheckoutReport") -> str:
    return (
        f"{report.files} files written, {report.removed} removed, "
        f"{report.chunks_received} chunks received ({format_bytes(report.bytes_received)}), "
        f"{report.seconds:.1f} s"
    )


def _print_report(arguments: Namespace, report: Any, text: str) -> None:
    if arguments.json:
        print(json.dumps(asdict(report)))
    elif not arguments.quiet:
        print(text)


def format_bytes(count: float) -> str:
    """Return a number of bytes for people: `1.5 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"

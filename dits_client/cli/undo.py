"""`dits undo` and `dits get`."""

import json
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from dits_client.cli.answers import record
from dits_client.cli.history import connect_to_revision
from dits_client.cli.session import connect
from dits_client.cli.workspace_paths import find_path, open_workspace
from dits_client.errors import ClientError, UsageError
from dits_client.progress import make_progress
from dits_client.transfer.lost_content import name_lost_file
from dits_client.transfer.memory import keep_freed_memory
from dits_client.workspace.unusable import check_left_out


def handle_undo(arguments: Namespace) -> None:
    """Push a commit that takes back what a commit changed."""
    from dits_client.push.report import Author
    from dits_client.undo import undo_commit

    keep_freed_memory()
    workspace = open_workspace()
    with (
        connect(workspace.state.server_account) as (client, login),
        make_progress(arguments.quiet) as progress,
    ):
        author = Author(login.name, login.email if login.name else "")
        report = undo_commit(
            workspace.root,
            client,
            arguments.revision,
            force=arguments.force,
            author=author,
            progress=progress,
        )
    if arguments.json:
        print(json.dumps(asdict(report)))
    elif not report.pushed:
        raise ClientError("that commit changed nothing that could be taken back")
    elif not arguments.quiet:
        text = f"Pushed {report.commit[:12]} to {report.branch}: {report.changed} changed back"
        if report.deleted:
            text += f", {report.deleted} of them removed: `dits undo` again brings them back"
        print(f"{text}.")
    check_left_out(report.left_out)


def handle_get(arguments: Namespace) -> None:
    """Write a file of any revision somewhere else."""
    from dits_client.checkout.get_file import find_file, get_file

    with connect_to_revision(arguments) as (remote, revision):
        if not revision:
            revision = remote.get_info().default_branch
        path, file = find_file(remote, find_path(arguments, arguments.file), revision)
        output = Path(arguments.output or path.rpartition("/")[2])
        if arguments.json and arguments.output == "-":
            raise UsageError("--json and the file cannot both go to stdout")
        with make_progress(arguments.quiet) as progress, name_lost_file(path):
            get_file(remote, file, None if arguments.output == "-" else output, progress)
    record({"path": path, "bytes": file.size, "file": str(output)})

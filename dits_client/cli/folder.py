"""`dits clone`, `push`, `pull` and `status`."""

import json
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dits_client.cli.session import connected, current_login, full_name, here
from dits_client.progress import make_progress
from dits_client.transfer.memory import keep_freed_memory

if TYPE_CHECKING:
    from dits_client.checkout.clone import CheckoutReport
    from dits_client.server.client import Client


def clone(arguments: Namespace) -> None:
    """Fetch a repository into a new folder."""
    from dits_client.checkout.clone import clone as run

    keep_freed_memory()
    with connected() as (client, login), make_progress(arguments.quiet) as progress:
        repository = full_name(arguments.repository, client, login)
        folder = Path(arguments.folder or repository.rpartition("/")[2])
        report = run(client, repository, folder, revision=arguments.revision, progress=progress)
    if not report.commit:
        _tell(arguments, report, f"Cloned {repository}, which is empty, into {folder}.")
    else:
        _tell(arguments, report, f"Cloned {repository} into {folder}: {_received(report)}.")


def push(arguments: Namespace) -> None:
    """Commit the folder's state and push it."""
    from dits_client.push.push_folder import push as run
    from dits_client.push.report import Author

    keep_freed_memory()
    workspace = here()
    with connected(workspace.state.server) as (client, login):
        author = Author(login.name, login.email) if login.name else None
        with make_progress(arguments.quiet) as progress:
            report = run(
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
            f"{report.chunks_sent} chunks sent ({amount(report.bytes_sent)}), "
            f"{report.seconds:.1f} s."
        )
    else:
        text = f"Nothing to push: the folder is as {report.branch} at {report.commit[:12]}."
        if report.behind:
            text += f"\n{report.branch} has other commits on the server: run `dits pull`."
    _tell(arguments, report, text)


def pull(arguments: Namespace) -> None:
    """Bring the folder to its branch's state."""
    from dits_client.checkout.clone import pull as run

    keep_freed_memory()
    workspace = here()
    with (
        connected(workspace.state.server) as (client, _),
        make_progress(arguments.quiet) as progress,
    ):
        report = run(workspace.root, client, force=arguments.force, progress=progress)
    if report.files or report.removed:
        text = f"{report.branch} is at {report.commit[:12]}: {_received(report)}."
    else:
        text = f"Nothing to pull: {report.branch} is at {report.commit[:12] or 'no commit'}."
    _tell(arguments, report, text)


def status(arguments: Namespace) -> None:
    """Show what changed in the folder."""
    from dits_client.workspace.status import compare_folder as run

    workspace = here()

    def connect() -> "Client":
        from dits_client.server.client import Client

        login = current_login(workspace.state.server)
        return Client(login.endpoints, login.token)

    with make_progress(arguments.quiet) as progress:
        report = run(workspace.root, connect, progress)
    lines = [f"{report.repository}, {report.branch} at {report.commit[:12] or 'no commit'}"]
    for word, paths in (
        ("new", report.new),
        ("changed", report.changed),
        ("deleted", report.deleted),
    ):
        lines += [f"  {word:8} {path}" for path in paths]
    if len(lines) == 1:
        lines.append("Nothing has changed.")
    _tell(arguments, report, "\n".join(lines))


def _received(report: "CheckoutReport") -> str:
    return (
        f"{report.files} files written, {report.removed} removed, "
        f"{report.chunks_received} chunks received ({amount(report.bytes_received)}), "
        f"{report.seconds:.1f} s"
    )


def _tell(arguments: Namespace, report: Any, text: str) -> None:
    if arguments.json:
        print(json.dumps(asdict(report)))
    elif not arguments.quiet:
        print(text)


def amount(count: float) -> str:
    """Return bytes for people: `1.5 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"

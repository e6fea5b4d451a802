"""`dits clone`, `push`, `pull`, `switch`, `status` and `untrack`."""

import json
from argparse import Namespace
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dits_client.cli.answers import record
from dits_client.cli.logins import complete_name, get_login
from dits_client.cli.session import connect
from dits_client.cli.workspace_paths import open_workspace, parse_paths
from dits_client.content.scope import describe_rules
from dits_client.errors import UsageError
from dits_client.progress import make_progress
from dits_client.terminal import escape_text, format_count, quote_argument
from dits_client.transfer.memory import keep_freed_memory
from dits_client.workspace.unusable import check_left_out
from dits_client.workspace.workspace import Workspace

if TYPE_CHECKING:
    from dits_client.checkout.report import CheckoutReport
    from dits_client.push.report import Sign
    from dits_client.server.client import Client


_MISSING = (
    "removed from every version, or not delivered by the server, which `dits pull` asks again."
)
_RENAMED = "\n  (what had another name before is gone from the branch; its history has it)"


def handle_clone(arguments: Namespace) -> None:
    """Fetch a repository into a new folder."""
    from dits_client.checkout.clone import clone_repository

    if arguments.depth and not arguments.only:
        raise UsageError("--depth goes with --only")
    keep_freed_memory()
    with connect() as (client, login), make_progress(arguments.quiet) as progress:
        repository = complete_name(arguments.repository, client, login)
        folder = Path(arguments.folder or repository.rpartition("/")[2])
        report = clone_repository(
            client,
            repository,
            folder,
            revision=arguments.revision,
            only=arguments.only,
            levels=arguments.depth,
            progress=progress,
        )
    if not report.commit:
        print_report(arguments, report, f"Cloned {repository}, which is empty, into {folder}.")
    else:
        print_report(arguments, report, f"Cloned {repository} into {folder}: {summarize(report)}.")


def handle_push(arguments: Namespace) -> None:
    """Commit the folder's state and push it."""
    from dits_client.push.push_folder import push_folder
    from dits_client.push.report import Author

    keep_freed_memory()
    workspace = open_workspace()
    with connect(workspace.state.server_account) as (client, login):
        email = login.email if login.name else ""
        author = Author(login.name, email, _make_signer(arguments, client))
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
            f"{format_count(report.chunks_sent, 'chunk')} sent ({format_bytes(report.bytes_sent)}), "
            f"{report.seconds:.1f} s."
        )
    else:
        nothing = "Nothing else" if report.left_out else "Nothing"
        text = f"{nothing} to push: the folder equals {report.branch} at {report.commit[:12]}."
        if report.behind:
            text += f"\n{report.branch} has other commits on the server: run `dits pull`."
    print_report(arguments, report, text)
    check_left_out(report.left_out, _RENAMED if report.deleted else "")


def _make_signer(arguments: Namespace, client: "Client") -> "Sign | None":
    """Return what signs the commit, with the user's SSH key; None = nothing does."""
    if not arguments.sign:
        return None
    from dits_client.cli.signatures import choose_key
    from shared.formats.sshsig import COMMIT_NAMESPACE

    return partial(choose_key(client, arguments.key).sign, namespace=COMMIT_NAMESPACE)


def handle_pull(arguments: Namespace) -> None:
    """Bring the folder to its branch's state, after a merge of another branch into it if one is named."""
    from dits_client.checkout.pull import pull_folder
    from dits_client.cli.merge import merge_into_folder

    if arguments.keep and (arguments.force or arguments.source):
        raise UsageError("--keep goes without --force and --from")
    keep_freed_memory()
    workspace = open_workspace()
    with (
        connect(workspace.state.server_account) as (client, login),
        make_progress(arguments.quiet) as progress,
    ):
        if arguments.source:
            merge_into_folder(workspace, client, login, arguments.source)
        report = pull_folder(
            workspace.root, client, force=arguments.force, keep=arguments.keep, progress=progress
        )
    if report.files or report.removed:
        text = f"{report.branch} is at {report.commit[:12]}: {summarize(report)}."
    else:
        text = f"Nothing to pull: {report.branch} is at {report.commit[:12] or 'no commit'}."
    print_report(arguments, report, text)


def handle_status(arguments: Namespace) -> None:
    """Show what changed in the folder."""
    from dits_client.workspace.status import compare_folder

    workspace = open_workspace()
    with make_progress(arguments.quiet) as progress:
        report = compare_folder(workspace.root, partial(_connect_late, workspace), progress)
    lines = [f"{report.repository}, {report.branch} at {report.commit[:12] or 'no commit'}"]
    if report.interrupted:
        what = "A clone, pull, include or exclude was interrupted: `dits pull` completes it."
        if report.interrupted != report.branch:
            what = (
                f"A switch to {report.interrupted} was interrupted: `dits switch --continue` "
                f"completes it, `dits switch {quote_argument(report.branch)}` goes back."
            )
        lines.append(what)
    if report.included:
        lines.append(f"Only a part is included: {escape_text(describe_rules(report.included))}.")
    if count := len(report.waiting):
        lines.append(f"Waiting for `dits fetch PATH`: {format_count(count, 'file')}.")
    if count := len(report.missing):
        lines.append(f"Missing: {format_count(count, 'file')}, {_MISSING}")
    start = len(lines)
    for word, paths in (
        ("new", report.new),
        ("changed", report.changed),
        ("deleted", report.deleted),
        ("untracked", report.untracked),
        ("unusable", report.unusable),
        ("outside", report.outside),
        ("unlocked", report.unlocked),
    ):
        lines += [f"  {word:8} {escape_text(path)}" for path in paths]
    if report.unlocked:
        lines.append(
            "What is unlocked is writable without a lock of yours: `dits lock` comes first."
        )
    if len(lines) == start and not report.interrupted:
        lines.append("Nothing has changed.")
    print_report(arguments, report, "\n".join(lines))


def handle_untrack(arguments: Namespace) -> None:
    """Leave files out of the next push, and keep them in the folder."""
    from dits_client.workspace.untrack import untrack_paths

    workspace = open_workspace()
    paths = [path.rstrip("/") for path in parse_paths(workspace, arguments.paths)]
    for path in untrack_paths(workspace.root, partial(_connect_late, workspace), paths):
        record({"untracked": path})
        print(f"untracked: {path}")
    print("The next push leaves them out. They stay in this folder, and in those of others.")


def handle_switch(arguments: Namespace) -> None:
    """Bring the folder to another branch."""
    from dits_client.checkout.switch import switch_folder

    if bool(arguments.branch) == arguments.resume:
        raise UsageError("name a branch, or say --continue")
    if arguments.start and not arguments.create:
        raise UsageError("a second name is where --create makes the branch")
    keep_freed_memory()
    workspace = open_workspace()
    with (
        connect(workspace.state.server_account) as (client, _),
        make_progress(arguments.quiet) as progress,
    ):
        report = switch_folder(
            workspace.root,
            client,
            arguments.branch,
            create=arguments.create,
            start=arguments.start,
            force=arguments.force,
            progress=progress,
        )
    where = f"{escape_text(report.branch)} at {report.commit[:12] or 'no commit'}"
    text = f"Switched to {where}: {summarize(report)}."
    print_report(arguments, report, text)


def _connect_late(workspace: Workspace) -> "Client":
    from dits_client.cli.stored_session import open_client

    return open_client(get_login(workspace.state.server_account))


def summarize(report: "CheckoutReport") -> str:
    """Return what a checkout did, for people."""
    files, chunks = (
        format_count(report.files, "file"),
        format_count(report.chunks_received, "chunk"),
    )
    return (
        f"{files} written, {report.removed} removed, "
        f"{chunks} received ({format_bytes(report.bytes_received)}), "
        f"{report.seconds:.1f} s"
    )


def print_report(arguments: Namespace, report: Any, text: str) -> None:
    """Print a report as JSON, or a text, as the arguments say."""
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

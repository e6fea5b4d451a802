"""`dits include`, `exclude` and `fetch`."""

from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from dits_client.cli.folder import format_bytes, print_report, summarize
from dits_client.cli.session import connect
from dits_client.cli.workspace_paths import open_workspace, parse_paths
from dits_client.errors import UsageError
from dits_client.progress import Progress, make_progress
from dits_client.terminal import format_count
from dits_client.transfer.memory import keep_freed_memory

if TYPE_CHECKING:
    from dits_client.checkout.report import CheckoutReport
    from dits_client.server.client import Client
    from dits_client.workspace.workspace import Workspace


def handle_include(arguments: Namespace) -> None:
    """Bring paths of the commit into the folder."""
    from dits_client.checkout.include import include_paths

    if bool(arguments.paths) == arguments.all:
        raise UsageError("name what to include, or say --all")

    def work(workspace: "Workspace", client: "Client", progress: Progress) -> "CheckoutReport":
        paths = list(parse_paths(workspace, arguments.paths))
        levels = arguments.depth
        return include_paths(workspace.root, client, paths, levels=levels, progress=progress)

    _change_scope(arguments, "Included", work)


def handle_exclude(arguments: Namespace) -> None:
    """Remove paths of the commit from the folder."""
    from dits_client.checkout.include import exclude_paths

    def work(workspace: "Workspace", client: "Client", progress: Progress) -> "CheckoutReport":
        paths = list(parse_paths(workspace, arguments.paths))
        return exclude_paths(workspace.root, client, paths, progress=progress)

    _change_scope(arguments, "Excluded", work)


def handle_fetch(arguments: Namespace) -> None:
    """Bring files that wait."""
    from dits_client.checkout.waiting_files import fetch_paths

    keep_freed_memory()
    workspace = open_workspace()
    given = parse_paths(workspace, arguments.paths, may_be_whole=True)
    paths = [path.rstrip("/") for path in given]
    with (
        connect(workspace.state.server_account) as (client, _),
        make_progress(arguments.quiet) as progress,
    ):
        report = fetch_paths(workspace.root, client, paths, progress=progress)
    files = format_count(report.files, "file")
    text = f"Fetched {files}, {format_bytes(report.bytes)}; {report.waiting} wait."
    print_report(arguments, report, text)


def _change_scope(
    arguments: Namespace,
    word: str,
    work: "Callable[[Workspace, Client, Progress], CheckoutReport]",
) -> None:
    keep_freed_memory()
    workspace = open_workspace()
    with (
        connect(workspace.state.server_account) as (client, _),
        make_progress(arguments.quiet) as progress,
    ):
        report = work(workspace, client, progress)
    print_report(arguments, report, f"{word}: {summarize(report)}.")

"""`dits merge` and `dits restore`."""

import json
from argparse import Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING

from dits.repo.v1.merge_pb2 import (
    MERGE_OUTCOME_CONFLICTS,
    MERGE_OUTCOME_FAST_FORWARD,
    MERGE_OUTCOME_MERGED,
    MERGE_OUTCOME_UP_TO_DATE,
    MergeBranchesResponse,
)

from dits_client.cli.session import connect
from dits_client.cli.table import print_json
from dits_client.cli.workspace_paths import open_workspace, parse_paths
from dits_client.errors import ClientError
from dits_client.progress import make_progress
from dits_client.terminal import escape_text, format_count
from dits_client.transfer.memory import keep_freed_memory

if TYPE_CHECKING:
    from dits_client.checkout.merge import MergeOptions
    from dits_client.cli.credentials import Login
    from dits_client.server.client import Client
    from dits_client.workspace.workspace import Workspace


def handle_merge(arguments: Namespace) -> None:
    """Merge a branch into that of the folder, on the server, and pull the result."""
    from dits_client.checkout.merge import MergeOptions, describe_conflict, merge_branches
    from dits_client.checkout.pull import pull_folder
    from dits_client.server.repository import RepositoryClient

    keep_freed_memory()
    workspace = open_workspace()
    wanted = MergeOptions(
        source=arguments.source,
        target=arguments.into or workspace.state.branch,
        sides=_parse_sides(workspace, arguments),
        other=arguments.all_others or "",
        message=arguments.message,
        no_fast_forward=arguments.no_ff,
        allow_unrelated=arguments.allow_unrelated,
        dry_run=arguments.dry_run,
    )
    if wanted.target == workspace.state.branch and not wanted.dry_run:
        workspace.check_complete()
    with connect(workspace.state.server_account) as (client, login):
        _set_author(wanted, login)
        repository = RepositoryClient(client, workspace.state.address)
        response = merge_branches(repository, wanted)
        if arguments.json:
            print_json([response])
        else:
            print(describe_outcome(wanted, response))
            for conflict in response.conflicts:
                print(f"  {describe_conflict(conflict)}")
        if wanted.dry_run or wanted.target != workspace.state.branch:
            return
        with make_progress(quiet=arguments.json) as progress:
            pull_folder(workspace.root, client, progress=progress)


def merge_into_folder(
    workspace: "Workspace", client: "Client", login: "Login", source: str
) -> None:
    """Merge a revision into the branch of a folder, on the server; the folder stays as it is."""
    from dits_client.checkout.merge import MergeOptions, merge_branches
    from dits_client.server.repository import RepositoryClient

    workspace.check_complete()
    wanted = MergeOptions(source, workspace.state.branch)
    _set_author(wanted, login)
    merge_branches(RepositoryClient(client, workspace.state.address), wanted)


def _set_author(wanted: "MergeOptions", login: "Login") -> None:
    if login.name:
        wanted.author = (login.name, login.email)


def _parse_sides(workspace: "Workspace", arguments: Namespace) -> dict[str, str]:
    sides = dict.fromkeys(parse_paths(workspace, arguments.ours), "ours")
    return sides | dict.fromkeys(parse_paths(workspace, arguments.theirs), "theirs")


def describe_outcome(wanted: "MergeOptions", response: MergeBranchesResponse) -> str:
    """Return a sentence about what a merge came to, or would come to."""
    target, source = escape_text(wanted.target), escape_text(wanted.source)
    if response.outcome == MERGE_OUTCOME_UP_TO_DATE:
        return f"Nothing to merge: {target} has all of {source}."
    if response.outcome == MERGE_OUTCOME_CONFLICTS:
        conflicts = format_count(response.unresolved_count, "conflict")
        return f"Cannot merge {source} into {target}: {conflicts}."
    verb = "Would move" if wanted.dry_run else "Moved"
    if response.outcome == MERGE_OUTCOME_FAST_FORWARD:
        return f"{verb} {target} to {source}, at {response.head[:12]}."
    if response.outcome != MERGE_OUTCOME_MERGED:
        raise ClientError(
            f"the server tells an outcome, {response.outcome}, that only newer dits knows"
        )
    if wanted.dry_run:
        return f"Would merge {source} into {target}."
    return f"Merged {source} into {target}, at {response.head[:12]}."


def handle_restore(arguments: Namespace) -> None:
    """Bring files back as a revision has them."""
    from dits_client.checkout.restore import restore_paths

    keep_freed_memory()
    workspace = open_workspace()
    paths = list(parse_paths(workspace, arguments.paths))
    with (
        connect(workspace.state.server_account) as (client, _),
        make_progress(arguments.quiet) as progress,
    ):
        report = restore_paths(
            workspace.root,
            client,
            paths,
            revision=arguments.revision,
            force=arguments.force,
            progress=progress,
        )
    if arguments.json:
        print(json.dumps(asdict(report)))
    elif not arguments.quiet:
        print(f"{format_count(report.files, 'file')} as in {report.commit[:12]}.")

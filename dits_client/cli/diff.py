"""`dits diff`."""

from argparse import Namespace

from dits.repo.v1.tree_service_pb2 import DiffTreesRequest

from dits_client.cli.changes import print_changes, print_responses
from dits_client.cli.history import connect_to_revision
from dits_client.cli.logins import get_login
from dits_client.cli.stored_session import open_client
from dits_client.cli.workspace_paths import find_path, open_workspace
from dits_client.errors import UsageError
from dits_client.progress import make_progress


def handle_diff(arguments: Namespace) -> None:
    """List what differs between two revisions, or between the folder and its commit."""
    if not arguments.base:
        _print_unpushed(arguments)
        return
    with connect_to_revision(arguments) as (repository, head):
        request = DiffTreesRequest(
            repository=repository.name,
            base=arguments.base,
            head=head,
            path=find_path(arguments, arguments.path),
            count_new_bytes=arguments.new_bytes,
        )
        print_changes(repository, request, as_json=arguments.json)


def _print_unpushed(arguments: Namespace) -> None:
    from dits_client.push.unpushed import list_unpushed

    if arguments.repository:
        raise UsageError("--repository goes with a revision to compare with")
    workspace = open_workspace()
    with make_progress(arguments.json) as progress:
        found = list_unpushed(
            workspace.root,
            lambda: open_client(get_login(workspace.state.server_account)),
            path=find_path(arguments, arguments.path),
            count_new_bytes=arguments.new_bytes,
            progress=progress,
        )
    print_responses([found], as_json=arguments.json, with_new=arguments.new_bytes)

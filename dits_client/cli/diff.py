"""`dits diff`."""

from argparse import Namespace

from dits.repo.v1.tree_service_pb2 import DiffTreesRequest

from dits_client.cli.changes import print_changes
from dits_client.cli.history import connect_to_revision


def handle_diff(arguments: Namespace) -> None:
    """List what differs between two revisions."""
    with connect_to_revision(arguments) as (repository, head):
        request = DiffTreesRequest(
            repository=repository.name,
            base=arguments.base,
            head=head,
            path=arguments.path.strip("/"),
            count_new_bytes=arguments.new_bytes,
        )
        print_changes(repository, request, as_json=arguments.json)

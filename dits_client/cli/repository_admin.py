"""`dits repo`: showing, changing, transferring and deleting repositories."""

import uuid
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from dits.repo.v1 import repository_service_pb2 as pb
from dits.repo.v1 import transfer_service_pb2 as transfer_pb

from dits_client.cli.answers import record
from dits_client.cli.session import connect, connect_with_password
from dits_client.cli.table import format_time, name_value, print_json, print_table
from dits_client.errors import ClientError, UsageError
from dits_client.server.client import Client
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import escape_text

_PAGE = 1000


@contextmanager
def open_repository(address: str) -> Iterator[RepositoryClient]:
    """Open a repository with all rights of the user, after asking for the password."""
    with connect_with_password() as client:
        yield RepositoryClient(client, address)


def handle_show(arguments: Namespace) -> None:
    """Show a repository."""
    request = pb.GetRepositoryRequest(repository=arguments.repository)
    with connect() as (client, _):
        repository = RepositoryClient(client, arguments.repository)
        found = repository.call(repository.repositories.GetRepository, request).repository
    if arguments.json:
        print_json([found])
        return
    state = "disabled" if found.disabled else "archived" if found.archived else ""
    print_fields(
        {
            "name": f"{found.owner}/{found.name}",
            "description": found.description,
            "visibility": _name_visibility(found.visibility),
            "default branch": found.default_branch,
            "state": f"{state} {found.disabled_reason}".strip(),
            "last push": _format_day(found, "push_time"),
            "id": found.id,
        }
    )


def handle_update(arguments: Namespace) -> None:
    """Change what the arguments name."""
    request = pb.UpdateRepositoryRequest(repository=arguments.repository)
    for name in ("description", "default_branch", "archived"):
        if getattr(arguments, name) is not None:
            setattr(request.values, name, getattr(arguments, name))
            request.update_mask.paths.append(name)
    if arguments.visibility:
        request.values.visibility = pb.Visibility.Value(
            f"VISIBILITY_{arguments.visibility.upper()}"
        )
        request.update_mask.paths.append("visibility")
    if not request.update_mask.paths:
        raise UsageError("nothing to change: see `dits repo update --help`")
    with open_repository(arguments.repository) as repository:
        changed = repository.call(repository.repositories.UpdateRepository, request).repository
    record(changed)
    print(f"Changed {changed.owner}/{changed.name}.")


def handle_rename(arguments: Namespace) -> None:
    """Give a repository another name."""
    request = pb.UpdateRepositoryRequest(repository=arguments.repository)
    request.values.name = arguments.name
    request.update_mask.paths.append("name")
    with open_repository(arguments.repository) as repository:
        changed = repository.call(repository.repositories.UpdateRepository, request).repository
    record(changed)
    print(f"It is {changed.owner}/{changed.name} now; the old name leads there for 30 days.")


def handle_transfer(arguments: Namespace) -> None:
    """Give a repository to another owner, or answer such a request."""
    if arguments.accept or arguments.cancel:
        _answer_transfer(arguments)
        return
    if not arguments.new_owner:
        raise UsageError("name the new owner, or say --accept or --cancel")
    request = transfer_pb.RequestTransferRequest(
        repository=arguments.repository, new_owner=arguments.new_owner
    )
    with open_repository(arguments.repository) as repository:
        answer = repository.call(repository.transfers.RequestTransfer, request)
    record(answer)
    if answer.HasField("transfer"):
        print(f"{answer.transfer.new_owner} has to accept it: dits repo transfer --accept")
    else:
        print(f"It belongs to {arguments.new_owner} now.")


def _answer_transfer(arguments: Namespace) -> None:
    owner, _, _ = arguments.repository.partition("/")
    side = arguments.new_owner or (owner if arguments.cancel else "")
    with connect_with_password() as client:
        found = _find_transfer(client, arguments.repository, side)
        if arguments.cancel:
            request = transfer_pb.CancelTransferRequest(repository_id=found.repository_id)
            client.call(client.transfers.CancelTransfer, request)
            print(f"{found.owner}/{found.name} stays with {owner}.")
            return
        accepted = client.call(
            client.transfers.AcceptTransfer,
            transfer_pb.AcceptTransferRequest(
                repository_id=found.repository_id, request_id=str(uuid.uuid4())
            ),
        )
    print(f"It is {accepted.owner}/{accepted.name} now.")


def _find_transfer(client: Client, address: str, side: str) -> transfer_pb.Transfer:
    """Return the open request about `owner/name` that is to or from an owner; empty = the user."""
    request = transfer_pb.ListTransfersRequest(owner=side, page_size=_PAGE)
    found: transfer_pb.Transfer
    for page in client.list_pages(client.transfers.ListTransfers, request):
        for found in page.transfers:
            if f"{found.owner}/{found.name}".lower() == address.lower():
                return found
    raise ClientError(f"there is no open request about {address}")


def handle_delete(arguments: Namespace) -> None:
    """Delete a repository."""
    request = pb.DeleteRepositoryRequest(
        repository=arguments.repository,
        request_id=str(uuid.uuid4()),
        validate_only=arguments.dry_run,
    )
    with open_repository(arguments.repository) as repository:
        deleted = repository.call(repository.repositories.DeleteRepository, request)
    if arguments.dry_run:
        print(f"It could be deleted: {arguments.repository}.")
        return
    until = str(deleted.purge_time.ToDatetime().date())
    print(
        f"Deleted {arguments.repository}. Until {until}: dits repo undelete {deleted.repository_id}"
    )


def handle_undelete(arguments: Namespace) -> None:
    """Bring a deleted repository back, or list those that can be."""
    if not arguments.repository:
        _list_deleted(arguments.owner)
        return
    request = pb.UndeleteRepositoryRequest(repository_id=arguments.repository, name=arguments.name)
    with connect_with_password() as client:
        back = client.call(client.repositories.UndeleteRepository, request).repository
    record(back)
    print(f"{back.owner}/{back.name} is back.")


def _list_deleted(owner: str) -> None:
    request = pb.ListDeletedRepositoriesRequest(owner=owner, page_size=_PAGE)
    with connect() as (client, _):
        pages = client.list_pages(client.repositories.ListDeletedRepositories, request)
        found = [each for page in pages for each in page.repositories]
    rows = (
        (f"{each.owner}/{each.name}", _format_day(each, "purge_time"), each.id) for each in found
    )
    print_table(("NAME", "UNTIL", "ID"), rows, "Nothing to bring back.")


def handle_stats(arguments: Namespace) -> None:
    """Show the statistics of a repository."""
    request = pb.GetRepositoryStatsRequest(repository=arguments.repository)
    with connect() as (client, _):
        repository = RepositoryClient(client, arguments.repository)
        found = repository.call(repository.repositories.GetRepositoryStats, request)
    if arguments.json:
        print_json([found])
        return
    counts = {
        field.name.removesuffix("_count").replace("_", " "): f"{getattr(found, field.name):,}"
        for field in found.DESCRIPTOR.fields
        if field.name.endswith(("_count", "_bytes"))
    }
    print_fields(
        {
            **counts,
            "dedup ratio": f"{found.dedup_ratio:.2f}",
            "last activity": _format_day(found, "last_activity_time"),
            "counted": format_time(found.count_time),
        }
    )


def print_fields(fields: dict[str, str]) -> None:
    """Print those fields that have a value."""
    for name, value in fields.items():
        if value:
            print(escape_text(f"{name:<15}  {value}"))


def _name_visibility(visibility: pb.Visibility.ValueType) -> str:
    return name_value(pb.Visibility, visibility, "VISIBILITY_")


def _format_day(message: pb.Repository | pb.GetRepositoryStatsResponse, field: str) -> str:
    if not message.HasField(field):  # type: ignore[arg-type]
        return ""
    return f"{getattr(message, field).ToDatetime().date()}"

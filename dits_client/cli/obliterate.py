"""`dits obliterate`: contents that are removed from every version, and given back."""

import sys
from argparse import Namespace

from dits.repo.v1.obliteration_service_pb2 import (
    ListObliterationsRequest,
    ObliterateAssetRequest,
)
from dits.repo.v1.obliteration_service_pb2_grpc import ObliterationServiceStub
from dits.repo.v1.tree_service_pb2 import GetEntryRequest

from dits_client.cli.folder import format_bytes
from dits_client.cli.history import connect_to_revision, find_repository
from dits_client.cli.session import connect_with_password
from dits_client.cli.table import print_json
from dits_client.cli.workspace_paths import find_path
from dits_client.errors import ClientError, UsageError
from dits_client.push.give_back import give_back_content
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import escape_text, format_count

# The server reads the chunk list of the file, and waits for pushes.
TIMEOUT = 120.0
PAGE = 1000


def handle_remove(arguments: Namespace) -> None:
    """Remove the content of a file from every version."""
    if not arguments.reason.strip():
        raise UsageError("say why, with --reason: all who can read the repository will see it")
    path = find_path(arguments, arguments.path)
    at, name, revision = find_repository(arguments)
    with connect_with_password(at) as client:
        repository = RepositoryClient(client, name)
        digest = _find_hash(repository, revision, path)
        request = ObliterateAssetRequest(
            repository=name,
            revision=revision,
            path=path,
            hash=digest,
            reason=arguments.reason,
            validate_only=True,
        )
        stub = ObliterationServiceStub(repository.repo_channel)
        found = repository.call(stub.ObliterateAsset, request, TIMEOUT).obliteration
        if not arguments.yes and not _is_confirmed(path, found.size, found.manifest_count):
            raise ClientError("nothing was removed")
        request.validate_only = False
        done = repository.call(stub.ObliterateAsset, request, TIMEOUT)
    if arguments.json:
        print_json([done])
        return
    print(
        f"{escape_text(path)} is removed from every version: {escape_text(done.obliteration.reason)}"
    )
    if done.obliteration.is_pending:
        told = "`dits obliterate list` tells when they are gone"
        print(f"Its chunks are being taken away by the job {done.job_id}; {told}.")
    print("Copies in the folders of others, and in backups, are not touched.")


def _find_hash(repository: RepositoryClient, revision: str, path: str) -> str:
    request = GetEntryRequest(repository=repository.name, revision=revision, path=path)
    return repository.call(repository.trees.GetEntry, request).entry.hash


def _is_confirmed(path: str, size: int, count: int) -> bool:
    """Ask whoever sits at the terminal for the path; without one, nobody confirms."""
    if not sys.stdin.isatty():
        raise UsageError("this cannot be undone without the file: confirm it with --yes")
    versions = format_count(count, "version")
    print(f"{escape_text(path)}, {format_bytes(size)}, is in {versions} of directories.")
    print("Its content will be removed from all of them. Only who has the file can give it back.")
    return input("Type the path again to go on: ") == path


def handle_lift(arguments: Namespace) -> None:
    """Give a content back, from a file that has it."""
    path = find_path(arguments, arguments.path)
    at, name, revision = find_repository(arguments)
    with connect_with_password(at) as client:
        repository = RepositoryClient(client, name)
        give_back_content(repository, revision, path, arguments.file)
    print(f"{escape_text(path)} is back in every version that had it.")


def handle_list(arguments: Namespace) -> None:
    """List what was removed."""
    with connect_to_revision(arguments) as (repository, _):
        request = ListObliterationsRequest(repository=repository.name, page_size=PAGE)
        stub = ObliterationServiceStub(repository.repo_channel)
        pages = repository.list_pages(stub.ListObliterations, request)
        found = [each for page in pages for each in page.obliterations]
    if arguments.json:
        print_json(found)
        return
    for each in found:
        who = f"{each.create_time.ToDatetime().date()} {each.obliterated_by}"
        name = escape_text(each.file_name)
        pending = "  (its chunks are going)" if each.is_pending else ""
        print(f"{each.hash[:12]}  {who}  {name}  {escape_text(each.reason)}{pending}")
    if not found:
        print("Nothing was removed.")

"""`dits repo`, `init` and `ls`."""

import uuid
from argparse import Namespace
from pathlib import Path

from dits.common.v1.error_reason_pb2 import ERROR_REASON_INVALID_FIELD, ERROR_REASON_NOT_FOUND
from dits.repo.v1.repository_service_pb2 import (
    CreateRepositoryRequest,
    ListRepositoriesRequest,
    Visibility,
)
from dits.repo.v1.tree_service_pb2 import (
    ENTRY_KIND_DIRECTORY,
    ENTRY_KIND_SYMLINK,
    DirectoryEntry,
    GetEntryRequest,
    ListDirectoryRequest,
)

from dits_client.cli.answers import record
from dits_client.cli.history import connect_to_revision
from dits_client.cli.logins import complete_name
from dits_client.cli.session import connect
from dits_client.cli.table import name_value, print_json, tell_if_empty
from dits_client.cli.workspace_paths import find_path
from dits_client.errors import ClientError, RemoteError
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import escape_text, quote_text
from dits_client.workspace.state import make_state
from dits_client.workspace.workspace import Workspace

PAGE = 1000


def handle_create(arguments: Namespace) -> None:
    """Create a repository."""
    owner, _, name = arguments.name.rpartition("/")
    request = CreateRepositoryRequest(
        request_id=str(uuid.uuid4()),
        owner=owner,
        name=name,
        description=arguments.description,
        default_branch=arguments.default_branch,
    )
    if arguments.visibility:
        request.visibility = Visibility.Value(f"VISIBILITY_{arguments.visibility.upper()}")
    if arguments.no_require_lock:
        request.settings.require_lock_for_edit = False
    with connect() as (client, _login):
        made = client.call(client.repositories.CreateRepository, request).repository
    record(made)
    print(f"Created {made.owner}/{made.name}.")


def handle_list(arguments: Namespace) -> None:
    """List repositories with their visibility."""
    request = ListRepositoriesRequest(owner=arguments.owner, page_size=PAGE)
    with connect() as (client, _):
        pages = client.list_pages(client.repositories.ListRepositories, request)
        listed = (found for page in pages for found in page.repositories)
        for found in tell_if_empty(listed, "No repositories.", as_json=arguments.json):
            record(found)
            visibility = name_value(Visibility, found.visibility, "VISIBILITY_")
            print(f"{visibility:9} {found.owner}/{found.name}")


def handle_init(arguments: Namespace) -> None:
    """Make a folder follow a repository, without fetching anything."""
    folder = Path(arguments.folder)
    if not folder.is_dir():
        raise ClientError(f"the folder {quote_text(folder)} does not exist")
    with connect() as (client, login):
        repository = complete_name(arguments.repository or folder.resolve().name, client, login)
        try:
            info = RepositoryClient(client, repository).get_info()
        except RemoteError as error:
            if error.reason == ERROR_REASON_NOT_FOUND:
                message = f"there is no repository {repository}: run `dits repo create`"
                raise ClientError(message) from None
            raise
        branch = arguments.branch or info.default_branch
        state = make_state(client.endpoints.name, info, branch, client.account)
        workspace = Workspace.create(folder, state)
    record({"repository": info.name, "branch": branch, "folder": str(workspace.root)})
    print(f"{workspace.root} follows {branch} of {info.name}.")


def handle_ls(arguments: Namespace) -> None:
    """List a directory, or show one file."""
    path = find_path(arguments, arguments.path or ("" if arguments.repository else "."))
    with connect_to_revision(arguments) as (repository, revision):
        request = ListDirectoryRequest(
            repository=repository.name, revision=revision, path=path, page_size=PAGE
        )
        try:
            for page in repository.list_pages(repository.trees.ListDirectory, request):
                for entry in page.entries:
                    _print_entry(entry, as_json=arguments.json)
        except RemoteError as error:
            is_none = error.reason in (ERROR_REASON_NOT_FOUND, ERROR_REASON_INVALID_FIELD)
            if not is_none or not path:
                raise
            _print_entry(_get_entry(repository, revision, path), as_json=arguments.json)


def _get_entry(repository: RepositoryClient, revision: str, path: str) -> DirectoryEntry:
    request = GetEntryRequest(repository=repository.name, revision=revision, path=path)
    return repository.call(repository.trees.GetEntry, request).entry


def _print_entry(entry: DirectoryEntry, *, as_json: bool) -> None:
    if as_json:
        print_json([entry])
    elif entry.kind == ENTRY_KIND_SYMLINK:
        print(f"link  {entry.size:>14}  {entry.name} -> {entry.target}")
    elif entry.kind == ENTRY_KIND_DIRECTORY:
        print(f"dir   {entry.size:>14}  {entry.name}/")
    else:
        gone = escape_text(entry.obliteration_reason)
        why = f"  (removed from every version: {gone})" if gone else ""
        print(f"{entry.mode:04o}  {entry.size:>14}  {entry.name}{why}")

"""`dits repo`, `init`, `log` and `ls`."""

import uuid
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from pathlib import Path

from dits.common.v1.error_reason_pb2 import ERROR_REASON_NOT_FOUND
from dits.repo.v1.commit_service_pb2 import ListCommitsRequest
from dits.repo.v1.manifest_pb2 import Signer
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

from dits_client.cli.session import complete_name, connect, open_workspace
from dits_client.cli.table import tell_if_empty
from dits_client.errors import ClientError, RemoteError
from dits_client.server.repository import RepositoryClient
from dits_client.workspace.workspace import Workspace, WorkspaceState

PAGE = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    print(f"Created {made.owner}/{made.name}.")


def handle_list(arguments: Namespace) -> None:
    """List repositories with their visibility."""
    request = ListRepositoriesRequest(owner=arguments.owner, page_size=PAGE)
    with connect() as (client, _):
        pages = client.list_pages(client.repositories.ListRepositories, request)
        listed = (found for page in pages for found in page.repositories)
        for found in tell_if_empty(listed, "No repositories."):
            visibility = Visibility.Name(found.visibility).removeprefix("VISIBILITY_").lower()
            print(f"{visibility:9} {found.owner}/{found.name}")


def handle_init(arguments: Namespace) -> None:
    """Make a folder follow a repository, without fetching anything."""
    folder = Path(arguments.folder)
    if not folder.is_dir():
        raise ClientError(f'the folder "{folder}" does not exist')
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
        workspace = Workspace.create(
            folder, WorkspaceState(client.endpoints.name, info.name, branch)
        )
    print(f"{workspace.root} follows {branch} of {info.name}.")


def handle_log(arguments: Namespace) -> None:
    """List commits, newest first."""
    limit = max(arguments.limit, 0)
    with _connect_to_revision(arguments) as (repository, revision):
        request = ListCommitsRequest(
            repository=repository.name,
            revision=revision,
            page_size=min(max(limit, 1), PAGE),
            path=arguments.path.strip("/"),
        )
        pages = repository.list_pages(repository.commits.ListCommits, request)
        for commit in islice((commit for page in pages for commit in page.commits), limit):
            title = commit.message.partition("\n")[0]
            when = format_time(commit.author)
            print(f"{commit.hash[:12]}  {when}  {commit.author.name}  {title}".rstrip())


def format_time(signer: Signer) -> str:
    """Return the time of a signature by the signer's clock, with the offset from UTC."""
    moment = _EPOCH + timedelta(microseconds=signer.time_us)
    # Close to the first and last year, the local time can be outside of the range.
    with suppress(OverflowError):
        moment = moment.astimezone(timezone(timedelta(minutes=signer.offset_minutes)))
    return f"{moment:%Y-%m-%d %H:%M %z}"


def handle_ls(arguments: Namespace) -> None:
    """List a directory, or show one file."""
    path = arguments.path.strip("/")
    with _connect_to_revision(arguments) as (repository, revision):
        request = ListDirectoryRequest(
            repository=repository.name, revision=revision, path=path, page_size=PAGE
        )
        try:
            for page in repository.list_pages(repository.trees.ListDirectory, request):
                for entry in page.entries:
                    _print_entry(entry)
        except RemoteError as error:
            if error.reason != ERROR_REASON_NOT_FOUND or not path:
                raise
            _print_entry(_get_entry(repository, revision, path))


@contextmanager
def _connect_to_revision(arguments: Namespace) -> Iterator[tuple[RepositoryClient, str]]:
    """Connect to a repository; yield it and the revision. The defaults are those of the folder."""
    server, name, revision = "", arguments.repository, arguments.revision
    if not name:
        state = open_workspace().state
        server, name, revision = state.server, state.repository, revision or state.branch
    with connect(server) as (client, _):
        yield RepositoryClient(client, name), revision


def _get_entry(repository: RepositoryClient, revision: str, path: str) -> DirectoryEntry:
    request = GetEntryRequest(repository=repository.name, revision=revision, path=path)
    return repository.call(repository.trees.GetEntry, request).entry


def _print_entry(entry: DirectoryEntry) -> None:
    if entry.kind == ENTRY_KIND_SYMLINK:
        print(f"link  {entry.size:>14}  {entry.name} -> {entry.target}")
    elif entry.kind == ENTRY_KIND_DIRECTORY:
        print(f"dir   {entry.size:>14}  {entry.name}/")
    else:
        print(f"{entry.mode:04o}  {entry.size:>14}  {entry.name}")

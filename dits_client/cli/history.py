"""`dits log` and `show`, and what commands about a revision share."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice

from dits.repo.v1.commit_service_pb2 import Commit, GetCommitRequest, ListCommitsRequest
from dits.repo.v1.manifest_pb2 import Signer
from dits.repo.v1.tree_service_pb2 import DiffTreesRequest

from dits_client.cli.answers import record
from dits_client.cli.changes import print_changes
from dits_client.cli.commit_graph import CommitGraph
from dits_client.cli.session import connect
from dits_client.cli.signatures import describe_signature
from dits_client.cli.table import print_json
from dits_client.cli.workspace_paths import find_path, open_workspace
from dits_client.errors import UsageError
from dits_client.progress import Warnings
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import escape_text, quote_text
from dits_client.workspace.state import USUAL_ACCOUNT, ServerAccount

PAGE = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def handle_log(arguments: Namespace) -> None:
    """List commits, newest first."""
    limit = max(arguments.limit, 0)
    if arguments.graph and (arguments.path or arguments.author):
        # Parents would be missing between those that are listed.
        raise UsageError("--graph goes without a path and --author")
    graph = CommitGraph() if arguments.graph else None
    with connect_to_revision(arguments) as (repository, revision):
        request = ListCommitsRequest(
            repository=repository.name,
            revision=revision,
            page_size=min(max(limit, 1), PAGE),
            path=find_path(arguments, arguments.path),
            author=arguments.author,
            not_in=arguments.not_in,
        )
        if arguments.since:
            request.since.FromDatetime(arguments.since.astimezone(UTC))
        if arguments.until:
            request.until.FromDatetime(arguments.until.astimezone(UTC))
        pages = repository.list_pages(repository.commits.ListCommits, request)
        is_empty = limit > 0
        for commit in islice((commit for page in pages for commit in page.commits), limit):
            is_empty = False
            if arguments.json:
                print_json([commit])
                continue
            node, below = graph.add(commit.hash, commit.parent_hashes) if graph else ("", [])
            print(node + _describe(commit), *below, sep="\n")
        if is_empty and request.path:
            Warnings().warn(f"no such commit has changed {quote_text(request.path)}")


def _describe(commit: Commit) -> str:
    title = commit.message.partition("\n")[0]
    when = format_time(commit.author)
    signed = describe_signature(commit.signature) if commit.HasField("signature") else ""
    parts = (commit.hash[:12], when, commit.author.name, title, signed and f"({signed})")
    return escape_text("  ".join(parts).rstrip())


def format_time(signer: Signer) -> str:
    """Return the time of a signature by the signer's clock, with the offset from UTC."""
    moment = _EPOCH + timedelta(microseconds=signer.time_us)
    # Close to the first and last year, the local time can be outside of the range.
    with suppress(OverflowError):
        moment = moment.astimezone(timezone(timedelta(minutes=signer.offset_minutes)))
    # strftime would write the year 1 with one digit.
    return moment.replace(tzinfo=None).isoformat(" ", "minutes") + f" {moment:%z}"


def handle_show(arguments: Namespace) -> None:
    """Show a commit, and what it changed against its first parent."""
    with connect_to_revision(arguments) as (repository, revision):
        commit = find_commit(repository, revision)
        if arguments.json:
            print_json([commit])
            return
        _print_commit(commit)
        first = commit.parent_hashes[0] if commit.parent_hashes else ""
        request = DiffTreesRequest(
            repository=repository.name,
            base=first,
            base_is_empty=not first,
            head=commit.hash,
            count_new_bytes=arguments.new_bytes,
        )
        print()
        print_changes(repository, request)


def _print_commit(commit: Commit) -> None:
    print(f"commit {commit.hash}")
    for parent in commit.parent_hashes:
        print(f"parent {parent}")
    print(escape_text(f"author {commit.author.name} <{commit.author.email}>"))
    print(f"date {format_time(commit.author)}")
    if commit.committer != commit.author:
        print(escape_text(f"committer {commit.committer.name} <{commit.committer.email}>"))
    if commit.HasField("signature"):
        print(describe_signature(commit.signature))
    print_message(commit.message)


def print_message(message: str) -> None:
    """Print a message below what was printed of its commit or tag."""
    if message:
        print()
    for line in message.splitlines():
        print(escape_text(f"    {line}").rstrip())


def find_commit(repository: RepositoryClient, revision: str) -> Commit:
    """Return the commit of a revision."""
    request = GetCommitRequest(repository=repository.name, revision=revision)
    return repository.call(repository.commits.GetCommit, request).commit


@contextmanager
def connect_to_revision(arguments: Namespace) -> Iterator[tuple[RepositoryClient, str]]:
    """Connect to a repository; yield it and the revision. The defaults are those of the folder."""
    at, name, revision = find_repository(arguments)
    with connect(at) as (client, _):
        yield RepositoryClient(client, name), revision


def find_repository(arguments: Namespace) -> tuple[ServerAccount, str, str]:
    """Return the server and account, the repository and the revision that a command means."""
    if arguments.repository:
        return USUAL_ACCOUNT, arguments.repository, arguments.revision
    state = open_workspace().state
    return state.server_account, state.address, arguments.revision or state.branch


def report_deletion(arguments: Namespace, head: str, left: int) -> None:
    """Say which branch or tag was deleted; with --dry-run, how many commits would be left."""
    answer = {"name": arguments.name, "head": head}
    if not arguments.dry_run:
        record(answer)
        print(f"Deleted {arguments.name}, which was at {head}.")
        return
    record(answer | {"unreached_commit_count": left})
    print(f"It could be deleted: {arguments.name}, which is at {head}.")
    print(f"Commits that no other branch or tag has: {left:,}.")

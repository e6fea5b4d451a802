"""`dits branch`: the branches of a repository."""

from argparse import Namespace

from dits.repo.v1 import ref_service_pb2 as pb

from dits_client.cli.answers import record
from dits_client.cli.history import connect_to_revision, find_commit, report_deletion
from dits_client.cli.table import print_json, print_table
from shared.formats.shelves import is_shelf

_PAGE = 1000


def handle_list(arguments: Namespace) -> None:
    """List branches by name."""
    with connect_to_revision(arguments) as (repository, _):
        request = pb.ListBranchesRequest(
            repository=repository.name,
            name_prefix=arguments.prefix,
            page_size=_PAGE,
            with_divergence=True,
            include_shelves=is_shelf(arguments.prefix),
        )
        pages = repository.list_pages(repository.refs.ListBranches, request)
        found = [branch for page in pages for branch in page.branches]
    if arguments.json:
        print_json(found)
        return
    rows = ((branch.name, branch.head[:12], _describe(branch)) for branch in found)
    print_table(("NAME", "COMMIT", ""), rows, "No branches.")


def handle_create(arguments: Namespace) -> None:
    """Create a branch at a revision."""
    with connect_to_revision(arguments) as (repository, revision):
        head = find_commit(repository, revision).hash
        request = pb.CreateBranchRequest(repository=repository.name, name=arguments.name, head=head)
        record(repository.call(repository.refs.CreateBranch, request).branch)
    print(f"{arguments.name} is at {head[:12]}.")


def handle_rename(arguments: Namespace) -> None:
    """Give a branch another name."""
    with connect_to_revision(arguments) as (repository, _):
        request = pb.RenameBranchRequest(
            repository=repository.name, name=arguments.name, new_name=arguments.new_name
        )
        record(repository.call(repository.refs.RenameBranch, request).branch)
    print(f"{arguments.name} is {arguments.new_name} now.")


def handle_delete(arguments: Namespace) -> None:
    """Delete a branch; its commits stay for a while."""
    with connect_to_revision(arguments) as (repository, _):
        asked = pb.GetBranchRequest(repository=repository.name, name=arguments.name)
        head = repository.call(repository.refs.GetBranch, asked).branch.head
        request = pb.DeleteBranchRequest(
            repository=repository.name,
            name=arguments.name,
            expected_head=head,
            validate_only=arguments.dry_run,
        )
        deleted = repository.call(repository.refs.DeleteBranch, request)
    report_deletion(arguments, head, deleted.unreached_commit_count)


def _describe(branch: pb.Branch) -> str:
    """Return what else there is to say about a branch."""
    words = ["default"] if branch.is_default else []
    if branch.HasField("divergence") and not branch.is_default:
        words.append(f"{branch.divergence.ahead} ahead, {branch.divergence.behind} behind")
    if branch.is_protected:
        words.append("protected")
    return ", ".join(words)

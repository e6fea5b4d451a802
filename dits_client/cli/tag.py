"""`dits tag`: the tags of a repository."""

from argparse import Namespace

from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.repo.v1 import ref_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import TagContent

from dits_client.cli.answers import record
from dits_client.cli.history import (
    connect_to_revision,
    find_commit,
    format_time,
    print_message,
    report_deletion,
)
from dits_client.cli.signatures import choose_key, describe_signature
from dits_client.cli.table import print_json, print_table
from dits_client.errors import UsageError
from dits_client.push.report import Author
from dits_client.server.client import Client
from dits_client.terminal import escape_text
from shared.formats.sshsig import TAG_NAMESPACE
from shared.formats.tags import encode_tag

_PAGE = 1000


def handle_list(arguments: Namespace) -> None:
    """List tags by name."""
    with connect_to_revision(arguments) as (repository, _):
        request = pb.ListTagsRequest(
            repository=repository.name, name_prefix=arguments.prefix, page_size=_PAGE
        )
        pages = repository.list_pages(repository.refs.ListTags, request)
        found = [tag for page in pages for tag in page.tags]
    if arguments.json:
        print_json(found)
        return
    rows = ((tag.name, tag.head[:12], _describe(tag)) for tag in found)
    print_table(("NAME", "COMMIT", ""), rows, "No tags.")


def handle_create(arguments: Namespace) -> None:
    """Create a tag at a revision; with a message, an annotated one."""
    if arguments.sign and not arguments.message:
        raise UsageError("a tag that is signed has a message: give one with -m")
    with connect_to_revision(arguments) as (repository, revision):
        head = find_commit(repository, revision).hash
        request = pb.CreateTagRequest(repository=repository.name, name=arguments.name, head=head)
        if arguments.message:
            request.annotation.CopyFrom(_annotate(arguments, repository.client, head))
        made = repository.call(repository.refs.CreateTag, request).tag
    record(made)
    signed = f", {describe_signature(made.signature)}" if made.HasField("signature") else ""
    print(f"{made.name} is at {head[:12]}{signed}.")


def handle_show(arguments: Namespace) -> None:
    """Show a tag."""
    with connect_to_revision(arguments) as (repository, _):
        request = pb.GetTagRequest(repository=repository.name, name=arguments.name)
        tag = repository.call(repository.refs.GetTag, request).tag
    if arguments.json:
        print_json([tag])
        return
    print(f"tag {tag.name}\ncommit {tag.head}")
    if tag.HasField("annotation"):
        tagger = tag.annotation.tagger
        print(escape_text(f"tagger {tagger.name} <{tagger.email}>"))
        print(f"date {format_time(tagger)}")
    if tag.HasField("signature"):
        print(describe_signature(tag.signature))
    print_message(tag.annotation.message)


def handle_delete(arguments: Namespace) -> None:
    """Delete a tag."""
    with connect_to_revision(arguments) as (repository, _):
        asked = pb.GetTagRequest(repository=repository.name, name=arguments.name)
        head = repository.call(repository.refs.GetTag, asked).tag.head
        request = pb.DeleteTagRequest(
            repository=repository.name,
            name=arguments.name,
            expected_head=head,
            validate_only=arguments.dry_run,
        )
        deleted = repository.call(repository.refs.DeleteTag, request)
    report_deletion(arguments, head, deleted.unreached_commit_count)


def _annotate(arguments: Namespace, client: Client, head: str) -> pb.TagAnnotation:
    """Return what the tag says, signed if that is asked for."""
    user = client.call(client.accounts.GetMe, GetMeRequest()).user
    tagger = Author(user.name or user.username, user.email).sign()
    content = TagContent(
        commit_hash=bytes.fromhex(head),
        name=arguments.name,
        tagger=tagger,
        message=arguments.message,
    )
    annotation = pb.TagAnnotation(tagger=tagger, message=arguments.message)
    if arguments.sign:
        key = choose_key(client, arguments.key)
        annotation.signature = key.sign(encode_tag(content), TAG_NAMESPACE)
    return annotation


def _describe(tag: pb.Tag) -> str:
    """Return what else there is to say about a tag in a list."""
    title = tag.annotation.message.partition("\n")[0]
    signed = f"({describe_signature(tag.signature)})" if tag.HasField("signature") else ""
    return "  ".join(part for part in (title, signed) if part)

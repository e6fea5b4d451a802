"""The Push call: header, manifests, commit, update of the branch."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import grpc
from dits.common.v1.lock_fence_pb2 import LockFence
from dits.repo.v1.commit_service_pb2 import (
    PushCommits,
    PushHeader,
    PushManifests,
    PushRefs,
    PushRequest,
    PushResponse,
    RefUpdate,
)
from dits.repo.v1.manifest_pb2 import CommitContent

from dits_client.batches import split_into_batches
from dits_client.content.manifest import ManifestLoader
from dits_client.errors import RemoteError
from dits_client.push.report import Author, PushOptions
from dits_client.server.backoff import STREAM_ATTEMPTS, Backoff
from dits_client.server.repository import RepositoryClient
from dits_client.server.stream_watch import StreamWatch
from shared.formats.commits import commit_hash, encode_commit

# Manifests are collected into messages of about this size.
MESSAGE_BYTES = 4 << 20
# The server checks every entry and writes all of it in one transaction: large pushes take a while.
TIMEOUT = 1800.0
# The most silence after the last message, in seconds.
ANSWER_SECONDS = 600.0


@dataclass(slots=True)
class Proposal:
    """The commit and the update of a branch that a push proposes."""

    branch: str
    # Hexadecimal; empty = the branch must not exist.
    expected_head: str
    commit: CommitContent
    # Hashes of the manifests to send, children first.
    manifests: list[bytes] = field(default_factory=list)
    force: bool = False
    # In armor; empty = none.
    signature: str = ""
    locks: list[LockFence] = field(default_factory=list)


def make_proposal(
    wanted: PushOptions, author: Author, tree: bytes, parent: str, expected_head: str
) -> Proposal:
    """Return the proposal of a commit, whose manifests are to be added; `parent` is in hexadecimal.

    Raises ClientError if it cannot be signed.
    """
    signer = author.sign()
    commit = CommitContent(
        tree_hash=tree,
        parent_hashes=[bytes.fromhex(parent)] if parent else [],
        author=signer,
        committer=signer,
        message=wanted.message,
    )
    return Proposal(
        branch=wanted.branch,
        expected_head=expected_head,
        commit=commit,
        force=wanted.force,
        signature=author.sign_commit(encode_commit(commit)) if author.sign_commit else "",
    )


def send_push(
    repository: RepositoryClient, proposal: Proposal, load: ManifestLoader
) -> PushResponse:
    """Return the response to a push of one commit."""
    return send_messages(
        repository, lambda request_id: _messages(repository.name, proposal, request_id, load)
    )


def send_messages(
    repository: RepositoryClient, make_messages: Callable[[str], Iterator[PushRequest]]
) -> PushResponse:
    """Return the response to a push; it is repeated after a passing failure, under the same request id."""
    request_id = str(uuid.uuid4())
    backoff = Backoff(STREAM_ATTEMPTS)
    while True:
        watch = StreamWatch()
        messages = _watch_messages(make_messages(request_id), watch)
        try:
            return _await_response(repository, messages, watch)
        except RemoteError as error:
            backoff.wait(error)


def _await_response(
    repository: RepositoryClient, messages: Iterator[PushRequest], watch: StreamWatch
) -> PushResponse:
    call = repository.commits.Push.future(messages, timeout=TIMEOUT, metadata=repository.metadata)
    try:
        with watch.guard(call):
            return call.result()
    except (grpc.RpcError, grpc.FutureCancelledError) as error:
        raise repository.end_stream(error, watch) from None
    finally:
        # Of a call that has ended, this does nothing.
        call.cancel()


def _watch_messages(messages: Iterator[PushRequest], watch: StreamWatch) -> Iterator[PushRequest]:
    """Yield the messages, each of which is progress; after the last one the server has more time."""
    for message in messages:
        yield message
        watch.note_progress()
    watch.allow(ANSWER_SECONDS)


def _messages(
    repository: str, proposal: Proposal, request_id: str, load: ManifestLoader
) -> Iterator[PushRequest]:
    yield PushRequest(
        header=PushHeader(repository=repository, request_id=request_id, locks=proposal.locks)
    )
    for batch in split_into_batches(
        map(load, proposal.manifests),
        max_bytes=MESSAGE_BYTES,
        measure=len,
    ):
        yield PushRequest(manifests=PushManifests(manifests=batch))
    part = PushCommits(commits=[proposal.commit])
    if proposal.signature:
        name = bytes.fromhex(commit_hash(proposal.commit))
        part.signatures.add(commit_hash=name, armored=proposal.signature)
    yield PushRequest(commits=part)
    update = RefUpdate(
        branch=proposal.branch,
        expected_head=proposal.expected_head,
        new_head=commit_hash(proposal.commit),
        force=proposal.force,
    )
    yield PushRequest(refs=PushRefs(updates=[update]))

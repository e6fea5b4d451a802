"""The Push call: header, manifests, commit, update of the branch."""

import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Self

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
# A push that offers no more bytes than these begins while its last chunks are on their way to the server,
# which waits for the end no longer than two minutes.
EARLY_BYTES = 64 << 20
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
    wanted: PushOptions, author: Author, parent: str, expected_head: str, tree: bytes
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


class PushSender:
    """Sends the push of one commit. All of it but the end may be sent before the server has its chunks."""

    def __init__(self, repository: RepositoryClient, load: ManifestLoader) -> None:
        self._repository = repository
        self._load = load
        self._begun: _Attempt | None = None
        self._may_end = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._begun is not None:
            self._begun.call.cancel()
        # The thread that waits for it belongs to gRPC, which takes nothing more from it.
        self._may_end.set()

    def begin(self, proposal: Proposal) -> None:
        """Send all that comes before the move of the branch, for which `send` is waited."""
        request_id = str(uuid.uuid4())
        messages = self._make_messages(proposal, self._may_end.wait, request_id)
        self._begun = _Attempt(self._repository, messages, request_id)

    def send(self, proposal: Proposal) -> PushResponse:
        """Return the response to a push, which is sent from its beginning if what was begun is broken."""
        begun, self._begun = self._begun, None
        if begun is not None and begun.call.done():
            # Without its end, it cannot have succeeded.
            begun = None
        self._may_end.set()
        make_messages = partial(self._make_messages, proposal, _wait_not)
        return send_messages(self._repository, make_messages, begun)

    def _make_messages(
        self, proposal: Proposal, wait: Callable[[], object], request_id: str
    ) -> Iterator[PushRequest]:
        yield from _list_contents(self._repository.name, proposal, request_id, self._load)
        wait()
        update = RefUpdate(
            branch=proposal.branch,
            expected_head=proposal.expected_head,
            new_head=commit_hash(proposal.commit),
            force=proposal.force,
        )
        yield PushRequest(refs=PushRefs(updates=[update]))


def _wait_not() -> None:
    """The chunks are there."""


def send_messages(
    repository: RepositoryClient,
    make_messages: Callable[[str], Iterator[PushRequest]],
    begun: "_Attempt | None" = None,
) -> PushResponse:
    """Return the response to a push; it is repeated after a passing failure, under the same request id."""
    request_id = begun.request_id if begun else str(uuid.uuid4())
    backoff = Backoff(STREAM_ATTEMPTS)
    while True:
        attempt = begun or _Attempt(repository, make_messages(request_id), request_id)
        begun = None
        try:
            return attempt.finish()
        except RemoteError as error:
            backoff.wait(error)


class _Attempt:
    """One stream of a push, which begins at once."""

    def __init__(
        self, repository: RepositoryClient, messages: Iterator[PushRequest], request_id: str
    ) -> None:
        self.request_id = request_id
        self._repository, self._watch = repository, StreamWatch()
        self.call = repository.commits.Push.future(
            _watch_messages(messages, self._watch), timeout=TIMEOUT, metadata=repository.metadata
        )

    def finish(self) -> PushResponse:
        """Return the response. Raises RemoteError."""
        try:
            with self._watch.guard(self.call):
                response: PushResponse = self.call.result()
                return response
        except (grpc.RpcError, grpc.FutureCancelledError) as error:
            raise self._repository.end_stream(error, self._watch) from None
        finally:
            # Of a call that has ended, this does nothing.
            self.call.cancel()


def _watch_messages(messages: Iterator[PushRequest], watch: StreamWatch) -> Iterator[PushRequest]:
    """Yield the messages, each of which is progress; after the last one the server has more time."""
    for message in messages:
        yield message
        watch.note_progress()
    watch.allow(ANSWER_SECONDS)


def _list_contents(
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

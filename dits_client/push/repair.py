"""The repair of a push that the server refuses because something is missing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dits.common.v1.error_reason_pb2 import (
    ERROR_REASON_CHUNKS_MISSING,
    ERROR_REASON_HISTORY_MISSING,
    ERROR_REASON_LOCK_REQUIRED,
    ERROR_REASON_LOCK_STALE,
)
from dits.repo.v1.commit_service_pb2 import PushResponse

from dits_client.content.manifest import Change
from dits_client.errors import RemoteError
from dits_client.push.locks import PushLocks
from dits_client.push.offer import Offer
from dits_client.push.stream import Proposal
from dits_client.server.repository import RepositoryClient
from dits_client.transfer.upload import Uploader
from dits_client.workspace.index import Index
from dits_client.workspace.trees import Trees

# The most refusals of one push that are repaired.
MAX_REPAIRS = 3


@dataclass(slots=True)
class PushRepair:
    """Supplies the chunks, manifests and locks that the server finds missing."""

    repository: RepositoryClient
    trees: Trees
    index: Index
    changes: Sequence[Change]
    offer: Offer
    held: PushLocks

    def send_repaired(self, send: Callable[[], PushResponse], proposal: Proposal) -> PushResponse:
        """Send the push; supply what the server finds missing, and send it again."""
        repairs = 0
        while True:
            proposal.locks = self.held.fences
            try:
                return send()
            except RemoteError as error:
                repairs += 1
                if repairs > MAX_REPAIRS or not self.apply(error, proposal):
                    raise

    def apply(self, error: RemoteError, proposal: Proposal) -> bool:
        """Supply what a refusal names; False = it names nothing that the client can supply."""
        if error.reason == ERROR_REASON_CHUNKS_MISSING:
            self._upload_again(error)
        elif error.reason == ERROR_REASON_HISTORY_MISSING:
            tree = proposal.commit.tree_hash
            proposal.manifests = self.trees.list_new_manifests(tree, set())
        elif error.reason in (ERROR_REASON_LOCK_STALE, ERROR_REASON_LOCK_REQUIRED):
            self.held.reload(error.metadata.get("path", ""))
            self.held.hold_locks(self.changes, self.index.records.__contains__)
        else:
            return False
        return True

    def _upload_again(self, error: RemoteError) -> None:
        """Send the missing chunks without asking the server which ones it has."""
        hashes = error.metadata.get("hashes", "")
        listed = [bytes.fromhex(text) for text in hashes.split(",") if text]
        complete = error.metadata.get("count") == str(len(listed))
        only = frozenset(listed) if complete else frozenset()
        with Uploader(self.repository, ask=False) as uploader:
            for found in self.offer.iterate_all(self.changes, only):
                uploader.offer_pieces(found)
            uploader.finish()

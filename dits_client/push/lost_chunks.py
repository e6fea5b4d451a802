"""Chunks whose bytes the server has lost, and the folder still has."""

from dits.chunk.v1.maintenance_service_pb2 import ListLostChunksRequest

from dits_client.content.manifest import compare_trees
from dits_client.content.scope import EVERYTHING
from dits_client.errors import ClientError
from dits_client.progress import Progress
from dits_client.push.offer import Offer
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import format_count
from dits_client.transfer.upload import Uploader
from dits_client.workspace.state import WorkspaceState
from dits_client.workspace.trees import Trees

_PAGE = 1000


def send_lost_chunks(
    repository: RepositoryClient,
    trees: Trees,
    offer: Offer,
    state: WorkspaceState,
    progress: Progress,
) -> None:
    """Send those of the repository's lost chunks that files of the folder have, which is as its commit.

    The push has succeeded without them, so a failure is a warning.
    """
    try:
        lost = _list_lost_chunks(repository)
        if not lost:
            return
        with Uploader(repository, ask=False, progress=progress) as uploader:
            scopes = (EVERYTHING, trees.scope)
            tree = bytes.fromhex(state.tree)
            files = compare_trees(trees.load_manifest, None, tree, scopes=scopes)
            away = state.away
            here = (change for change in files if change.path not in away)
            for pieces in offer.iterate_all(here, lost):
                uploader.offer_pieces(pieces)
            sent = uploader.finish().chunks_sent
        progress.warn(f"the server had lost {format_count(len(lost), 'chunk')}; sent again: {sent}")
    except ClientError as error:
        progress.warn(f"lost chunks could not be sent again: {error}")


def _list_lost_chunks(repository: RepositoryClient) -> frozenset[bytes]:
    request = ListLostChunksRequest(repository=repository.name, page_size=_PAGE)
    pages = repository.list_pages(repository.maintenance.ListLostChunks, request)
    return frozenset(bytes.fromhex(chunk.hash) for page in pages for chunk in page.chunks)

"""Trees of the repository, from the objects of the index or else from the server."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from dits_client.content.manifest import iterate_manifests
from dits_client.errors import ClientError, RemoteError
from dits_client.server.backoff import STREAM_ATTEMPTS, Backoff
from dits_client.workspace.objects import MANIFEST, Objects
from shared.formats import manifests
from shared.formats.canonical import EMPTY_HASH, FormatError

if TYPE_CHECKING:
    from dits.repo.v1.tree_service_pb2 import StreamTreeResponse

    from dits_client.server.repository import RepositoryClient

# The most hashes that a StreamTree takes.
MAX_HAVE = 10_000


class Trees:
    """The manifests of one repository; `connect` is called only if the server is needed."""

    def __init__(
        self, objects: Objects, connect: "Callable[[], RepositoryClient]", *commits: str
    ) -> None:
        """Take the commits whose whole trees are fetched, each once, if a manifest is missing here."""
        self._objects = objects
        self._connect = connect
        self._commits = [commit for commit in commits if commit]

    def load_manifest(self, manifest_hash: bytes) -> bytes:
        """Return a manifest. Raises ClientError if neither the index nor the server has it."""
        content = self._objects.get(manifest_hash)
        if content is None and manifest_hash == EMPTY_HASH:
            return b""
        while content is None and self._commits:
            self.fetch_tree(self._commits.pop(0))
            content = self._objects.get(manifest_hash)
        if content is None:
            raise ClientError(
                f"the directory {manifest_hash.hex()} of the tree is missing on the server"
            )
        return content

    def list_manifests(self, tree: bytes) -> set[bytes]:
        """Return the hashes of all manifests of a tree."""
        return set(iterate_manifests(self.load_manifest, tree, set()))

    def fetch_tree(self, revision: str, have: Iterable[bytes] = ()) -> tuple[str, bytes]:
        """Fetch the tree of a revision, except the trees in `have`; return commit and tree."""
        from dits.repo.v1.tree_service_pb2 import StreamTreeRequest

        packed = b"".join(list(have)[:MAX_HAVE])
        repository, backoff = self._connect(), Backoff(STREAM_ATTEMPTS)
        request = StreamTreeRequest(
            repository=repository.name, revision=revision, have_hashes=packed
        )
        while True:
            call = repository.trees.StreamTree(request, metadata=repository.metadata)
            try:
                return self._add_manifests(repository.read_stream(call))
            except RemoteError as error:
                backoff.wait(error)

    def _add_manifests(self, responses: "Iterable[StreamTreeResponse]") -> tuple[str, bytes]:
        commit, tree = "", b""
        for response in responses:
            if response.commit_hash:
                commit, tree = response.commit_hash, bytes.fromhex(response.tree_hash)
            for content in response.manifests:
                try:
                    manifests.decode_manifest(content)
                except FormatError as error:
                    message = f"the server sent a tree that breaks a rule: {error}"
                    raise ClientError(message) from None
                self._objects.add(MANIFEST, content)
        if not commit:
            raise ClientError("the server sent no tree")
        return commit, tree

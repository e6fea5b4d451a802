"""Trees of the repository, from the objects of the index or else from the server."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from dits_client.content.manifest import iterate_manifests, parse_entries
from dits_client.content.scope import EVERYTHING, Part, Scope
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
        self,
        objects: Objects,
        connect: "Callable[[], RepositoryClient]",
        *commits: str,
        scope: Scope = EVERYTHING,
    ) -> None:
        """Take the commits whose trees are fetched, each once, if a manifest is missing here.

        Of a tree, what `scope` covers is fetched in one call, and other manifests one by one if needed.
        """
        self.scope = scope
        self._is_partial = bool(scope)
        self._objects = objects
        self._connect = connect
        self._commits = [commit for commit in commits if commit]
        # Why contents were obliterated, by their hashes: as the fetched trees told.
        self.obliterated: dict[bytes, str] = {}

    def load_manifest(self, manifest_hash: bytes) -> bytes:
        """Return a manifest. Raises ClientError if neither the index nor the server has it."""
        content = self._objects.get(manifest_hash)
        if content is None and manifest_hash == EMPTY_HASH:
            return b""
        while content is None and self._commits:
            self.fetch_tree(self._commits.pop(0))
            content = self._objects.get(manifest_hash)
        if content is None and (self.scope or self._is_partial):
            content = self._fetch_manifest(manifest_hash)
        if content is None:
            raise ClientError(
                f"the directory {manifest_hash.hex()} of the tree is missing on the server"
            )
        return content

    def list_manifests(self, tree: bytes, scope: Scope | None = None) -> set[bytes]:
        """Return the hashes of a tree's manifests, of what a scope covers, by default the own one."""
        scope = self.scope if scope is None else scope
        return set(iterate_manifests(self.load_manifest, tree, set(), scope))

    def list_new_manifests(self, tree: bytes, known: set[bytes]) -> list[bytes]:
        """Return the hashes of a tree's manifests that are not known, children first."""
        return list(iterate_manifests(self.load_manifest, tree, known, self.scope))

    def list_complete_trees(self, tree: bytes) -> list[bytes]:
        """Return the hashes of a tree's manifests, parents first, of which all below is here."""
        partial, _, whole = self._divide(tree)
        found, seen = list[bytes](), set(partial)
        for manifest in whole:
            found += iterate_manifests(self.load_manifest, manifest, seen)
        return found[::-1]

    def fetch_tree(self, revision: str, have: Iterable[bytes] = ()) -> tuple[str, bytes]:
        """Fetch the tree of a revision, except the trees in `have`; return commit and tree."""
        from dits.repo.v1.tree_service_pb2 import StreamTreeRequest

        repository, backoff = self._connect(), Backoff(STREAM_ATTEMPTS)
        if self.scope:
            revision, tree = self._fetch_commit(revision)
            _, outside, whole = self._divide(tree)
            have = [*outside - whole, *have]
        packed = b"".join(list(have)[:MAX_HAVE])
        request = StreamTreeRequest(
            repository=repository.name, revision=revision, have_hashes=packed
        )
        while True:
            call = repository.trees.StreamTree(request, metadata=repository.metadata)
            try:
                return self._add_manifests(repository.read_stream(call))
            except RemoteError as error:
                backoff.wait(error)

    def _divide(self, tree: bytes) -> tuple[set[bytes], set[bytes], set[bytes]]:
        """Return the directories of a tree of which the scope covers a part, nothing, or everything.

        Only the first are loaded; of the others, what is below is not listed.
        """
        found = {part: set[bytes]() for part in Part}
        todo = [("", tree)]
        for path, manifest in todo:
            part = self.scope.measure(path)
            found[part].add(manifest)
            if part == Part.SOME:
                prefix = f"{path}/" if path else ""
                entries = parse_entries(self._load_one(manifest)).items()
                todo += [
                    (prefix + name, entry.directory.manifest_hash)
                    for name, entry in entries
                    if entry.HasField("directory")
                ]
        return found[Part.SOME], found[Part.NOTHING], found[Part.ALL]

    def _load_one(self, manifest_hash: bytes) -> bytes:
        content = b"" if manifest_hash == EMPTY_HASH else self._objects.get(manifest_hash)
        return content if content is not None else self._fetch_manifest(manifest_hash)

    def _fetch_manifest(self, manifest_hash: bytes) -> bytes:
        from dits.repo.v1.tree_service_pb2 import GetManifestRequest

        repository = self._connect()
        request = GetManifestRequest(repository=repository.name, hash=manifest_hash.hex())
        content = repository.call(repository.trees.GetManifest, request).content
        self._add_manifest(content)
        return content

    def _fetch_commit(self, revision: str) -> tuple[str, bytes]:
        from dits.repo.v1.commit_service_pb2 import GetCommitRequest

        repository = self._connect()
        request = GetCommitRequest(repository=repository.name, revision=revision)
        found = repository.call(repository.commits.GetCommit, request).commit
        return found.hash, bytes.fromhex(found.tree_hash)

    def _add_manifest(self, content: bytes) -> None:
        try:
            manifests.decode_manifest(content)
        except FormatError as error:
            message = f"the server sent a tree that breaks a rule: {error}"
            raise ClientError(message) from None
        self._objects.add(MANIFEST, content)

    def _add_manifests(self, responses: "Iterable[StreamTreeResponse]") -> tuple[str, bytes]:
        commit, tree = "", b""
        for response in responses:
            if response.commit_hash:
                commit, tree = response.commit_hash, bytes.fromhex(response.tree_hash)
            for content in response.manifests:
                self._add_manifest(content)
            for gone in response.obliterated:
                self.obliterated[bytes.fromhex(gone.hash)] = gone.reason
        if not commit:
            raise ClientError("the server sent no tree")
        return commit, tree

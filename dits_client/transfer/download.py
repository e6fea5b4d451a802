"""Fetching chunks: in batches of bounded size, in the order in which they are needed."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import NamedTuple

import grpc
from blake3 import blake3
from dits.chunk.v1.chunk_service_pb2 import (
    COMPRESSION_ZSTD,
    DownloadChunksRequest,
    DownloadChunksResponse,
    DownloadedChunk,
)
from dits.repo.v1.manifest_pb2 import File

from dits_client.content.chunking import HASH_BYTES
from dits_client.content.compression import Decompressor
from dits_client.content.manifest import file_chunks
from dits_client.errors import ClientError, RemoteError
from dits_client.server.backoff import STREAM_ATTEMPTS, Backoff
from dits_client.server.repository import RepositoryClient
from dits_client.transfer.work_queue import WorkStopped
from shared.formats.canonical import FormatError, split_hashes
from shared.formats.recipes import MAX_CHUNK_BYTES

# What one request asks for at most: all of it may have to wait in memory for one late chunk.
BATCH_BYTES = 32 << 20
BATCH_CHUNKS = 4000
UNKNOWN_SIZE = -1
# What a recipe, whose size is not known, is taken for: one of a thousand chunks, which few files exceed.
ASSUMED_BYTES = 32 << 10


class ChunkRef(NamedTuple):
    """A chunk that is needed, and its size."""

    hash: bytes
    size: int


@dataclass(slots=True)
class DownloadReport:
    """What came over the wire."""

    chunks: int = 0
    bytes: int = 0


class Downloader:
    """Fetches the chunks of one repository; not to be shared between threads.

    `find` returns a chunk that is here already, checked, or None.
    """

    def __init__(
        self, repository: RepositoryClient, find: Callable[[ChunkRef], bytes | None]
    ) -> None:
        self.report = DownloadReport()
        self._repository = repository
        self._find = find
        self._decompressor = Decompressor()
        self.cancelled = False
        # The last ones; two are under way at most.
        self._calls: deque[grpc.Call] = deque(maxlen=4)

    def cancel(self) -> None:
        """End what is under way, with Stopped; may be called from another thread."""
        self.cancelled = True
        for call in list(self._calls):
            call.cancel()

    def fetch_chunks(self, wanted: Sequence[ChunkRef]) -> Iterator[bytes]:
        """Yield the contents of chunks, in their order, which may name one several times.

        Their sizes are checked, not their hashes: the caller knows the hash of the whole.
        """
        ahead: _Batch | None = None
        try:
            for part in split_into_batches(wanted):
                current, ahead = ahead, _Batch(self, part)
                # The next request is on its way while this one's answer is used.
                if current is not None:
                    yield from current.iterate_contents()
            if ahead is not None:
                yield from ahead.iterate_contents()
        finally:
            if ahead is not None:
                ahead.cancel()

    def fetch_recipes(self, digests: Sequence[bytes]) -> Iterator[bytes]:
        """Yield chunks of unknown size, each checked against its name."""
        contents = self.fetch_chunks([ChunkRef(digest, UNKNOWN_SIZE) for digest in digests])
        for digest, content in zip(digests, contents, strict=True):
            if blake3(content).digest() != digest:
                raise ClientError(f"the chunk {digest.hex()} was damaged on its way")
            yield content

    def fetch_chunk_lists(self, files: Sequence[File]) -> Iterator[tuple[bytes, list[int]]]:
        """Yield the chunk list of each file, hashes and sizes; recipes are fetched many at a time."""
        names = [split_hashes(file.recipe_hashes) for file in files]
        contents = self.fetch_recipes(list(chain.from_iterable(names)))
        try:
            for file, recipes in zip(files, names, strict=True):
                yield file_chunks(file, islice(contents, len(recipes)))
        except FormatError as error:
            raise ClientError(f"the server sent a recipe that breaks a rule: {error}") from None

    def open_stream(
        self, hashes: Sequence[bytes]
    ) -> tuple[grpc.Call, Iterator[DownloadChunksResponse]]:
        """Ask for chunks; return the call and its responses."""
        request = DownloadChunksRequest(repository=self._repository.name, hashes=b"".join(hashes))
        call = self._repository.chunks.DownloadChunks(request, metadata=self._repository.metadata)
        self._calls.append(call)
        return call, self._repository.read_stream(call)

    def find_local(self, wanted: ChunkRef) -> bytes | None:
        """Return a chunk that need not be asked for."""
        return self._find(wanted)

    def decode_chunk(self, chunk: DownloadedChunk, size: int) -> bytes:
        """Return the content of a chunk, which has the given size."""
        size = min(chunk.size, MAX_CHUNK_BYTES) if size == UNKNOWN_SIZE else size
        if chunk.HasField("failure"):
            raise ClientError(f"the server cannot deliver a chunk: {chunk.failure.message}")
        data = chunk.data
        self.report.chunks += 1
        self.report.bytes += len(data)
        try:
            if chunk.compression == COMPRESSION_ZSTD:
                data = self._decompressor.decompress(data, size)
        except ValueError as error:
            raise ClientError(f"a chunk was damaged on its way: {error}") from None
        if len(data) != size:
            raise ClientError("a chunk was damaged on its way: it has another size")
        return data


class _Batch:
    """One request, and what has arrived of it."""

    def __init__(self, owner: Downloader, wanted: Sequence[ChunkRef]) -> None:
        self._owner = owner
        self._wanted = wanted
        self._uses = Counter(chunk.hash for chunk in wanted)
        self._ready: dict[bytes, bytes] = {}
        # Sizes of those to come, in the order of the request.
        self._missing: dict[bytes, int] = {}
        for chunk in dict.fromkeys(wanted):
            content = owner.find_local(chunk)
            if content is None:
                self._missing[chunk.hash] = chunk.size
            else:
                self._ready[chunk.hash] = content
        self._backoff = Backoff(STREAM_ATTEMPTS)
        self._ask()

    def _ask(self) -> None:
        self._asked = list(self._missing)
        self._call: grpc.Call | None = None
        self._responses: Iterator[DownloadChunksResponse] = iter(())
        if self._asked:
            self._call, self._responses = self._owner.open_stream(self._asked)

    def cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()

    def iterate_contents(self) -> Iterator[bytes]:
        for chunk in self._wanted:
            if self._owner.cancelled:
                raise WorkStopped
            while chunk.hash not in self._ready:
                self._receive()
            content = self._ready[chunk.hash]
            self._uses[chunk.hash] -= 1
            if not self._uses[chunk.hash]:
                del self._ready[chunk.hash]
            yield content

    def _receive(self) -> None:
        """Take in one message; ask again for what is missing if the call broke."""
        try:
            response = next(self._responses, None)
        except RemoteError as error:
            if self._owner.cancelled:
                raise WorkStopped from None
            self._backoff.wait(error)
            self._ask()
            return
        if response is None:
            raise ClientError("the server left out a chunk")
        self._backoff.reset()
        for chunk in response.chunks:
            digest = self._asked[chunk.index] if chunk.index < len(self._asked) else b""
            size = self._missing.pop(digest, None)
            if size is None:
                raise ClientError("the server sent a chunk that was not asked for")
            self._ready[digest] = self._owner.decode_chunk(chunk, size)


def split_into_batches(wanted: Sequence[ChunkRef]) -> Iterator[Sequence[ChunkRef]]:
    """Split a list into parts, each for one request."""
    first = size = 0
    for at, chunk in enumerate(wanted):
        added = ASSUMED_BYTES if chunk.size == UNKNOWN_SIZE else chunk.size
        if at > first and (size + added > BATCH_BYTES or at - first == BATCH_CHUNKS):
            yield wanted[first:at]
            first, size = at, 0
        size += added
    if first < len(wanted):
        yield wanted[first:]


def list_chunk_refs(hashes: bytes, sizes: Sequence[int]) -> list[ChunkRef]:
    """Return the chunks of a packed list."""
    return [
        ChunkRef(hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES], size)
        for at, size in enumerate(sizes)
    ]

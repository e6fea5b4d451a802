"""Download of chunks, in batches of bounded size and in the order in which they are needed."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import grpc
from blake3 import blake3
from dits.chunk.v1.chunk_service_pb2 import (
    COMPRESSION_ZSTD,
    DownloadChunksRequest,
    DownloadChunksResponse,
    DownloadedChunk,
)
from dits.repo.v1.manifest_pb2 import File

from dits_client.batches import split_into_batches
from dits_client.content.chunking import ChunkRef
from dits_client.content.compression import Decompressor
from dits_client.content.manifest import list_chunks
from dits_client.errors import ClientError, RemoteError
from dits_client.server.backoff import STREAM_ATTEMPTS, Backoff
from dits_client.server.repository import RepositoryClient
from dits_client.transfer.lost_content import LostChunkError
from dits_client.transfer.repeated_chunks import RepeatedChunks
from dits_client.transfer.work_queue import WorkStopped
from shared.formats.canonical import FormatError, split_hashes
from shared.formats.recipes import MAX_CHUNK_BYTES

# Limits of one request: all its chunks may have to wait in memory for a late one.
BATCH_BYTES = 32 << 20
BATCH_CHUNKS = 4000
UNKNOWN_SIZE = -1
# Assumed for a recipe, whose size is not known: few files have more than a thousand chunks in one.
RECIPE_BYTES = 32 << 10


@dataclass(slots=True)
class DownloadReport:
    """The chunks that the server sent, and their bytes as sent."""

    chunks: int = 0
    bytes: int = 0


class Downloader:
    """Fetches the chunks of one repository; each thread needs its own.

    `find` returns the checked content of a chunk that need not be fetched, else None.
    """

    def __init__(
        self, repository: RepositoryClient, find: Callable[[ChunkRef], bytes | None]
    ) -> None:
        self.report = DownloadReport()
        # What the server says of chunks that it cannot deliver.
        self.lost: dict[bytes, str] = {}
        self._repository = repository
        self._find = find
        self._decompressor = Decompressor()
        self.cancelled = False
        # The last calls; at most two run at a time.
        self._calls: deque[grpc.Call] = deque(maxlen=4)

    def cancel(self) -> None:
        """End the calls that run, with WorkStopped; other threads may call it."""
        self.cancelled = True
        for call in list(self._calls):
            call.cancel()

    def fetch_chunks(self, wanted: Sequence[ChunkRef]) -> Iterator[bytes]:
        """Yield the contents of chunks in the given order, which may name a chunk several times.

        Sizes are checked, but not hashes: the caller checks the hash of the whole file. Raises ClientError.
        """
        ahead: _Batch | None = None
        repeats = RepeatedChunks(wanted)
        try:
            for part in split_chunks(wanted):
                current, ahead = ahead, _Batch(self, part, repeats)
                # The next request runs while the answer to this one is used.
                if current is not None:
                    yield from current.iterate_contents()
            if ahead is not None:
                yield from ahead.iterate_contents()
        finally:
            if ahead is not None:
                ahead.cancel()

    def fetch_recipes(self, hashes: Sequence[bytes]) -> Iterator[bytes]:
        """Yield recipes, which are chunks of unknown size; each is checked against its hash."""
        contents = self.fetch_chunks([ChunkRef(chunk_hash, UNKNOWN_SIZE) for chunk_hash in hashes])
        for chunk_hash, content in zip(hashes, contents, strict=True):
            if blake3(content).digest() != chunk_hash:
                raise ClientError(f"the chunk {chunk_hash.hex()} was damaged on its way")
            yield content

    def fetch_chunk_lists(self, files: Sequence[File]) -> Iterator[list[ChunkRef]]:
        """Yield the chunks of each file; the recipes of many files are fetched in one call."""
        hashes = [split_hashes(file.recipe_hashes) for file in files]
        contents = self.fetch_recipes(list(chain.from_iterable(hashes)))
        try:
            for file, recipes in zip(files, hashes, strict=True):
                yield list_chunks(file, islice(contents, len(recipes)))
        except FormatError as error:
            raise ClientError(f"the server sent a recipe that breaks a rule: {error}") from None

    def open_stream(
        self, hashes: Sequence[bytes]
    ) -> tuple[grpc.Call, Iterator[DownloadChunksResponse]]:
        """Start a request for chunks; return the call and its responses."""
        request = DownloadChunksRequest(repository=self._repository.name, hashes=b"".join(hashes))
        call = self._repository.chunks.DownloadChunks(request, metadata=self._repository.metadata)
        self._calls.append(call)
        if self.cancelled:
            call.cancel()
        return call, self._repository.read_stream(call)

    def find_local(self, wanted: ChunkRef) -> bytes | None:
        """Return the content of a chunk that need not be fetched, else None."""
        return self._find(wanted)

    def decode_chunk(self, chunk: DownloadedChunk, size: int) -> bytes:
        """Return the content of a chunk. Raises ClientError unless it has the given size."""
        size = min(chunk.size, MAX_CHUNK_BYTES) if size == UNKNOWN_SIZE else size
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
    """One request, and the chunks of it that have arrived."""

    def __init__(
        self, owner: Downloader, wanted: Sequence[ChunkRef], repeats: RepeatedChunks
    ) -> None:
        self._owner = owner
        self._repeats = repeats
        self._wanted = wanted
        self._uses = Counter(chunk.hash for chunk in wanted)
        self._ready: dict[bytes, bytes] = {}
        # Sizes of the chunks to come, in the order of the request.
        self._missing: dict[bytes, int] = {}
        for chunk, is_coming in repeats.plan(wanted):
            if is_coming:
                continue
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
            content = self._repeats.take(chunk.hash)
            while content is None and chunk.hash not in self._ready:
                if chunk.hash in self._owner.lost:
                    raise LostChunkError(self._owner.lost[chunk.hash])
                self._receive()
            if content is None:
                content = self._ready[chunk.hash]
                self._repeats.keep(chunk.hash, content)
            self._uses[chunk.hash] -= 1
            if not self._uses[chunk.hash]:
                self._ready.pop(chunk.hash, None)
            yield content

    def _receive(self) -> None:
        """Receive one message; if the call failed, ask again for what is missing."""
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
            chunk_hash = self._asked[chunk.index] if chunk.index < len(self._asked) else b""
            size = self._missing.pop(chunk_hash, None)
            if size is None:
                raise ClientError("the server sent a chunk that was not asked for")
            if chunk.HasField("failure"):
                # The files before the one that it belongs to are complete.
                self._owner.lost[chunk_hash] = chunk.failure.message
                continue
            self._ready[chunk_hash] = self._owner.decode_chunk(chunk, size)


def split_chunks(chunks: Iterable[ChunkRef]) -> Iterator[list[ChunkRef]]:
    """Yield the chunks in lists, each for one request."""
    return split_into_batches(
        chunks, max_count=BATCH_CHUNKS, max_bytes=BATCH_BYTES, measure=_assume_size
    )


def _assume_size(chunk: ChunkRef) -> int:
    return RECIPE_BYTES if chunk.size == UNKNOWN_SIZE else chunk.size

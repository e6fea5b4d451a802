"""zstd for chunks that shrink: most media does not, and each attempt costs as much as three hashes."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

LEVEL = 3
# A chunk is sent compressed if that saves at least this part of its size.
MIN_SAVING = 0.03
# In a file whose chunks do not shrink, one chunk in this many is tried again.
RETRY_EVERY = 16
# Of the others, so many bytes in the middle are tried, which cost little of what the whole would: some
# files are by turns of both kinds. They have to shrink by at least this part.
SAMPLE_BYTES, SAMPLE_SAVING = 4 << 10, 0.1


class CompressionHistory:
    """How well the last chunks of one file shrank."""

    __slots__ = ("_skip",)

    def __init__(self) -> None:
        self._skip = 0

    def should_try(self) -> bool:
        """Return whether to compress the next chunk."""
        if self._skip:
            self._skip -= 1
            return False
        return True

    def add_result(self, shrank: bool) -> None:
        """Note whether a chunk shrank."""
        self._skip = 0 if shrank else RETRY_EVERY - 1


class Compressor:
    """Compresses chunks; each thread needs its own."""

    def __init__(self) -> None:
        # Imported here: most commands do not need it.
        import zstandard

        self._compressor = zstandard.ZstdCompressor(level=LEVEL)

    def compress(
        self, chunks: Sequence[memoryview], histories: Sequence[CompressionHistory]
    ) -> list[bytes | memoryview | None]:
        """Return for each chunk one zstd frame that states its size; None if it is to be sent as it is.

        Each chunk comes with the history of its file. Those that are alone of their files are compressed in
        one step: one by one, small ones would give the interpreter's lock away and wait for it each time.
        """
        counts = Counter(map(id, histories))
        frames: list[bytes | memoryview | None] = [None] * len(chunks)
        alone: list[int] = []
        for at, history in enumerate(histories):
            if not history.should_try() and not self._has_shrinking_sample(chunks[at]):
                continue
            if counts[id(history)] == 1:
                alone.append(at)
            else:
                frames[at] = self._check(self._compressor.compress(chunks[at]), chunks[at], history)
        if alone:
            data: list[Any] = [chunks[at] for at in alone]
            # Its type does not say that it is a sequence of buffers.
            found: Any = self._compressor.multi_compress_to_buffer(data, threads=1)
            for at, frame in zip(alone, found, strict=True):
                frames[at] = self._check(memoryview(frame), chunks[at], histories[at])
        return frames

    def _has_shrinking_sample(self, data: memoryview) -> bool:
        if len(data) < 16 * SAMPLE_BYTES:
            return False
        start = (len(data) - SAMPLE_BYTES) // 2
        frame = self._compressor.compress(data[start : start + SAMPLE_BYTES])
        return len(frame) <= SAMPLE_BYTES * (1 - SAMPLE_SAVING)

    def _check(
        self, frame: bytes | memoryview, data: memoryview, history: CompressionHistory
    ) -> bytes | memoryview | None:
        shrank = len(frame) <= len(data) * (1 - MIN_SAVING)
        history.add_result(shrank)
        return frame if shrank else None


class Decompressor:
    """Decompresses chunks; each thread needs its own."""

    def __init__(self) -> None:
        import zstandard

        self._decompressor = zstandard.ZstdDecompressor()
        self._size_of = zstandard.frame_content_size
        self._error = zstandard.ZstdError

    def decompress(self, frame: bytes | memoryview, size: int) -> bytes:
        """Return the content of a frame. Raises ValueError unless it has `size` bytes."""
        try:
            # Checked first: a frame may claim to hold many gigabytes.
            if self._size_of(frame) != size:
                raise ValueError("the frame has another size")
            return self._decompressor.decompress(frame, max_output_size=size)
        except self._error as error:
            raise ValueError(str(error)) from error

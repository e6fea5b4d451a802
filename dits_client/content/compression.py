"""zstd where it pays: most media is compressed already, and trying costs as much as hashing thrice."""

LEVEL = 3
# A chunk is sent compressed if that saves at least this part of it.
MIN_SAVING = 0.03
# Of a file that did not shrink, every so many chunks one is tried again.
RETRY_EVERY = 16


class CompressionHistory:
    """What is known about how well one file compresses; chunks come in about their order."""

    __slots__ = ("_skip",)

    def __init__(self) -> None:
        self._skip = 0

    def should_try(self) -> bool:
        """Say whether the next chunk shall be tried."""
        if self._skip:
            self._skip -= 1
            return False
        return True

    def add_result(self, shrank: bool) -> None:
        """Learn from a chunk that was tried."""
        self._skip = 0 if shrank else RETRY_EVERY - 1


class Compressor:
    """Compresses chunks; not to be shared between threads."""

    def __init__(self) -> None:
        # Loaded when there is something to send, not at every start.
        import zstandard

        self._compressor = zstandard.ZstdCompressor(level=LEVEL)

    def compress(self, data: memoryview, known: CompressionHistory) -> bytes | None:
        """Return one zstd frame that states its size, or None if the bytes had better stay as they are."""
        if not known.should_try():
            return None
        frame = self._compressor.compress(data)
        shrank = len(frame) <= len(data) * (1 - MIN_SAVING)
        known.add_result(shrank)
        return frame if shrank else None


class Decompressor:
    """Decompresses chunks; not to be shared between threads."""

    def __init__(self) -> None:
        import zstandard

        self._decompressor = zstandard.ZstdDecompressor()
        self._size_of = zstandard.frame_content_size
        self._error = zstandard.ZstdError

    def decompress(self, frame: bytes | memoryview, size: int) -> bytes:
        """Return the `size` bytes of a frame; raise ValueError if it holds anything else."""
        try:
            # Asked first: a frame may claim to hold any number of gigabytes.
            if self._size_of(frame) != size:
                raise ValueError("the frame has another size")
            return self._decompressor.decompress(frame, max_output_size=size)
        except self._error as error:
            raise ValueError(str(error)) from error

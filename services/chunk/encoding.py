"""DownloadChunksResponse, put together by hand.

The library grows its output by copying, and allocates it anew for each message: of 1 MiB that takes
0.3 ms on the event loop, and up to 2 ms where the memory comes from the kernel. Joining takes 0.1 ms,
and a thread can do it.
"""

from __future__ import annotations

from collections.abc import Iterable

from dits.chunk.v1 import chunk_service_pb2 as pb

_LENGTH_DELIMITED = 2
_CHUNK = pb.DownloadChunksResponse.DESCRIPTOR.fields_by_name["chunks"].number
_DATA = pb.DownloadedChunk.DESCRIPTOR.fields_by_name["data"].number


class EncodedResponse:
    """A response in its wire form; looks like a message to the request chain."""

    def __init__(self, chunks: Iterable[tuple[pb.DownloadedChunk, bytes]]) -> None:
        """Encodes chunks, given without `data` and with what `data` is to be."""
        parts: list[bytes] = []
        for chunk, data in chunks:
            head = chunk.SerializeToString()
            if data:
                head += _prefix(_DATA, len(data))
            parts += (_prefix(_CHUNK, len(head) + len(data)), head, data)
        self._bytes = b"".join(parts)

    def SerializeToString(self) -> bytes:
        """The encoded message."""
        return self._bytes


def _prefix(field: int, length: int) -> bytes:
    """What stands before the bytes of a length-delimited field."""
    encoded = bytearray((field << 3 | _LENGTH_DELIMITED,))
    while length > 0x7F:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)

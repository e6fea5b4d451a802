"""DownloadChunksResponse, put together by hand.

The library grows its output by copying, and allocates it anew for each message: of 1 MiB that takes
0.3 ms on the event loop, and up to 2 ms where the memory comes from the kernel. Joining takes 0.1 ms,
and a thread can do it.
"""

from __future__ import annotations

from dits.chunk.v1 import chunk_service_pb2 as pb

_LENGTH_DELIMITED = 2
_CHUNKS = pb.DownloadChunksResponse.DESCRIPTOR.fields_by_name["chunks"].number
_DATA = pb.DownloadedChunk.DESCRIPTOR.fields_by_name["data"].number


class EncodedResponse:
    """A response in its wire form; to the request chain it looks like a message."""

    def __init__(self, parts: list[bytes]) -> None:
        """Takes what `encoded` returned for each chunk; such parts may have been joined before."""
        self._bytes = parts[0] if len(parts) == 1 else b"".join(parts)

    def SerializeToString(self) -> bytes:
        """The encoded message."""
        return self._bytes


def encoded(
    chunk: pb.DownloadedChunk, data: bytes | memoryview = b""
) -> tuple[bytes, bytes | memoryview]:
    """One element of `chunks`, in two pieces; `chunk` comes without its `data`."""
    head = chunk.SerializeToString()
    if data:
        head += _prefix(_DATA, len(data))
    return _prefix(_CHUNKS, len(head) + len(data)) + head, data


def _prefix(field: int, length: int) -> bytes:
    """What stands before the bytes of a length-delimited field."""
    prefix = bytearray((field << 3 | _LENGTH_DELIMITED,))
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix)

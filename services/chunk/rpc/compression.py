"""The encodings of chunks: their names on the wire, and in the database."""

from __future__ import annotations

from collections.abc import Mapping

from dits.chunk.v1 import chunk_service_pb2 as pb

STORED_NAMES: Mapping[pb.Compression.ValueType, str] = {
    pb.COMPRESSION_NONE: "none",
    pb.COMPRESSION_ZSTD: "zstd",
}
WIRE_NAMES = {stored: wire for wire, stored in STORED_NAMES.items()}

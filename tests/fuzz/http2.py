"""HTTP/2 frames as no gRPC library sends them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

Headers = Sequence[tuple[bytes, bytes]]


def frame(message: bytes, *, compressed: bool = False, length: int | None = None) -> bytes:
    """Returns a message as gRPC frames it; `length` is what the frame claims instead of the truth."""
    return struct.pack(">BI", compressed, len(message) if length is None else length) + message


class Connection:
    """One connection. Header bytes go out as they are, valid or not."""

    def __init__(self, address: str, seconds: float = 10.0) -> None:
        host, _, port = address.rpartition(":")
        self.authority = address.encode()
        self.socket = socket.create_connection((host, int(port)), timeout=seconds)
        self.h2 = H2Connection(
            H2Configuration(
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=False,
            )
        )
        self.h2.initiate_connection()
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def flush(self) -> None:
        """Sends what is due."""
        self.socket.sendall(self.h2.data_to_send())

    def begin(self, path: str, headers: Headers = (), *, method: bytes = b"POST") -> int:
        """Sends the headers of a call; returns its stream."""
        stream = self.h2.get_next_available_stream_id()
        usual = [
            (b":method", method),
            (b":scheme", b"http"),
            (b":path", path.encode()),
            (b":authority", self.authority),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
        ]
        self.h2.send_headers(stream, [*usual, *headers])
        self.flush()
        return stream

    def send(self, stream: int, data: bytes, *, end: bool = True) -> None:
        """Sends bytes of a call, in frames as large as the peer takes."""
        size = self.h2.max_outbound_frame_size
        for at in range(0, len(data), size):
            self.h2.send_data(stream, data[at : at + size])
        if end:
            self.h2.end_stream(stream)
        self.flush()

    def reset(self, stream: int) -> None:
        """Breaks a call off."""
        self.h2.reset_stream(stream, ErrorCodes.CANCEL)
        self.flush()

    def end_of(self, stream: int) -> dict[bytes, bytes]:
        """Returns the last headers of a call: what the server says, `reset` if it broke the call off.

        Empty if the connection ends before.
        """
        found: dict[bytes, bytes] = {}
        with suppress(OSError, ProtocolError):
            while data := self.socket.recv(1 << 16):
                for event in self.h2.receive_data(data):
                    if self._note(event, stream, found):
                        return found
                self.flush()
        return found

    def _note(self, event: Event, stream: int, found: dict[bytes, bytes]) -> bool:
        """Whether this is the end of the call."""
        if isinstance(event, ConnectionTerminated):
            found[b"goaway"] = str(event.error_code).encode()
            return True
        if getattr(event, "stream_id", None) != stream:
            return False
        if isinstance(event, ResponseReceived | TrailersReceived):
            found.update(_pairs(event.headers))
        elif isinstance(event, DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, StreamReset):
            found[b"reset"] = str(event.error_code).encode()
        return isinstance(event, StreamEnded | StreamReset)

    def call(self, path: str, body: bytes, headers: Headers = ()) -> dict[bytes, bytes]:
        """Makes a whole call; returns its last headers."""
        stream = self.begin(path, headers)
        self.send(stream, body)
        return self.end_of(stream)


def _pairs(headers: Any) -> dict[bytes, bytes]:
    return {bytes(name): bytes(value) for name, value in headers or ()}

"""Connections that give a parser little at a time, and not more than an answer may have.

A parser has work with whatever comes, however little it says: with each `100 Continue` before the answer,
with each chunk of one byte. What the socket has would keep the event loop busy for a second.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import httpcore

# What a parser gets in one step of the event loop.
PART_BYTES = 4 << 10
# Up to the end of the head, what comes before the answer included.
MAX_HEAD_BYTES = 96 << 10


class BoundedStream(httpcore.AsyncNetworkStream):
    """One connection; reading more than was admitted raises httpcore.ReadError."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._left = 0
        self._unsent = bytearray()

    def admit(self, count: int) -> None:
        """Lets so many more bytes of this answer be read."""
        self._left += count

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Returns a part of what has come."""
        if not self._left:
            raise httpcore.ReadError("the answer is too long")
        # Who closes before the end of a request may have answered all the same.
        with suppress(httpcore.WriteError):
            await self._send_rest(timeout)
        size = min(max_bytes, PART_BYTES, self._left)
        part = await self._stream.read(size, timeout)
        self._left -= len(part)
        await asyncio.sleep(0)
        return part

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Writes a part of a request: what comes next is the head of another answer.

        Small parts go out together, when the answer is asked for: a request has three or four.
        """
        self._left = MAX_HEAD_BYTES
        self._unsent += buffer
        if len(self._unsent) >= PART_BYTES:
            await self._send_rest(timeout)

    async def _send_rest(self, timeout: float | None) -> None:  # noqa: ASYNC109
        if self._unsent:
            whole = bytes(self._unsent)
            self._unsent.clear()
            await self._stream.write(whole, timeout)

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> BoundedStream:
        """Returns the connection with TLS."""
        return BoundedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """Returns what the pool asks about the connection."""
        return self._stream.get_extra_info(info)


class BoundedNetwork(httpcore.AnyIOBackend):
    """Makes such connections."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> BoundedStream:
        """Returns a new connection."""
        return BoundedStream(
            await super().connect_tcp(host, port, timeout, local_address, socket_options)
        )


def admit_body(stream: object, count: int) -> None:
    """Lets so many more bytes be read from the connection of an answer, whose head has come."""
    # After a switch of protocols it is another kind of stream, which is not read.
    if isinstance(stream, BoundedStream):
        stream.admit(count)

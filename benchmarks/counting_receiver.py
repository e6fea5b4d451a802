"""A receiver of webhooks that answers at once and counts; it runs in a process of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.sharedctypes import Synchronized

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


@contextmanager
def serve_receiver() -> Iterator[tuple[int, Synchronized[int], int]]:
    """Yields the port of a receiver on 127.0.0.1, its count of requests, and the id of its process."""
    context = multiprocessing.get_context("spawn")
    port, count = context.Value("i", 0), context.Value("i", 0)
    process = context.Process(target=_run, args=(port, count), daemon=True)
    process.start()
    while not port.value:
        process.join(0.01)
    try:
        yield port.value, count, process.pid or 0
    finally:
        process.terminate()
        process.join()


def _run(port: Synchronized[int], count: Synchronized[int]) -> None:
    uvloop.run(_serve(port, count))


async def _serve(port: Synchronized[int], count: Synchronized[int]) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                await reader.readexactly(int(length[1]) if length else 0)
                count.value += 1
                writer.write(_ANSWER)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port.value = server.sockets[0].getsockname()[1]
    await asyncio.Event().wait()

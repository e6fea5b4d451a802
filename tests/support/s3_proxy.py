"""A proxy between the services and an S3 server, which loses answers, delays them, or answers itself."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")


class S3Proxy:
    """Stands before an S3 server. Each connection serves one request.

    Attributes:
        endpoint: its URL.
        requests: the first lines of the requests so far, and their headers.
        times_left: how many requests it will not simply pass on.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.requests: list[bytes] = []
        self._upstream = "", 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._matching = re.compile(rb"(?!)")
        self.times_left = 0
        self._answer: bytes | None = None
        self._held = asyncio.Event()

    async def start(self, endpoint: str) -> None:
        """Listens."""
        url = urlsplit(endpoint)
        self._upstream = url.hostname or "", url.port or 0
        self._server = await asyncio.start_server(self._track, "127.0.0.1", 0)
        self.endpoint = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Closes everything."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def lose_answers(self, matching: str, times: int = 1) -> None:
        """Does the next requests of this form, and breaks their connections in place of the answers."""
        self._matching, self.times_left, self._answer = re.compile(matching.encode()), times, b""

    def hang(self, matching: str, times: int = 1) -> None:
        """Does the next requests of this form, and never answers them."""
        self._matching, self.times_left, self._answer = re.compile(matching.encode()), times, None

    def answer(self, matching: str, status: str, code: str, times: int = 1) -> None:
        """Answers the next requests of this form with an error of S3, and does not do them."""
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self._matching, self.times_left = re.compile(matching.encode()), times
        self._answer = head.encode() + body

    async def _track(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(client, answer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            answer.close()
            self._tasks.discard(task)

    async def _serve(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        head = await client.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await client.readexactly(int(length[1]) if length else 0)
        self.requests.append(head)
        is_chosen = bool(self.times_left and self._matching.search(head))
        self.times_left -= is_chosen
        if is_chosen and self._answer:
            answer.write(self._answer)
            await answer.drain()
            return
        server, request = await asyncio.open_connection(*self._upstream)
        # The server closes its side after the answer, which thus needs no parsing.
        request.write(head.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") + body)
        await request.drain()
        data = await server.read()
        request.close()
        if is_chosen and self._answer is None:
            await self._held.wait()
        elif not is_chosen:
            answer.write(data.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1))
            await answer.drain()

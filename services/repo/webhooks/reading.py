"""Reads the answers of receivers, as far as they are kept. Nothing of them is followed or unfolded."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import httpcore

from services.repo.webhooks.bounded_network import admit_body
from shared.rpc.validation import plain_text

MAX_BODY_BYTES = 64 << 10
# Chunks may have one byte each.
MAX_BODY_PARTS = 2_000
MAX_HEADERS = 64
MAX_HEADERS_BYTES = 16 << 10


class AnswerReading:
    """What has been read of an answer."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.body = bytearray()

    async def read(self, response: httpcore.Response) -> None:
        """Reads the head, and the body as far as it is kept."""
        self.status = response.status
        left = MAX_HEADERS_BYTES
        for name, value in response.headers[:MAX_HEADERS]:
            kept = plain_text(value.decode("latin-1"), left)
            left -= len(name) + len(kept.encode())
            if left < 0:
                break
            self.headers.append((plain_text(name.decode("latin-1").lower(), 256), kept))
        admit_body(response.extensions["network_stream"], 2 * MAX_BODY_BYTES)
        raw = cast("AsyncGenerator[bytes, None]", response.aiter_stream())
        left = MAX_BODY_PARTS
        async with aclosing(raw) as parts:
            async for part in parts:
                self.body += part[: MAX_BODY_BYTES - len(self.body)]
                left -= 1
                if not left or len(self.body) == MAX_BODY_BYTES:
                    return

    def describe_failure(self) -> str | None:
        """Returns why the status is no success; None if it is."""
        if 200 <= self.status < 300:
            return None
        if 300 <= self.status < 400:
            return f"The receiver answered {self.status}; redirects are not followed."
        return f"The receiver answered {self.status}."

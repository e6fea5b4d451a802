"""The resolver of webhooks: name servers that hang take few threads."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from services.repo.webhooks.resolver import SystemResolver


async def test_a_host_is_looked_up_once_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else whoever has a name server that hangs takes all threads with few webhooks."""
    asked: list[bytes] = []
    hangs = threading.Event()

    def look_up(host: bytes, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        hangs.wait(20)
        if host == b"gone.example":
            raise socket.gaierror("no such name")
        return [(0, 0, 0, "", ("192.0.2.1", 443))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolver = SystemResolver()
    for host in ("slow.example", "gone.example"):
        for _ in range(100):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await resolver.resolve_host(host, 443)
    waiting = [asyncio.create_task(resolver.resolve_host("slow.example", 443)) for _ in range(4)]
    gone = asyncio.create_task(resolver.resolve_host("gone.example", 443))
    await asyncio.sleep(0)
    hangs.set()
    assert await asyncio.gather(*waiting) == [["192.0.2.1"]] * 4
    with pytest.raises(OSError, match="no such name"):
        await gone
    assert sorted(asked) == [b"gone.example", b"slow.example"]
    assert await resolver.resolve_host("slow.example", 443) == ["192.0.2.1"]
    assert len(asked) == 3

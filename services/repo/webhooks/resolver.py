"""Finds the addresses of a name."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

# Returns the addresses of a host, or raises OSError.
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]

THREADS = 64


class SystemResolver:
    """Asks the resolver of the operating system.

    It blocks a thread for as long as a name server likes, so it has threads of its own.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="resolve")

    async def resolve_host(self, host: str, port: int) -> list[str]:
        """Returns the addresses of a host, each once, in the order of preference. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _look_up, host, port)
        return list(dict.fromkeys(found))


def _look_up(host: str, port: int) -> list[str]:
    # As bytes: of text Python would make another name, or none.
    name = host.encode("ascii")
    infos = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(ipaddress.ip_address(info[4][0])) for info in infos]

"""Finds the addresses of a name."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeAlias

# Returns the addresses of a host, or raises OSError.
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]

# More than lanes of webhooks: a lookup may outlive the attempt that asked.
THREADS = 160


class SystemResolver:
    """Asks the resolver of the operating system.

    It blocks a thread for as long as a name server likes, so it has threads of its own. A host is looked up
    once at a time: who asks meanwhile waits for the same answer.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="resolve")
        self._lookups: dict[str, asyncio.Future[list[str]]] = {}

    async def resolve_host(self, host: str, port: int) -> list[str]:
        """Returns the addresses of a host, each once, in the order of preference. Raises OSError."""
        lookup = self._lookups.get(host)
        if lookup is None:
            loop = asyncio.get_running_loop()
            lookup = loop.run_in_executor(self._threads, _look_up, host, port)
            self._lookups[host] = lookup
            lookup.add_done_callback(partial(self._end_lookup, host))
        # Who gives up ends it for nobody else.
        return list(dict.fromkeys(await asyncio.shield(lookup)))

    def _end_lookup(self, host: str, lookup: asyncio.Future[list[str]]) -> None:
        del self._lookups[host]
        if not lookup.cancelled():
            # Perhaps nobody waits for it any more.
            lookup.exception()


def _look_up(host: str, port: int) -> list[str]:
    # As bytes: of text Python would make another name, or none.
    name = host.encode("ascii")
    infos = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(ipaddress.ip_address(info[4][0])) for info in infos]

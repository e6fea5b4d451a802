"""Lines that are slow, and lines that are dead."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.api import Api
from tests.support.client import NOISE, Person, Proxy, read, write

RATE = 200_000


def read_limits() -> set[int]:
    """After how many ms without an acknowledgement the kernel ends the connections of this process."""
    limits = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if str(entry.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(entry.name))) as opened:
                    limits.add(opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
    return limits


async def test_what_nobody_acknowledges_ends_a_connection(ada: Person, film: str) -> None:
    """The cable that was pulled: no test can pull one, so the kernel is asked what it was told."""
    await ada.push("one", film, message="nothing yet")
    # Of the client, and of the services.
    assert {15_000, 20_000} <= read_limits()


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_a_line_that_is_slow_and_lives_is_kept(api: Api, ada: Person, film: str) -> None:
    """Longer than gRPC waits for a ping if somebody shortens that."""
    write(ada.home / "one", {f"film{number}": NOISE[number:] for number in range(2)})
    with Proxy(api.addresses["chunk"], rate=RATE) as proxy:
        with Person(api, ada.account, ada.home, chunk=proxy.address) as slow:
            await slow.push("one", film)
            assert proxy.connections == 1
        with Person(api, ada.account, ada.home, chunk=proxy.address) as slow:
            await slow.clone(film, "two")
        assert proxy.connections == 2
    assert read(ada.home / "two") == read(ada.home / "one")

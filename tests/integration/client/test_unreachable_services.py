"""One of the services is not there: the sentence names it, and where it was looked for."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Callable

import pytest

from dits_client.errors import ClientError
from dits_client.server import backoff
from dits_client.server.locks import list_locks
from dits_client.server.repository import RepositoryClient
from tests.support.api import Api
from tests.support.client import NOISE, Person, Proxy, read, write


@pytest.mark.parametrize("service", ["auth", "repo", "chunk", "lock"])
async def test_the_service_that_is_not_there_is_named(
    api: Api, ada: Person, film: str, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "AWAY_SECONDS", 0.1)
    write(ada.home / "one", {"a": NOISE[:100_000]})
    await ada.push("one", film)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    with Person(api, ada.account, ada.home, **{service: address}) as person:
        name = person.client.endpoints.name
        told = f"the {service} service of {name}, at {address}, cannot be reached"
        if service == "auth":
            told = f"the server {name} cannot be reached"
        locks = list_locks(RepositoryClient(person.client, film))
        call = asyncio.to_thread(list, locks) if service == "lock" else person.clone(film, "two")
        with pytest.raises(ClientError, match=re.escape(told)):
            await call


class _Start(logging.Handler):
    """Starts something when somebody says that it is waited for."""

    def __init__(self, start: Callable[[], object]) -> None:
        super().__init__(logging.INFO)
        self._start: Callable[[], object] | None = start

    def emit(self, _: logging.LogRecord) -> None:
        start, self._start = self._start, None
        if start is not None:
            start()


@pytest.mark.parametrize("service", ["auth", "repo", "chunk", "lock"])
async def test_a_service_that_starts_again_is_waited_for(
    api: Api, ada: Person, film: str, service: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(ada.home / "one", {"a": NOISE[:100_000]})
    await ada.push("one", film)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    started: list[Proxy] = []
    start = _Start(lambda: started.append(Proxy(api.addresses[service], port=port)))
    logger = logging.getLogger(backoff.__name__)
    logger.addHandler(start)
    caplog.set_level("INFO", logger.name)
    try:
        with Person(api, ada.account, ada.home, **{service: f"127.0.0.1:{port}"}) as person:
            # It was there before.
            person.client._was_reached = True
            await person.clone(film, "two")
            write(ada.home / "two", {"a": NOISE[:200_000]})
            assert (await person.push("two")).pushed
    finally:
        logger.removeHandler(start)
        for proxy in started:
            with proxy:
                pass
    assert len(started) == 1
    assert read(ada.home / "two")["a"] == (0o644, NOISE[:200_000])

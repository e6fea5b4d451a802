"""One of the services is not there: the sentence names it, and where it was looked for."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Callable, Iterator

import pytest

from dits_client.errors import ClientError
from dits_client.server import backoff
from dits_client.server.client import Client
from dits_client.server.credential import SessionToken
from dits_client.server.endpoints import Endpoints
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
        with pytest.raises(ClientError, match=re.escape(told)) as caught:
            await call
        # Only then something is half done.
        assert ("the same command does the rest" in str(caught.value)) == (service == "chunk")


@pytest.fixture
def starting(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[str], str]]:
    """Takes the address of a service; returns one where it is once somebody says that it is waited for."""
    logger, handlers = logging.getLogger(backoff.__name__), list[_Start]()
    caplog.set_level("INFO", logger.name)

    def prepare(service: str) -> str:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
        handlers.append(_Start(lambda: Proxy(service, port=port)))
        logger.addHandler(handlers[-1])
        return f"127.0.0.1:{port}"

    yield prepare
    for handler in handlers:
        logger.removeHandler(handler)
        assert handler.started is not None
        with handler.started:
            pass


class _Start(logging.Handler):
    """Starts a proxy at the first record."""

    def __init__(self, start: Callable[[], Proxy]) -> None:
        super().__init__(logging.INFO)
        self._start = start
        self.started: Proxy | None = None

    def emit(self, _: logging.LogRecord) -> None:
        self.started = self.started or self._start()


@pytest.mark.parametrize("service", ["auth", "repo", "chunk", "lock"])
async def test_a_service_that_starts_again_is_waited_for(
    api: Api, ada: Person, film: str, service: str, starting: Callable[[str], str]
) -> None:
    write(ada.home / "one", {"a": NOISE[:100_000]})
    await ada.push("one", film)
    address = starting(api.addresses[service])
    with Person(api, ada.account, ada.home, **{service: address}) as person:
        # It was there before; each command asks auth first, where the others are.
        person.client._was_reached = service == "auth"
        await person.clone(film, "two")
        write(ada.home / "two", {"a": NOISE[:200_000]})
        assert (await person.push("two")).pushed
    assert read(ada.home / "two")["a"] == (0o644, NOISE[:200_000])


class _Memory:
    """A session in memory; see SessionStore."""

    def __init__(self, token: str) -> None:
        self.kept = SessionToken(token, 0.0)

    def load(self) -> SessionToken:
        return self.kept

    def save(self, token: SessionToken) -> None:
        self.kept = token


async def test_the_new_token_of_a_session_is_waited_for(
    api: Api, ada: Person, starting: Callable[[str], str]
) -> None:
    session = (await api.session(ada.account)).token
    await api.fetch("UPDATE sessions SET token_issued_at = token_issued_at - interval '1 hour'")
    at = api.addresses
    endpoints = Endpoints(starting(at["auth"]), at["repo"], at["chunk"], at["lock"])
    store = _Memory(session)
    with Client(endpoints, session=store) as client:
        client._was_reached = True
        assert await asyncio.to_thread(lambda: client.metadata)
    assert store.kept.token != session

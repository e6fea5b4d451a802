"""One of the services is not there: the sentence names it, and where it was looked for."""

from __future__ import annotations

import asyncio
import re
import socket

import pytest

from dits_client.errors import ClientError
from dits_client.server import backoff
from dits_client.server.locks import list_locks
from dits_client.server.repository import RepositoryClient
from tests.support.api import Api
from tests.support.client import NOISE, Person, write


@pytest.mark.parametrize("service", ["auth", "repo", "chunk", "lock"])
async def test_the_service_that_is_not_there_is_named(
    api: Api, ada: Person, film: str, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "LONGEST_PAUSE", 0.05)
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

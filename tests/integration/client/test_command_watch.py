"""`dits watch` against running services, and the stream under it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from dits.repo.v1.event_service_pb2 import WatchRequest, WatchResponse
from dits.repo.v1.repository_service_pb2 import GetRepositoryRequest

from dits_client.errors import RemoteError
from dits_client.server.client import Client
from dits_client.server.events import watch_events
from dits_client.server.repository import RepositoryClient
from services.repo import server as repo_server
from tests.support.api import Account, Api
from tests.support.client import Person, Run, write
from tests.support.event_watcher import cursor_now, tell
from tests.support.waiting import PATIENCE_SECONDS


async def account_of(api: Api, username: str) -> Account:
    """A session of a user who has logged in with the command."""
    user_id = await api.value("SELECT id FROM users WHERE username = $1", username)
    return await api.session(Account(user_id, username, ""))


async def test_what_happens_in_the_repository_of_the_folder(
    run: Run, api: Api, film_folder: Path
) -> None:
    ada = await account_of(api, "ada")
    cursor = await cursor_now(api, ada, repository="ada/film")
    await run("lock", "a", "--reason", "sweeping")
    write(film_folder, {"a": b"2"})
    await run("push", "-m", "second")
    told = await run("watch", "--cursor", cursor, "-n", "2")
    first, second = told.splitlines()
    assert "  ada/film  lock.acquired  ada  a  sweeping" in first
    assert "  ada/film  push  ada  main " in second
    assert second.endswith("  new commits: 1")
    [line] = (await run("watch", "--json", "--cursor", cursor, "-n", "1", "push")).splitlines()
    found = json.loads(line)
    assert found["event"]["type"] == "EVENT_TYPE_PUSH"
    assert found["event"]["push"]["branches"][0]["branch"] == "main"
    await run("unlock", "a")
    told = await run("watch", "--cursor", found["cursor"], "-n", "1")
    assert "  lock.released  ada  a" in told


async def test_what_happens_in_several_repositories(
    run: Run, api: Api, logged_in: str, home: Path
) -> None:
    ada = await account_of(api, "ada")
    one, two = [await api.repository(ada, name) for name in ("one", "two")]
    for option, request in ((["--all"], {}), (["--owner", "ada"], {"owner": "ada"})):
        cursor = await cursor_now(api, ada, **request)
        await tell(api, one, "x")
        await tell(api, two, "y\x1b[31m\u202e")
        told = await run("watch", *option, "--cursor", cursor, "-n", "2")
        lines = [line.split("  ", 1)[1] for line in told.splitlines()]
        assert lines == [
            "ada/one  branch.created  x -..-",
            "ada/two  branch.created  y\\x1b[31m\\u202e -..-",
        ]


async def test_what_cannot_be_watched(run: Run, api: Api, logged_in: str, home: Path) -> None:
    assert "not found" in await run("watch", "--repository", "ada/none", fails=True)
    assert "no event" in await run("watch", "--all", "lock", fails=True)
    assert "cursor" in await run("watch", "--all", "--cursor", "AAAA", fails=True)


async def restart_repo(api: Api, stop_seconds: float) -> None:
    """Stops the repo service, and starts it again where it was."""
    running = api.suite._servers["repo"]
    runtime = running._runtime
    await running.stop()
    await asyncio.sleep(stop_seconds)
    settings = runtime.settings.model_copy(update={"repo_port": running.port})
    again = await repo_server.build(
        type(runtime)(
            settings, runtime.dsn, runtime.key, runtime.listener, api.addresses, strict=True
        )
    )
    await again.start()
    api.suite._servers["repo"] = again


@pytest.mark.parametrize("whole", [False, True])
async def test_a_restart_of_the_server_loses_and_doubles_nothing(
    api: Api, ada: Person, film: str, whole: bool
) -> None:
    """Whether one repository is watched or all."""
    answer = await api.repositories.GetRepository(
        GetRepositoryRequest(repository=film), metadata=ada.account.auth
    )
    repository = answer.repository
    found: asyncio.Queue[WatchResponse | RemoteError] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    subject: Client | RepositoryClient = ada.client
    request = WatchRequest()
    if not whole:
        subject, request.repository = RepositoryClient(ada.client, film), film

    def watch() -> None:
        branches = 0
        for each in watch_events(subject, request):
            loop.call_soon_threadsafe(found.put_nowait, each)
            branches += isinstance(each, WatchResponse) and each.HasField("event")
            if branches == 4:
                return

    watching = asyncio.create_task(asyncio.to_thread(watch))
    await found.get()
    told: list[str] = []
    for number in range(2):
        await tell(api, repository, f"before {number}")
        await restart_repo(api, 0.2 * number)
        await tell(api, repository, f"after {number}")
    async with asyncio.timeout(PATIENCE_SECONDS):
        await watching
    while not found.empty():
        each = found.get_nowait()
        if isinstance(each, WatchResponse) and each.HasField("event"):
            told.append(each.event.branch.branch)
    assert told == ["before 0", "after 0", "before 1", "after 1"]

"""People and repositories that the tests of the client share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dits_client.cli.main import main
from tests.support.api import Api
from tests.support.client import PASSWORD, Person, Run, write
from tests.support.client_locks import REPOSITORY


@pytest.fixture
def is_patched() -> bool:
    """No: what is patched here is the client and where it runs."""
    return False


@pytest.fixture
async def ada(api: Api, tmp_path: Path) -> AsyncIterator[Person]:
    """A person with a folder for working copies."""
    with Person(api, await api.account("ada"), tmp_path / "ada") as person:
        yield person


@pytest.fixture
async def bob(api: Api, tmp_path: Path) -> AsyncIterator[Person]:
    """Another person."""
    with Person(api, await api.account("bob"), tmp_path / "bob") as person:
        yield person


@pytest.fixture
async def film(api: Api, ada: Person) -> str:
    """A repository of ada's that wants no locks; its full name."""
    return f"ada/{(await api.repository(ada.account, 'film')).name}"


@pytest.fixture
async def locked_film(api: Api, ada: Person, bob: Person) -> None:
    """A repository whose files must be locked by who changes them, cloned by both."""
    repository = await api.repository(ada.account, "film", must_lock=True)
    await api.grant(repository, bob.account, "write")
    write(ada.home / "one", {"a": b"1", "b": b"2", "shots/c": b"3", "shots/d/e": b"4"})
    await ada.push("one", REPOSITORY)
    await bob.clone(REPOSITORY, "two")


@pytest.fixture
def home(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder; the environment points at the running services."""
    for name in [name for name in os.environ if name.startswith("DITS_")]:
        monkeypatch.delenv(name)
    for service, address in api.addresses.items():
        monkeypatch.setenv(f"DITS_{service.upper()}", address)
    monkeypatch.setenv("DITS_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("DITS_PASSWORD", PASSWORD)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    async def run(*arguments: str, fails: int = 0) -> str:
        """Run a command; return what it said, on stderr if it is to fail with this code."""
        capsys.readouterr()
        code = await asyncio.to_thread(main, arguments)
        told = capsys.readouterr()
        assert code == fails, told.err
        return told.err if fails else told.out

    return run


@pytest.fixture
async def logged_in(run: Run) -> str:
    await run("login", "--register", "-u", "ada", "--email", "ada@example.org")
    return "ada"


@pytest.fixture
async def film_folder(
    run: Run, logged_in: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A pushed folder of ada's, which is the current directory."""
    await run("repo", "create", "film")
    write(home / "film", {"a": b"1", "shots/b": b"2"})
    monkeypatch.chdir(home / "film")
    await run("init")
    await run("push")
    return home / "film"

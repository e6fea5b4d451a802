"""The examples in the docstring of the package work as they stand, and what the library offers works."""

from __future__ import annotations

import asyncio
import re
import textwrap
from pathlib import Path

import pytest

import dits_client
from dits_client import Client, ClientError, ConflictError, Workspace
from dits_client.server.endpoints import Endpoints
from tests.support.api import Api
from tests.support.client import read, write


def examples() -> list[str]:
    """The blocks of indented lines of the docstring."""
    blocks = re.findall(r"(?:^(?:    .*)?\n)+", dits_client.__doc__ or "", re.MULTILINE)
    return [text for block in blocks if (text := textwrap.dedent(block).strip())]


@pytest.fixture
async def token(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of ada, who has a film, in whose folder the test stands."""
    ada = await api.account("ada")
    await api.repository(ada, "film")
    at = api.addresses
    endpoints = Endpoints(at["auth"], at["repo"], at["chunk"], at["lock"])
    monkeypatch.setattr(Endpoints, "parse", lambda _: endpoints)
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "first", {"shots/010/a.blend": b"1", "top": b"2"})

    def push() -> None:
        with Client("localhost", ada.token) as client:
            client.init("first", "ada/film").push("First")

    await asyncio.to_thread(push)
    return ada.token


async def test_the_examples_of_the_package(
    token: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    assert len(examples()) == 3
    for example in examples():
        names = {"Path": Path, "token": token, "print": lambda *words: told.append(words)}
        await asyncio.to_thread(exec, compile(example, "dits_client", "exec"), names)
    assert told[1:] == [(0, [])]
    assert read(tmp_path / "film")["notes.txt"] == (0o644, b"more light")
    assert read(tmp_path / "shot") == {"shots/010/a.blend": (0o644, b"brighter")}
    lines = capsys.readouterr()
    assert "dits: " not in lines.out + lines.err


async def test_what_a_folder_can_do(token: str, tmp_path: Path) -> None:
    def work() -> None:
        with Client("localhost", token) as client:
            one, two = Workspace("first", client), client.clone("ada/film", "two")
            with pytest.raises(ClientError, match="is not empty"):
                client.clone("ada/film", "two", only="top")
            one.switch("side", create=True)
            write(one.root, {"top": b"side"})
            one.push("Side")
            assert two.merge("side").head == two.state.head
            assert read(two.root)["top"] == (0o644, b"side")
            write(two.root, {"top": b"mine"})
            with pytest.raises(ConflictError) as caught:
                two.exclude("top")
            assert caught.value.paths == ["top"]
            assert two.shelve("ada/1").changed == 1
            assert two.list_shelves() == ["ada/1"]
            two.unshelve("ada/1")
            assert two.status().changed == ["top"]
            two.restore("top", force=True)
            assert two.undo().changed == 1
            assert read(two.root)["top"] == (0o644, b"2")
            two.get("top", "old", revision="side")
            assert Path("old").read_bytes() == b"side"
            write(two.root, {".ditsignore": b"/top\n"})
            assert two.untrack("top") == ["top"]
            assert two.push("Untrack").deleted == 1
            assert read(two.root)["top"] == (0o644, b"2")
            two.undo()
            two.exclude("shots")
            assert set(read(two.root)) == {"top"}
            two.include()
            (held,) = two.lock("top", ttl=600)
            assert [lock.id for lock in two.iterate_locks(mine=True)] == [held.id]
            two.unlock("top")
            with pytest.raises(ClientError, match='you hold no lock on "top"'):
                two.unlock("top")

    await asyncio.to_thread(work)

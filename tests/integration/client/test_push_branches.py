"""Pushes to branches that move, are new, or moved without an answer."""

from __future__ import annotations

import asyncio
import os

import pytest
from dits.common.v1.error_reason_pb2 import ERROR_REASON_HEAD_MOVED

from dits_client.errors import ClientError, RemoteError
from dits_client.server.repository import RepositoryClient
from dits_client.workspace.workspace import Workspace
from tests.support.client import Person, read, read_files, write


async def test_a_branch_that_moved_wants_a_pull_first(ada: Person, film: str) -> None:
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    write(ada.home / "one", {"b": b"1"})
    await ada.push("one")
    write(ada.home / "two", {"c": b"1"})
    with pytest.raises(RemoteError, match=r"run `dits pull` first") as caught:
        await ada.push("two")
    assert caught.value.reason == ERROR_REASON_HEAD_MOVED
    await ada.pull("two")
    assert (await ada.push("two")).pushed
    await ada.pull("one")
    assert read(ada.home / "one") == read(ada.home / "two")
    write(ada.home / "one", {"d": b"1"})
    write(ada.home / "two", {"e": b"1"})
    await ada.push("one")
    forced = await ada.push("two", force=True)
    got = await ada.clone(film, "three")
    assert got.commit == forced.commit
    assert sorted(read(ada.home / "three")) == ["a", "b", "c", "e"]


async def test_of_two_pushes_at_once_one_wins(ada: Person, film: str) -> None:
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    for folder in ("one", "two"):
        write(ada.home / folder, {folder: os.urandom(100)})
    outcomes = await asyncio.gather(ada.push("one"), ada.push("two"), return_exceptions=True)
    failed = [outcome for outcome in outcomes if isinstance(outcome, RemoteError)]
    assert [error.reason for error in failed] == [ERROR_REASON_HEAD_MOVED]


async def test_other_branches(ada: Person, film: str) -> None:
    write(ada.home / "one", {"a": b"1"})
    base = await ada.push("one", film)
    same = await ada.push("one", branch="same")
    assert (same.pushed, same.commit) == (False, base.commit)
    write(ada.home / "one", {"a": b"2"})
    topic = await ada.push("one", branch="topic")
    assert Workspace.locate(ada.home / "one").state.branch == "topic"
    await ada.clone(film, "main")
    await ada.clone(film, "topic", revision="topic")
    await ada.clone(film, "commit", revision=topic.commit)
    assert (ada.home / "main" / "a").read_bytes() == b"1"
    assert (ada.home / "topic" / "a").read_bytes() == b"2"
    assert (ada.home / "commit" / "a").read_bytes() == b"2"
    with pytest.raises(ClientError, match="has no branch, tag or commit none"):
        await ada.clone(film, "none", revision="none")


async def test_a_push_whose_answer_was_lost_is_found_by_the_next_pull(
    ada: Person, film: str
) -> None:
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    before = Workspace.locate(ada.home / "one").state
    write(ada.home / "one", {"a": b"2"})
    head = (await ada.push("one")).commit
    workspace = Workspace.locate(ada.home / "one")
    workspace.state = before
    workspace.save()
    with pytest.raises(RemoteError):
        await ada.push("one")
    report = await ada.pull("one")
    assert (report.commit, report.files) == (head, 0)
    assert not (await ada.push("one")).pushed


async def test_a_branch_that_was_made_goes_if_the_switch_does_not_begin(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    write(ada.home / "one", {"a": b"2"})
    await ada.push("one", branch="side")
    await ada.switch("one", "main")
    remote = RepositoryClient(ada.client, film)

    def fail(*_: object, **__: object) -> None:
        raise ClientError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr("dits_client.checkout.update_folder.take_snapshot", fail)
        with pytest.raises(ClientError, match="full"):
            await ada.switch("one", "new", create=True, start="side")
    assert await asyncio.to_thread(remote.get_head, "new") == ""
    # A switch that has begun needs its branch.
    with monkeypatch.context() as broken:
        broken.setattr("dits_client.checkout.update_folder.apply_plan", fail)
        with pytest.raises(ClientError, match="full"):
            await ada.switch("one", "new", create=True, start="side")
    assert (await ada.status("one")).interrupted == "new"
    await ada.switch("one")
    assert (await ada.status("one")).branch == "new"
    await ada.switch("one", "main")
    assert read_files(ada.home / "one") == {"a": b"1"}

"""A push sends its trees while its last chunks are on their way; what moves the branch waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from dits_client.errors import ClientError
from dits_client.push import push_folder
from dits_client.push.stream import PushSender
from dits_client.transfer.upload import Uploader
from dits_client.transfer.upload_stream import UploadReport
from tests.support.client import Person, read, write


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls of pushes that were begun."""
    calls: list[Any] = []
    real = PushSender.begin

    def begin(sender: PushSender, *given: Any) -> None:
        real(sender, *given)
        assert sender._begun is not None
        calls.append(sender._begun.call)

    monkeypatch.setattr(PushSender, "begin", begin)
    return calls


def before_the_upload_ends(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    real = Uploader.finish

    def finish(uploader: Uploader) -> UploadReport:
        do()
        return real(uploader)

    monkeypatch.setattr(Uploader, "finish", finish)


def refuse_the_upload() -> None:
    raise ClientError("no room")


async def test_what_was_begun_is_ended_once_the_chunks_are_there(
    ada: Person, film: str, begun: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ada.home / "one", {"a": b"1", "d/b": b"2"})
    running: list[bool] = []
    before_the_upload_ends(monkeypatch, lambda: running.append(not begun[0].done()))
    await ada.push("one", film)
    assert running == [True]
    assert [call.code().name for call in begun] == ["OK"]


async def test_a_stream_that_broke_meanwhile_is_replaced(
    ada: Person, film: str, begun: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ada.home / "one", {"a": b"1", "d/b": b"2"})
    before_the_upload_ends(monkeypatch, lambda: begun[0].cancel())
    assert (await ada.push("one", film)).pushed
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")


async def test_one_that_has_succeeded_is_not_taken_for_broken(
    ada: Person, film: str, begun: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that lets it end may go on only when it has ended."""
    write(ada.home / "one", {"a": b"1", "d/b": b"2"})

    class LateEvent(threading.Event):
        def set(self) -> None:
            super().set()
            begun[0].result(timeout=60)

    real = PushSender.begin

    def begin(sender: PushSender, *given: Any) -> None:
        sender._may_end = LateEvent()
        real(sender, *given)

    monkeypatch.setattr(PushSender, "begin", begin)
    sent, make = [], PushSender._make_messages

    def make_messages(sender: PushSender, *given: Any) -> Any:
        sent.append(given[-1])
        return make(sender, *given)

    monkeypatch.setattr(PushSender, "_make_messages", make_messages)
    assert (await ada.push("one", film)).pushed
    assert [call.code().name for call in begun] == ["OK"]
    assert len(sent) == 1


async def test_nothing_is_pushed_if_the_chunks_do_not_arrive(
    ada: Person, film: str, begun: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ada.home / "one", {"a": b"1", "d/b": b"2"})
    with monkeypatch.context() as full:
        before_the_upload_ends(full, refuse_the_upload)
        with pytest.raises(ClientError, match="no room"):
            await ada.push("one", film)
    assert [call.code().name for call in begun] == ["CANCELLED"]
    report = await ada.push("one")
    assert (report.pushed, report.changed) == (True, 2)


async def test_one_with_much_to_send_is_not_begun_although_all_was_read_before(
    ada: Person, film: str, begun: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ada.home / "one", {"a": b"1" * 2000})
    with monkeypatch.context() as full:
        before_the_upload_ends(full, refuse_the_upload)
        with pytest.raises(ClientError, match="no room"):
            await ada.push("one", film)
    begun.clear()
    monkeypatch.setattr(push_folder, "EARLY_BYTES", 1000)
    assert (await ada.push("one")).pushed
    assert begun == []

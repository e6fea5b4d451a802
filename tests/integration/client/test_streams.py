"""Streams over connections that stay open while nothing passes any more."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest
from dits.auth.v1.account_service_pb2 import GetMeRequest
from dits.chunk.v1.chunk_service_pb2 import UploadChunksResponse

from dits_client.errors import RemoteError
from dits_client.push import stream
from dits_client.server import stream_watch
from dits_client.server.backoff import Backoff, end_waits_at
from dits_client.server.stream_watch import StreamWatch
from dits_client.transfer.upload_stream import Attempt, Sender
from services.chunk.rpc import upload_chunks
from tests.support.api import Api
from tests.support.client import Files, Person, Proxy, read, write
from tests.support.waiting import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of silence is enough, and two for the answer to a push.

    A push whose messages fit into the buffers of its connection waits for the answer, wherever they are.
    """
    monkeypatch.setattr(stream_watch, "IDLE_SECONDS", 1.0)
    monkeypatch.setattr(stream, "ANSWER_SECONDS", 2.0)


def make_noise() -> Files:
    return {f"f{n}": os.urandom(300_000) for n in range(40)}


async def test_an_upload_goes_on_after_silence(api: Api, ada: Person, film: str) -> None:
    write(ada.home / "one", make_noise())
    with Proxy(api.addresses["chunk"], stall=True) as proxy:
        proxy.budgets = [3_000_000, 2_000_000]
        with Person(api, ada.account, ada.home, chunk=proxy.address) as shaky:
            report = await shaky.push("one", film)
        assert proxy.breaks == 2
    assert report.chunks_sent == report.chunks
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")


async def test_what_the_server_has_after_a_break_is_not_sent_again(
    api: Api, ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, once, real = make_noise(), threading.RLock(), Backoff.wait
    others, loop = list[RemoteError](), asyncio.get_running_loop()
    write(ada.home / "one", files)
    write(ada.home / "same", files)

    def wait(self: Backoff, error: RemoteError) -> None:
        # All that was sent is there when the stream is resumed: it came another way.
        if proxy.breaks and error.is_absence:
            with once:
                if not others:
                    others.append(error)
                    coming = ada.push("same", film, branch="side")
                    asyncio.run_coroutine_threadsafe(coming, loop).result()
        real(self, error)

    monkeypatch.setattr(Backoff, "wait", wait)
    with Proxy(api.addresses["chunk"]) as proxy:
        proxy.budgets = [3_000_000]
        with Person(api, ada.account, ada.home, chunk=proxy.address) as shaky:
            report = await shaky.push("one", film)
        assert proxy.breaks == 1
    assert report.chunks_sent <= report.chunks
    # It has 12 MB.
    assert report.bytes_sent < 13_000_000


async def test_an_upload_waits_for_a_server_that_takes_long(
    api: Api, ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    write(ada.home / "one", make_noise())
    monkeypatch.setattr(upload_chunks, "_REPEAT_SECONDS", 0.2)
    repeats, real = threading.Semaphore(0), Sender._acknowledge

    def acknowledge(self: Sender, attempt: Attempt, response: UploadChunksResponse) -> bool:
        is_progress = real(self, attempt, response)
        if not is_progress:
            repeats.release()
        return is_progress

    monkeypatch.setattr(Sender, "_acknowledge", acknowledge)
    async with api.connected() as connection, connection.transaction():
        # So long, no pack can be finalized.
        await connection.execute("SELECT FROM repositories FOR UPDATE")
        push = asyncio.create_task(ada.push("one"))
        for _ in range(20):
            assert await asyncio.to_thread(repeats.acquire, timeout=PATIENCE_SECONDS)
    report = await push
    assert report.bytes_stored == 12_000_000
    # It has 12 MB: no stream was broken off, and begun again.
    assert report.bytes_sent < 12_500_000


async def test_a_download_goes_on_after_silence(api: Api, ada: Person, film: str) -> None:
    write(ada.home / "one", make_noise())
    await ada.push("one", film)
    with Proxy(api.addresses["chunk"], stall=True) as proxy:
        proxy.budgets = [3_000_000, 2_000_000]
        with Person(api, ada.account, ada.home, chunk=proxy.address) as shaky:
            report = await shaky.clone(film, "two")
        assert proxy.breaks == 2
    assert report.chunks_received == report.chunks
    assert read(ada.home / "two") == read(ada.home / "one")


async def test_a_tree_and_a_push_go_on_after_silence(api: Api, ada: Person, film: str) -> None:
    write(ada.home / "one", {f"d{n}/f{n}": os.urandom(100) for n in range(500)})
    with (
        Proxy(api.addresses["repo"], stall=True) as proxy,
        Person(api, ada.account, ada.home, repo=proxy.address) as shaky,
    ):
        # Enough for the calls before, not for the manifests.
        proxy.budgets = [30_000]
        assert (await shaky.push("one", film)).pushed
        assert proxy.breaks == 1
        proxy.budgets = [30_000]
        await shaky.clone(film, "two")
        assert proxy.breaks == 2
    assert read(ada.home / "two") == read(ada.home / "one")


async def test_a_lost_answer_to_a_push_is_asked_for_after_silence(
    api: Api, ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    write(ada.home / "one", {"a": b"2"})
    real = StreamWatch.allow
    with (
        Proxy(api.addresses["repo"], stall=True) as proxy,
        Person(api, ada.account, ada.home, repo=proxy.address) as shaky,
    ):

        def allow(self: StreamWatch, seconds: float) -> None:
            # The last message is under way: the next bytes are its own, or those of the answer.
            if not proxy.breaks:
                proxy.budgets = [1]
            real(self, seconds)

        monkeypatch.setattr(StreamWatch, "allow", allow)
        assert (await shaky.push("one")).pushed
        assert proxy.breaks == 1
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")


async def test_what_ends_a_thread_ends_its_call(api: Api, ada: Person) -> None:
    stop, ended = threading.Event(), list[str]()
    with Proxy(api.addresses["auth"], stall=True) as proxy:
        proxy.budgets = [1]
        with Person(api, ada.account, ada.home, auth=proxy.address) as shaky:

            def work() -> None:
                end_waits_at(stop)
                with pytest.raises(RemoteError) as caught:
                    shaky.client.call(shaky.client.accounts.GetMe, GetMeRequest())
                ended.append(caught.value.code)

            thread = threading.Thread(target=work)
            thread.start()
            threading.Timer(0.5, stop.set).start()
            await asyncio.to_thread(thread.join)
    assert ended == ["CANCELLED"]

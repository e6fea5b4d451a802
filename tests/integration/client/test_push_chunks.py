"""Which chunks a push sends."""

from __future__ import annotations

import os

import pytest

from dits_client.content import chunking
from dits_client.content.sources import Piece
from dits_client.errors import ClientError
from dits_client.push.offer import Offer
from dits_client.transfer.upload import Uploader
from shared.formats.profiles import Profile
from tests.support.client import NOISE, Person, read, write
from tests.support.snapshots import reading_later


def nothing(*_: object) -> list[Piece]:
    """In place of a question: the repository lacks nothing."""
    return []


async def test_only_new_chunks_are_sent(ada: Person, film: str) -> None:
    write(ada.home / "one", {"big": NOISE, "same": b"same", "old/a": NOISE[:500_000]})
    first = await ada.push("one", film)
    (ada.home / "one" / "old").rename(ada.home / "one" / "new")
    write(ada.home / "one", {"big": NOISE[:1000] + b"inserted" + NOISE[1000:], "copy": NOISE})
    second = await ada.push("one", message="Second")
    assert second.changed == 4
    assert second.chunks_sent <= 3 < first.chunks_sent
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")


async def test_a_touched_file_is_no_change(ada: Person, film: str) -> None:
    write(ada.home / "one", {"a": b"1"})
    first = await ada.push("one", film)
    os.utime(ada.home / "one" / "a", ns=(1, 1))
    assert await ada.changes("one") == []
    second = await ada.push("one")
    assert (second.pushed, second.commit) == (False, first.commit)


async def test_a_push_after_status_sends_what_status_read(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunking, "PROFILES", (Profile(0, 64, 256, 1024),))
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    write(ada.home / "one", {"film": NOISE[:1_000_000], "b": b"2"})
    for name in ("film", "b"):
        os.utime(ada.home / "one" / name, ns=(1, 1))
    with reading_later():
        assert await ada.changes("one") == ["b", "film"]
    report = await ada.push("one")
    assert (report.changed, report.bytes) == (2, 0)
    assert report.chunks_sent > 1024
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")


async def test_what_the_server_turns_out_to_lack_is_sent(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ada.home / "one", {"a": NOISE[:300_000], "b": b"b", "c/d": b"d"})
    with monkeypatch.context() as lie:
        # As if what the server called present were gone a moment later.
        lie.setattr(Uploader, "_select_missing", nothing)
        report = await ada.push("one", film)
    assert report.pushed
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")


async def test_many_missing_chunks_are_all_sent(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ada.home / "one", {f"f{n}": os.urandom(100) for n in range(80)})
    with monkeypatch.context() as lie:
        lie.setattr(Uploader, "_select_missing", nothing)
        assert (await ada.push("one", film)).pushed
    assert (await ada.clone(film, "two")).files == 80


async def test_a_file_changed_behind_the_clients_back_is_an_error(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ada.home / "one", {"a": NOISE[:300_000]})
    real = Uploader._select_missing

    def change(self: Uploader, batch: object) -> object:
        write(ada.home / "one", {"a": NOISE[300_000:600_000]})
        return real(self, batch)  # type: ignore[arg-type]

    with monkeypatch.context() as late:
        late.setattr(Uploader, "_select_missing", change)
        with pytest.raises(ClientError, match='"a" was changed while it was being read'):
            await ada.push("one", film)
    assert (await ada.clone(film, "none")).commit == ""
    assert (await ada.push("one")).pushed
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")


async def test_a_very_small_file_is_sent_as_it_was_read(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ada.home / "one", {"a": b"first"})
    real = Uploader._select_missing

    def change(self: Uploader, batch: object) -> object:
        write(ada.home / "one", {"a": b"second"})
        return real(self, batch)  # type: ignore[arg-type]

    with monkeypatch.context() as late:
        late.setattr(Uploader, "_select_missing", change)
        assert (await ada.push("one", film)).pushed
    await ada.clone(film, "two")
    assert (ada.home / "two" / "a").read_bytes() == b"first"
    assert (await ada.push("one")).changed == 1
    await ada.clone(film, "three")
    assert (ada.home / "three" / "a").read_bytes() == b"second"


async def test_offers_leave_out_nothing_that_is_asked_for(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunking, "PROFILES", (Profile(0, 64, 256, 1024),))
    write(ada.home / "one", {"old/film": NOISE[:1_000_000]})
    os.utime(ada.home / "one" / "old" / "film", ns=(1, 1))
    with reading_later():
        await ada.push("one", film)
    (ada.home / "one" / "old").rename(ada.home / "one" / "new")
    offered: list[int] = []
    real = Offer._cut_again

    def cut_again(self: Offer, source: object, file: object) -> object:
        offered.append(1)
        return real(self, source, file)  # type: ignore[arg-type]

    monkeypatch.setattr(Offer, "_cut_again", cut_again)
    with monkeypatch.context() as lie:
        lie.setattr(Uploader, "_select_missing", nothing)
        report = await ada.push("one")
    # Nothing was read: the parent has the same content under the old name.
    assert (report.changed, report.bytes, report.chunks, offered) == (2, 0, 0, [])

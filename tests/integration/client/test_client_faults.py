"""The client when things break: connections, files, trees that mean harm, and locks of others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dits.common.v1.error_reason_pb2 import ERROR_REASON_SCOPE_MISSING

from dits_client.checkout.new_files import NewFiles
from dits_client.errors import ClientError, ConflictError, RemoteError
from dits_client.server import backoff
from dits_client.server.credential import Credential
from dits_client.transfer.download import Downloader
from dits_client.workspace.scan import make_partial_name
from tests.support import trees
from tests.support.api import Api
from tests.support.client import NOISE, Person, Proxy, read, write


async def test_an_upload_goes_on_after_breaks(api: Api, ada: Person, film: str) -> None:
    write(ada.home / "one", {f"f{n}": os.urandom(300_000) for n in range(40)})
    with Proxy(api.addresses["chunk"]) as proxy:
        proxy.budgets = [3_000_000, 2_000_000, 1_000_000]
        with Person(api, ada.account, ada.home, chunk=proxy.address) as shaky:
            report = await shaky.push("one", film)
        assert proxy.breaks == 3
    assert report.pushed
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")


async def test_a_download_goes_on_after_breaks(api: Api, ada: Person, film: str) -> None:
    write(ada.home / "one", {f"f{n}": os.urandom(300_000) for n in range(40)})
    await ada.push("one", film)
    with Proxy(api.addresses["chunk"]) as proxy:
        proxy.budgets = [3_000_000, 2_000_000, 1_000_000]
        with Person(api, ada.account, ada.home, chunk=proxy.address) as shaky:
            report = await shaky.clone(film, "two")
        assert proxy.breaks == 3
    assert report.chunks_received == report.chunks
    assert read(ada.home / "two") == read(ada.home / "one")


async def test_a_lost_answer_to_a_push_is_asked_for_again(api: Api, ada: Person, film: str) -> None:
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    with (
        Proxy(api.addresses["repo"]) as proxy,
        Person(api, ada.account, ada.home, repo=proxy.address) as shaky,
    ):
        for number in range(8):
            write(ada.home / "one", {"a": b"%d" % number})
            # Somewhere in the calls on this connection, the answers included.
            proxy.budgets = [300 * (number + 1)]
            assert (await shaky.push("one")).pushed
        assert proxy.breaks >= 4
    await ada.clone(film, "two")
    assert (ada.home / "two" / "a").read_bytes() == b"7"


async def test_chunks_of_a_broken_off_push_are_not_sent_again(
    api: Api, ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "AWAY_SECONDS", 2.0)
    write(ada.home / "one", {f"f{n}": os.urandom(300_000) for n in range(20)})
    with (
        Proxy(api.addresses["repo"]) as proxy,
        Person(api, ada.account, ada.home, repo=proxy.address) as shaky,
    ):
        await shaky.push("empty", film)
        # Enough to find the repository and the branch, not enough to push.
        proxy.budgets = [2_500] + [0] * 50
        with pytest.raises(ClientError, match="cannot be reached"):
            await shaky.push("one", film)
    report = await ada.push("one")
    assert (report.pushed, report.bytes, report.chunks_sent) == (True, 0, 0)


async def test_an_interrupted_clone_is_continued(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ada.home / "one", {f"d{n % 7}/f{n}": os.urandom(3_000_000) for n in range(25)})
    await ada.push("one", film)
    # Several threads write: an iterator gives each number once.
    real, left = NewFiles._rename_into_place, iter(range(10))

    def place(self: NewFiles, name: str, path: str) -> None:
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        real(self, name, path)

    with monkeypatch.context() as full:
        full.setattr(NewFiles, "_rename_into_place", place)
        with pytest.raises(ClientError, match=r'cannot write "d\d/f\d+": no space left'):
            await ada.clone(film, "two")
    there = read(ada.home / "two")
    assert len(there) == 10
    assert there.items() <= read(ada.home / "one").items()
    # What a killed client leaves behind is no part of the folder, and goes.
    (ada.home / "two" / "d1").mkdir(exist_ok=True)
    (ada.home / "two" / "d1" / make_partial_name()).write_bytes(b"begun")
    (ada.home / "two" / "d8").mkdir()
    (ada.home / "two" / "d8" / make_partial_name()).write_bytes(b"begun")
    report = await ada.clone(film, "two")
    assert report.files == 15
    assert read(ada.home / "two") == read(ada.home / "one")
    assert not (ada.home / "two" / "d8").exists()
    assert await ada.changes("two") == []
    with pytest.raises(ClientError, match="is not empty"):
        await ada.clone(film, "two")


async def test_an_interrupted_pull_is_continued(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ada.home / "one", {"a": b"1", "b/c": b"2", "d": b"3", "gone": b"4"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    write(ada.home / "one", {"a": None, "b/c": b"22", "d": b"33", "gone": None, "e": b"5"})
    write(ada.home / "one", {"a/now": b"a folder"})
    head = (await ada.push("one")).commit
    real = NewFiles._rename_into_place
    for allowed in (0, 1, 1, 1):
        left = [allowed]

        def place(self: NewFiles, name: str, path: str, left: list[int] = left) -> None:
            if not left[0]:
                raise OSError(28, "No space left on device")
            left[0] -= 1
            real(self, name, path)

        with monkeypatch.context() as full:
            full.setattr(NewFiles, "_rename_into_place", place)
            with pytest.raises(ClientError, match="no space left"):
                await ada.pull("two")
    assert (await ada.pull("two")).commit == head
    assert read(ada.home / "two") == read(ada.home / "one")
    assert await ada.changes("two") == []


async def test_damaged_content_never_takes_its_place(
    ada: Person, film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ada.home / "one", {"a": NOISE[:300_000]})
    await ada.push("one", film)
    real = Downloader.decode_chunk

    def flip(self: Downloader, chunk: object, size: int) -> bytes:
        content = bytearray(real(self, chunk, size))  # type: ignore[arg-type]
        content[0] ^= 1
        return bytes(content)

    with monkeypatch.context() as bad:
        bad.setattr(Downloader, "decode_chunk", flip)
        with pytest.raises(ClientError, match='"a" was damaged on its way'):
            await ada.clone(film, "two")
    assert read(ada.home / "two") == {}
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")


async def test_a_tree_that_means_harm_finds_no_way_out(api: Api, ada: Person) -> None:
    repository = await api.repository(ada.account, "hostile")
    outside = ada.home / "outside"
    write(outside, {"passwd": b"untouched"})
    first = await trees.save(
        api, ada.account, repository, {"way": str(outside), "deep/way": "../../outside"}
    )
    await ada.clone("ada/hostile", "two")
    assert read(ada.home / "two") == {"way": str(outside), "deep/way": "../../outside"}
    second = await trees.save(
        api,
        ada.account,
        repository,
        {"way/passwd": b"owned", "deep/way/passwd": b"owned"},
        parent=first,
    )
    await ada.pull("two")
    assert read_plain(outside) == {"passwd": b"untouched"}
    assert (ada.home / "two" / "way" / "passwd").read_bytes() == b"owned"
    await trees.save(api, ada.account, repository, {"way": str(outside)}, parent=second)
    await ada.pull("two")
    assert read(ada.home / "two") == {"way": str(outside)}
    assert read_plain(outside) == {"passwd": b"untouched"}


@pytest.mark.parametrize("path", [".dits/state.json", "sub/.Dits/state.json"])
async def test_a_tree_may_not_bring_the_clients_own_files(
    api: Api, ada: Person, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = await api.repository(ada.account, "hostile")
    # The tree of a server that does not refuse it.
    monkeypatch.setattr("shared.formats.manifests.CLIENT_FOLDER", "")
    await trees.save(api, ada.account, repository, {path: b"{}", "a": b"1"})
    with pytest.raises(ClientError, match="reserved for the client"):
        await ada.clone("ada/hostile", "two")
    assert read(ada.home / "two") == {}


async def test_a_link_in_place_of_a_folder_is_a_local_change(ada: Person, film: str) -> None:
    write(ada.home / "one", {"folder/a": b"1", "folder/b": b"2"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    outside = ada.home / "outside"
    (ada.home / "two" / "folder").rename(outside)
    (ada.home / "two" / "folder").symlink_to(outside)
    write(ada.home / "one", {"folder/a": b"theirs", "folder/c": b"new"})
    await ada.push("one")
    with pytest.raises(ConflictError) as caught:
        await ada.pull("two")
    assert caught.value.paths == ["folder", "folder/a"]
    assert read_plain(outside) == {"a": b"1", "b": b"2"}
    await ada.pull("two", force=True)
    assert read_plain(outside) == {"a": b"1", "b": b"2"}
    assert (ada.home / "two" / "folder" / "a").read_bytes() == b"theirs"


def read_plain(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_a_token_that_is_not_good_is_one_sentence(api: Api, ada: Person, film: str) -> None:
    weak = await api.api_token(ada.account, "repo:read")
    write(ada.home / "one", {"a": b"1"})
    await ada.push("one", film)
    write(ada.home / "one", {"a": b"2"})
    with Person(api, weak, ada.home) as reader:
        await reader.clone(film, "two")
        with pytest.raises(RemoteError) as caught:
            await reader.push("one")
        assert caught.value.reason == ERROR_REASON_SCOPE_MISSING
    stranger = Person(api, ada.account, ada.home)
    stranger.client.credential = Credential("nonsense")
    with (
        stranger,
        pytest.raises(RemoteError, match=r"not logged in to (\S+), .*: run `dits login \1`"),
    ):
        await stranger.pull("one")

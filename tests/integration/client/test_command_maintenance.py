"""`dits gc`, `verify` and `storage`; and pushes that send lost chunks again."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from dits_client.checkout.restore import restore_paths
from dits_client.transfer.lost_content import LostFilesError
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.chunks import Shelf, files, some
from tests.support.client import NOISE, Person, Run, read, write
from tests.support.collection import end_claims


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Chunks go at once."""
    return settings.model_copy(update={"chunk_grace_seconds": 0, "reader_grace_seconds": 0})


@pytest.fixture
async def operator(api: Api, monkeypatch: pytest.MonkeyPatch) -> str:
    token = await api.api_token(await api.account(), "site:admin", "user:read")
    return token.token


async def test_garbage_is_planned_collected_and_the_runs_listed(
    api: Api, run: Run, operator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DITS_TOKEN", operator)
    shelf = await Shelf.open(api)
    await shelf.put(*(some() for _ in range(3)))
    await end_claims(api)

    async def watch(told: str) -> None:
        match = re.search("dits jobs watch (.*)", told)
        assert match
        await run("jobs", "watch", match[1])

    assert "1, 3.0 kB in local, standard" in await run("storage")
    assert "claims to drop:     3" in await run("gc", "plan")
    assert await run("gc", "runs") == ""
    await watch(await run("gc", "run"))
    told = await run("gc", "plan")
    assert "chunks to delete:   3 of 3 (3.0 kB)" in told
    assert "comes back:         3.0 kB in 1 pack on " in told
    assert told.endswith("dits gc run --confirm 3\n")
    assert "20 percent" in await run("gc", "run", fails=True)
    await watch(await run("gc", "run", "--confirm", "3"))
    lines = (await run("gc", "runs")).splitlines()
    assert [line.split()[3:5] for line in lines[1:]] == [
        ["collect_garbage", "completed"],
        ["collect_garbage", "refused"],
    ]
    [line] = (await run("gc", "runs", "-n", "1", "--json")).splitlines()
    assert json.loads(line)["report"]["deleted_chunk_count"] == "3"
    job = json.loads(await run("verify", "--everything", "--json"))["job_id"]
    await watch(f"dits jobs watch {job}")
    await watch(await run("gc", "inventory", "--confirm", "5"))
    assert "check_inventory" in await run("gc", "runs", "-n", "1")
    assert "packs:   0" in await run("storage")
    assert json.loads(await run("gc", "plan", "--json"))["plan_time"]


async def test_a_clone_names_the_file_that_the_server_has_lost(
    api: Api, settings: Settings, ada: Person, film: str
) -> None:
    one = ada.home / "one"
    write(one, {"a": b"first", "c": b"last"})
    await ada.push("one", film)
    before = set(files(settings))
    write(one, {"b": b"lost", "b-large": NOISE[:300_000]})
    await ada.push("one")
    for key, path in files(settings).items():
        if key not in before:
            path.unlink()
    with pytest.raises(
        LostFilesError, match=r"2 files cannot be fetched.*`dits push` in a folder that"
    ) as caught:
        await ada.clone(film, "two")
    assert caught.value.paths == ["b", "b-large"]
    # All others are there, and the folder can be used: no push deletes what is missing.
    two = ada.home / "two"
    assert read(two) == {"a": (0o644, b"first"), "c": (0o644, b"last")}
    assert ((await ada.status("two")).missing, await ada.changes("two")) == (["b", "b-large"], [])
    write(two, {"c": b"edited"})
    assert (await ada.push("two")).changed == 1
    with pytest.raises(LostFilesError):
        await ada.pull("two")
    await ada.pull("one")
    assert sorted(read(one)) == ["a", "b", "b-large", "c"]
    await api.fetch("UPDATE chunks SET lost_at = now() WHERE lost_at IS NULL")
    await ada.push("one")
    await ada.pull("two")
    assert read(two) == read(one)
    assert (await ada.status("two")).missing == []


async def test_an_older_version_of_a_lost_file_stays(
    api: Api, settings: Settings, ada: Person, film: str
) -> None:
    one, two = ada.home / "one", ada.home / "two"
    write(one, {"a": b"1", "b": NOISE[:300_000], "d": b"to go"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    before = set(files(settings))
    write(one, {"b": NOISE[400_000:900_000]})
    await ada.push("one")
    for key, path in files(settings).items():
        if key not in before:
            path.unlink()
    write(one, {"a": b"2", "z": b"new", "d": None})
    await ada.push("one")
    for _ in range(2):
        with pytest.raises(LostFilesError) as caught:
            await ada.pull("two")
        assert caught.value.paths == ["b"]
        # It may be the only one there is; to push it would take the new one back.
        assert (two / "b").read_bytes() == NOISE[:300_000]
        assert ((two / "a").read_bytes(), (two / "z").read_bytes()) == (b"2", b"new")
        assert (await ada.changes("two"), (await ada.status("two")).missing) == ([], ["b"])
    with pytest.raises(LostFilesError):
        await asyncio.to_thread(restore_paths, two, ada.client, ["b"], revision="main", force=True)
    assert (two / "b").read_bytes() == NOISE[:300_000]
    # Work goes on, and the lost version stays in the commit; without the index, too.
    (two / ".dits/index").unlink()
    write(two, {"a": b"3"})
    assert (await ada.push("two")).changed == 1
    assert (await ada.changes("two"), (await ada.status("two")).missing) == ([], ["b"])
    await ada.pull("one")
    assert (one / "b").read_bytes() == NOISE[400_000:900_000]
    await api.fetch("UPDATE chunks SET lost_at = now() WHERE lost_at IS NULL")
    await ada.push("one")
    await ada.pull("two")
    assert read(two) == read(one)
    assert (await ada.status("two")).missing == []


async def test_an_edit_of_an_older_version_is_a_change(
    settings: Settings, ada: Person, film: str
) -> None:
    one, two = ada.home / "one", ada.home / "two"
    write(one, {"a": b"1", "b": b"old", "l": "to", "m": b"old too"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    before = set(files(settings))
    # A link gives way to a file that gets lost, as well.
    write(one, {"b": b"new", "l": None, "m": b"new too"})
    write(one, {"l": b"a file"})
    await ada.push("one")
    for key, path in files(settings).items():
        if key not in before:
            path.unlink()
    with pytest.raises(LostFilesError) as caught:
        await ada.pull("two")
    assert caught.value.paths == ["b", "l", "m"]
    assert (await ada.changes("two"), read(two)["l"]) == ([], "to")
    # A copy of it is a file of its own, with what it has.
    (two / "m").rename(two / "moved")
    write(two, {"b": b"edited"})
    assert (await ada.status("two")).missing == ["l", "m"]
    assert await ada.changes("two") == ["b", "moved"]
    assert (await ada.push("two")).changed == 2
    assert ((await ada.status("two")).missing, await ada.changes("two")) == (["l", "m"], [])
    with pytest.raises(LostFilesError):
        await ada.clone(film, "three")
    assert read(ada.home / "three") == {
        "a": (0o644, b"1"),
        "b": (0o644, b"edited"),
        "moved": (0o644, b"old too"),
    }


async def test_lost_ignore_rules_stop_no_pull(settings: Settings, ada: Person, film: str) -> None:
    one, two = ada.home / "one", ada.home / "two"
    write(one, {".ditsignore": b"*.tmp\n", "a": b"1", "b": b"2"})
    await ada.push("one", film)
    await ada.clone(film, "two")
    before = set(files(settings))
    write(one, {".ditsignore": b"*.tmp\n*.log\n", "b": None})
    await ada.push("one")
    for key, path in files(settings).items():
        if key not in before:
            path.unlink()
    with pytest.raises(LostFilesError) as caught:
        await ada.pull("two")
    assert caught.value.paths == [".ditsignore"]
    assert sorted(read(two)) == [".ditsignore", "a"]
    # The older rules hold on.
    write(two, {"x.tmp": b"", "a": b"3"})
    assert await ada.changes("two") == ["a"]
    assert (await ada.push("two")).changed == 1


async def test_files_whose_recipes_are_lost_are_left_out(
    settings: Settings, ada: Person, film: str
) -> None:
    write(ada.home / "one", {"small": b"1"})
    await ada.push("one", film)
    before = set(files(settings))
    more = {f"lost/{number}": NOISE[number:][:2_500_000] for number in range(3)}
    write(
        ada.home / "one",
        more | {f"lost/small-{number}": b"lost %d" % number for number in range(50)},
    )
    await ada.push("one")
    for key, path in files(settings).items():
        if key not in before:
            path.unlink()
    write(ada.home / "one", {"z": b"last"})
    await ada.push("one")
    with pytest.raises(LostFilesError, match="and 33 more") as caught:
        await ada.clone(film, "two")
    assert len(caught.value.paths) == 53
    assert sorted(read(ada.home / "two")) == ["small", "z"]


@pytest.mark.parametrize("is_changed", [False, True])
async def test_a_push_sends_what_the_server_has_lost(
    api: Api, settings: Settings, ada: Person, film: str, run: Run, is_changed: bool
) -> None:
    write(ada.home / "one", {"a": NOISE[:300_000], "b/c": b"small", "d": b"gone from the folder"})
    await ada.push("one", film)
    for path in files(settings).values():
        path.unlink()
    await api.fetch("UPDATE chunks SET lost_at = now()")
    (ada.home / "one" / "d").write_bytes(b"other")
    if not is_changed:
        await ada.push("one")
        await api.fetch("UPDATE chunks SET lost_at = now()")
    report: Any = await ada.push("one")
    assert report.pushed == is_changed
    assert await api.value("SELECT count(*) FROM chunks WHERE lost_at IS NOT NULL") == 1
    await ada.clone(film, "two")
    assert read(ada.home / "two") == read(ada.home / "one")

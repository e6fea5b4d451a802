"""With --json, commands print what docs/client.md lists, and nothing else on stdout."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from dits_client.cli.main import main
from tests.support.client import Run, write

DOCUMENTED = (Path(__file__).parents[3] / "docs/client.md").read_text()


def list_documented(command: str) -> set[str]:
    """The fields that the table names for a command."""
    rows = [line for line in DOCUMENTED.splitlines() if line.startswith("|")]
    (row,) = [row for row in rows if f"`{command}`" in row.split("|")[1]]
    return set(re.findall(r"`(\w+)`", row.split("|")[2]))


async def test_what_is_printed_is_what_is_documented(run: Run, film_folder: Path) -> None:
    async def ask(*arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (await run(*arguments, "--json")).splitlines()]

    write(film_folder, {"a": b"11"})
    await run("lock", "a")
    parts = {
        "push": ("push", "-m", "second"),
        "status": ("status",),
        "switch": ("switch", "-c", "side"),
        "pull": ("pull",),
        "clone": ("clone", "ada/film", str(film_folder.parent / "copy")),
        "restore": ("restore", "a"),
        "undo": ("undo",),
    }
    for command, arguments in parts.items():
        (found,) = await ask(*arguments)
        assert found.keys() == list_documented(command), command
    write(film_folder, {"a": b"111"})
    for command, arguments in (
        ("shelve", ("shelve", "x")), ("shelves", ("shelves",)), ("unshelve", ("unshelve", "x")),
    ):  # fmt: skip
        (found,) = await ask(*arguments)
        assert found.keys() == list_documented(command), command
    # What is empty is left out of messages.
    listed = [line.get("message") for line in await ask("log", "--revision", "main")]
    assert listed == ["second", None]
    assert {line["name"] for line in await ask("ls")} == {"a", "shots"}
    assert [line["path"] for line in await ask("locks")] == ["a"]
    assert (await ask("ls", "a"))[0]["size"] == "1"
    await run("unlock", "a", "--discard-protection")
    assert (await ask("locks")) == []
    (merged,) = await ask("merge", "side", "--into", "main")
    assert merged["outcome"] == "MERGE_OUTCOME_FAST_FORWARD"


async def test_what_sentences_say_is_there_for_programs(run: Run, film_folder: Path) -> None:
    async def ask(*arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (await run(*arguments, "--json")).splitlines()]

    (locked,) = await ask("lock", "a")
    assert (locked["path"], locked["lock"]["ours"]) == ("a", True)
    (renewed,) = await ask("renew", "a", "--ttl", "9h")
    assert (renewed["outcome"], renewed["lock"]["path"]) == ("RENEW_OUTCOME_RENEWED", "a")
    assert await ask("unlock", "a") == [{"released": "a"}]
    (film_folder / ".ditsignore").write_text("a\n")
    assert await ask("untrack", "a") == [{"untracked": "a"}]
    got = {"path": "shots/b", "bytes": 1, "file": "b"}
    assert await ask("get", "shots/b") == [got]
    await run("get", "shots/b", "-o", "-", "--json", fails=2)
    (made,) = await ask("branch", "create", "side")
    assert (made["name"], len(made["head"])) == ("side", 64)
    assert (await ask("branch", "rename", "side", "other"))[0]["name"] == "other"
    assert await ask("branch", "delete", "other") == [{"name": "other", "head": made["head"]}]
    assert (await ask("tag", "create", "v1"))[0]["head"] == made["head"]
    assert (await ask("whoami"))[0]["caller"]["username"] == "ada"
    assert [found["name"] for found in await ask("repo", "list")] == ["film"]
    (rules,) = await ask("repo", "settings", "ada/film", "--lock-patterns", "*.blend")
    assert rules["lock_patterns"] == ["*.blend"]
    assert (await ask("regions", "--replicate"))[0].keys() == {"job_id"}
    assert (await ask("usage"))[0].keys() == {"periods", "total"}
    assert (await ask("repo", "create", "next"))[0]["owner"] == "ada"
    # Where there is no answer, the sentence; the services log to the same place here.
    (said,) = await ask("account", "update", "--name", "Ada")
    assert said["text"].endswith("Changed.")
    (gone,) = await ask("logout")
    assert gone.keys() == {"server", "username"}


async def test_an_empty_list_is_no_word_for_programs(
    run: Run, film_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = (
        "webhook list", "ssh-key list", "protect rules", "notifications following", "locks", "jobs",
        "shelves", "tag list", "org list",
    )  # fmt: skip
    for line in lists:
        for asked in ("", "--json"):
            capsys.readouterr()
            assert await asyncio.to_thread(main, [*line.split(), *asked.split()]) == 0
            told = capsys.readouterr()
            assert ("\nNo " in f"\n{told.err}") == (not asked), line

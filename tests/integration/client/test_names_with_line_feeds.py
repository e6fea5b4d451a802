"""A file name with a line feed and a terminal's command: no output of a command has either in it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from dits_client.cli.main import main
from tests.support.client import Run, write

# Raw, its second part would begin a line.
NAME = "shot\nlocked \x1b[31m by nobody.bin"

COMMANDS = [
    ["status"],
    ["diff"],
    ["lock", "NAME"],
    ["lock", "NAMEx"],
    ["lock", "gone/NAME"],
    ["locks"],
    ["renew", "NAME"],
    ["renew", "NAMEx"],
    ["unlock", "NAME"],
    ["unlock", "--discard-protection", "NAME"],
    ["unlock", "NAMEx"],
    ["steal", "NAMEx", "--reason", "NAME"],
    ["restore", "NAME"],
    ["restore", "NAMEx"],
    ["restore", "NAME", "--revision", "NAME"],
    ["get", "NAMEx", "-o", "x"],
    ["get", "NAME", "-o", "NAME"],
    ["untrack", "NAME"],
    ["untrack", "NAMEx"],
    ["include", "NAMEx"],
    ["exclude", "NAME"],
    ["exclude", "NAMEx"],
    ["fetch", "NAMEx"],
    ["undo"],
    ["pull"],
    ["pull", "--from", "side"],
    ["merge", "side"],
    ["merge", "side", "--dry-run"],
    ["switch", "side"],
    ["switch", "NAME"],
    ["switch", "-c", "NAME"],
    ["ls"],
    ["ls", "NAME"],
    ["ls", "NAMEx"],
    ["log", "NAMEx"],
    ["show", "side"],
    ["diff", "main", "side"],
    ["obliterate", "remove", "NAMEx", "--reason", "NAME"],
    ["tag", "create", "NAME"],
    ["branch", "create", "NAME"],
    ["branch", "delete", "NAME"],
    ["clone", "ada/film", "NAME"],
    ["clone", "ada/NAME"],
    ["repo", "create", "NAME"],
    ["config", "account", "NAME"],
    ["account", "switch", "NAME"],
    ["unshelve", "NAME"],
    ["shelve", "NAME"],
    ["push", "--branch", "NAME"],
    ["push", "-m", "change"],
    ["pull"],
    ["shelve", "mine"],
    ["doctor"],
    ["status"],
]


@pytest.fixture
async def folder(run: Run, film_folder: Path) -> Path:
    """A folder whose branches `main` and `side` have changed the same file, which has changes, too."""
    await run("repo", "settings", "ada/film", "--no-require-lock-for-edit", "--no-portable-names")
    await run("switch", "-c", "side")
    write(film_folder, {"a": b"side"})
    await run("push", "-m", "side")
    await run("switch", "main")
    write(film_folder, {"a": b"main"})
    await run("push", "-m", "main")
    # A directory whose other names are plain, and one where they are not.
    write(
        film_folder,
        {"a": b"mine", NAME: b"1", f"d/{NAME}": b"1", f"e/{NAME}": b"1", "e/\u00e9": b"1"},
    )
    (film_folder / NAME).with_suffix(".lnk").symlink_to(f"{NAME}\udcff")
    return film_folder


async def test_no_name_begins_a_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(main, ["status", "--json"])
    status = json.loads(capsys.readouterr().out)
    assert (status["new"], len(status["unusable"])) == (["e/\u00e9"], 4)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    for command in COMMANDS:
        line = [argument.replace("NAME", NAME) for argument in command]
        capsys.readouterr()
        try:
            await asyncio.to_thread(main, line)
        except SystemExit as end:
            # The arguments were refused by the parser.
            assert end.code == 2
        told = "".join(capsys.readouterr())
        assert "\x1b" not in told, command
        assert "\nlocked" not in told, (command, told)
        assert "Traceback" not in told, command

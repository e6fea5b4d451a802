"""In a folder, every path that a command takes is meant from the current directory."""

from __future__ import annotations

import asyncio
from argparse import Action
from collections.abc import Iterator
from pathlib import Path

import pytest

from dits_client.cli.grammar import find_commands, list_actions
from dits_client.cli.main import main
from dits_client.cli.parser import make_parser
from tests.support.client import Run, write

# By command and argument: a line for a file that is only in the current directory, and what it tells.
LINES = {
    ("ls", "path"): (["only"], "only"),
    ("log", "path"): (["only"], "second"),
    ("diff", "path"): (["v1", "main", "--path", "only"], "shots/only"),
    ("get", "file"): (["only", "--json", "-o", "copy"], '"path": "shots/only"'),
    ("restore", "paths"): (["only", "--json"], '"files": 0'),
    ("lock", "paths"): (["only"], "shots/only"),
    ("renew", "paths"): (["only"], "shots/only"),
    ("unlock", "paths"): (["only"], "shots/only"),
    ("steal", "paths"): (["only", "--reason", "x"], "shots/only"),
    ("untrack", "paths"): (["only"], '"shots/only" is not ignored'),
    ("exclude", "paths"): (["only"], "1 removed"),
    ("include", "paths"): (["only"], "1 file "),
    ("fetch", "paths"): (["only"], 'no file waits at "shots/only"'),
    ("merge", "ours"): (["v1", "--ours", "only"], "shots/only is in no conflict"),
    ("merge", "theirs"): (["v1", "--theirs", "only"], "shots/only is in no conflict"),
    ("obliterate remove", "path"): (["only", "--reason", "x", "--yes"], "shots/only is removed"),
    ("obliterate lift", "path"): (["only", "copy"], "shots/only is back"),
    ("tier check", "paths"): (["only"], "Nothing is archived: 1 chunk"),
    ("tier restore", "paths"): (["only"], "Nothing to restore"),
    ("tier set", "paths"): (["only", "--class", "standard"], "Nothing to restore"),
}
# Those of other places: a new folder has no current directory, and patterns are the repository's.
OTHERS = {("clone", "only"), ("protect set", "path"), ("protect", "path")}


def iterate_paths() -> Iterator[tuple[str, str]]:
    """Yield command and argument of each path that a command takes."""
    todo = [("", make_parser())]
    for words, command in todo:
        todo += [(f"{words} {name}".strip(), each) for name, each in find_commands(command).items()]
        yield from ((words, action.dest) for action in list_actions(command) if is_path(action))


def is_path(action: Action) -> bool:
    """Whether an argument is a path of a repository."""
    shown = (action.metavar or "", action.dest)
    return any(word in ("path", "paths") or "PATH" in word for word in shown)


def test_every_command_with_paths_is_here() -> None:
    assert set(iterate_paths()) - OTHERS == LINES.keys()


@pytest.fixture
async def shots(run: Run, film_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in a folder, which is the current directory."""
    await run("tag", "create", "v1")
    write(film_folder, {"shots/only": b"only", "only-not": b"1"})
    await run("push", "-m", "second")
    monkeypatch.chdir(film_folder / "shots")
    return film_folder / "shots"


async def test_paths_are_meant_from_the_current_folder(
    run: Run, shots: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for (words, _), (line, wanted) in LINES.items():
        await asyncio.to_thread(main, [*words.split(), *line])
        told = capsys.readouterr()
        assert wanted in told.out + told.err, (words, told)
    # From the top of the repository, where it is named.
    assert "only-not" in await run("ls", "--repository", "ada/film")
    assert "only" in await run("ls", "shots/only", "--repository", "ada/film")
    assert {line.split()[-1] for line in (await run("ls")).splitlines()} >= {"b", "only"}
    assert "only-not" in await run("ls", "..")
    assert "is not in" in await run("ls", "../..", fails=2)
    assert (shots / "copy").read_bytes() == b"only"

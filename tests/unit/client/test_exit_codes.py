"""The exit code of every command, as docs/client.md has them: nobody is logged in, and nothing is there."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dits_client.cli.arguments import parse_team
from dits_client.cli.grammar import iterate_commands, list_actions
from dits_client.cli.main import main
from dits_client.cli.parser import make_parser

COMMANDS = dict(iterate_commands(make_parser()))
# What else is needed for a line that can be understood, and the code where it is not 1.
FURTHER = {"switch": ["side"], "completion": ["bash"]}
CODES = {"account list": 0, "completion": 0, "config": 0, "man": 0}
# What the types of arguments take that do not take every text.
VALUES: dict[Any, str] = {parse_team: "studio/anim"}
# They ask a server although nobody is logged in.
ASKING = {"account verify", "account reset-password", "token report"}


@pytest.fixture(autouse=True)
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder, no login, and a server that is not there."""
    for name in [name for name in os.environ if name.startswith("DITS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DITS_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("DITS_PASSWORD", "secret")
    monkeypatch.chdir(tmp_path)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("DITS_SERVER", f"127.0.0.1:{unused.getsockname()[1]}")
        yield


def complete(command: argparse.ArgumentParser) -> list[str]:
    """The shortest line that the parser takes."""
    words = []
    for action in list_actions(command):
        value = next(iter(action.choices), "") if action.choices else VALUES.get(action.type, "x")
        if action.option_strings:
            words += [action.option_strings[-1], value] if action.required else []
        elif action.nargs not in ("?", "*"):
            words.append(value)
    return words


@pytest.mark.parametrize("line", sorted(" ".join(path) for path in COMMANDS))
def test_what_cannot_be_done_and_what_is_not_understood(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tuple(line.split())
    with pytest.raises(SystemExit) as caught:
        main([*path, "--no-such-option"])
    assert caught.value.code == 2
    capsys.readouterr()
    if line in ASKING:
        return
    code = main([*path, *complete(COMMANDS[path]), *FURTHER.get(line, [])])
    told = capsys.readouterr()
    # Where arguments that are optional alone are needed together, the command says so.
    assert code in ({CODES[line]} if line in CODES else {1, 2}), told.err
    assert told.err.startswith(("", "No ")[bool(told.err)] if code == 0 else "dits: ")


def test_every_command_can_print_json() -> None:
    without = {
        " ".join(path)
        for path, command in COMMANDS.items()
        if not any("--json" in action.option_strings for action in list_actions(command))
    }
    assert without == set()


TYPED = [
    (line, action.option_strings[-1] if action.option_strings else "", text)
    for path, command in COMMANDS.items()
    for line in [" ".join(path)]
    for action in list_actions(command)
    if action.type is not None
    for text in ("x", "-1", "9" * 19, "٣")
] + [("team delete", "", text) for text in ("/art", "studio/")]


@pytest.mark.parametrize(("line", "option", "text"), TYPED)
def test_an_argument_that_cannot_be_meant_is_none(
    line: str, option: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tuple(line.split())
    # `--option=-1`: else it would be an option itself.
    given = [f"{option}={text}"] if option else ["--", text]
    with pytest.raises(SystemExit) as caught:
        main([*path, *(complete(COMMANDS[path]) if option else []), *given])
    assert caught.value.code == 2
    assert "error: argument" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        ["login", "ftp://host"],
        ["login", "host:99999"],
        ["login", "--chunk", "no where", "host"],
        ["logout", "a:b:c"],
        ["account", "verify", "--server", "ada@host", "x"],
        ["token", "report", "host:²"],
        ["log", "--author", "caf\udce9"],
        ["account", "update", "--set", "a=caf\udce9"],
    ],
)
def test_what_commands_check_by_themselves_is_a_wrong_argument(line: list[str]) -> None:
    assert main(line) == 2

"""Commands that messages advise run nothing else, whatever the names in them are."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator
from pathlib import Path

import dits_client
from dits_client.terminal import quote_argument

SOURCES = sorted(Path(dits_client.__file__).parent.rglob("*.py"))


def find_values(text: ast.JoinedStr) -> Iterator[ast.expr]:
    """Yields what a text puts into the commands that stand in it between back quotes."""
    before = ""
    for part in text.values:
        if isinstance(part, ast.FormattedValue):
            if before.count("`") % 2 and before.rpartition("`")[2].startswith("dits "):
                yield part.value
            before += "?"
        else:
            before += str(ast.literal_eval(part))


def test_names_in_advised_commands_are_quoted() -> None:
    found = [
        ast.unparse(value)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.JoinedStr)
        for value in find_values(node)
    ]
    assert len(found) >= 7
    assert [value for value in found if not value.startswith("quote_argument(")] == []


def test_a_name_stays_one_word() -> None:
    assert quote_argument("shots/v1") == "shots/v1"
    for name in ("$(id)", "a;id", "`id`", "a'b", "-x"):
        assert shlex.split(quote_argument(name)) == [name]
    assert "\n" not in quote_argument("a\nb")

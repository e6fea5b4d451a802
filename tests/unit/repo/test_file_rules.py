"""Names that can be stored everywhere."""

from __future__ import annotations

import pytest
from dits.repo.v1.manifest_pb2 import Entry, Symlink

from services.repo.history.file_rules import FileRules
from shared.formats.portable_names import find_name_problem

RULES = FileRules(portable_names=True)


@pytest.mark.parametrize(
    "name",
    [
        "CON",
        "con.txt",
        "Aux.tar.gz",
        "nul",
        "COM1",
        "lpt9.x",
        "CON .txt",
        "x.",
        "x ",
        "a:b",
        "<",
        "a\tb",
        "?",
    ],
)
def test_names_that_windows_cannot_store(name: str) -> None:
    assert find_name_problem(name)


@pytest.mark.parametrize(
    "name", ["CONFIG", "com10", "console.txt", ".x", "x.y", "ä", " x", "COM", "a'b"]
)
def test_names_that_all_can_store(name: str) -> None:
    assert not find_name_problem(name)


@pytest.mark.parametrize(
    ("one", "other"), [("README", "readme"), ("STRASSE", "straße"), ("Ä", "ä"), ("ﬁ", "fi")]
)
def test_twins(one: str, other: str) -> None:
    first, second = sorted(
        (Entry(name=name, symlink=Symlink(target="x")) for name in (one, other)),
        key=lambda e: e.name,
    )
    found = RULES.find_fault([first, second], [first])
    assert found is not None
    assert found.rule == "portable_names"
    # What was there before is not judged.
    third = Entry(name="zzz", symlink=Symlink(target="x"))
    assert RULES.find_fault([first, second, third], [third]) is None
    assert FileRules().find_fault([first, second], [first]) is None

"""What another system's disk cannot store, as the client behaves there."""

from __future__ import annotations

from pathlib import Path

import pytest
from dits.repo.v1.manifest_pb2 import Entry, File, Symlink

from dits_client.checkout.impossible_names import check_names
from dits_client.checkout.plan import CheckoutPlan
from dits_client.errors import ClientError
from dits_client.platform import MACOS, POSIX, WINDOWS, probe_platform

FILE = Entry(file=File(size=1))


def test_names_that_a_disk_cannot_store_are_listed_at_once() -> None:
    names = ["shots/CON/a", "a:b", "shots/end.", "Notes", "d/Ünder", "fine", "Dits~1/state.json"]
    names.append("d/.D\u200cits/x")
    written = dict.fromkeys(names, FILE)
    staying = ["notes", "D/ünder", "shots/x"]
    check_names(POSIX, written, staying)
    with pytest.raises(ClientError) as caught:
        check_names(MACOS, written, staying)
    assert str(caught.value).splitlines()[1:] == [
        '  "Notes" differs from "notes" by the case of letters alone',
        '  "d" differs from "D" by the case of letters alone',
        '  "d/.D\\u200cits/x" may be another name for `.dits` on macOS',
        '  "d/Ünder" differs from "D/ünder" by the case of letters alone',
    ]
    with pytest.raises(ClientError) as caught:
        check_names(WINDOWS, written, [])
    assert "dits exclude" in str(caught.value)
    assert str(caught.value).splitlines()[1:] == [
        '  "Dits~1" may be another name for `.dits` on Windows',
        "  \"a:b\" has the character ':', which Windows cannot store",
        '  "d/.D\\u200cits/x" may be another name for `.dits` on macOS',
        '  "shots/CON" is the name of a device on Windows',
        '  "shots/end." ends in a dot or a space, which Windows cannot store',
    ]
    with pytest.raises(ClientError, match="and 10 more"):
        check_names(WINDOWS, {f"{n}:": FILE for n in range(30)}, [])


def test_links_that_a_disk_cannot_store_are_listed_too() -> None:
    written = {path: Entry(symlink=Symlink(target=path)) for path in ("a/b", "c:d", "../e", "f\\g")}
    check_names(POSIX, written, [])
    with pytest.raises(ClientError) as caught:
        check_names(WINDOWS, {"link": written["a/b"], "odd": written["f\\g"], "file": FILE}, [])
    assert str(caught.value).splitlines()[1:] == [
        '  "odd" is a link to "f\\g", which Windows cannot store'
    ]
    with pytest.raises(ClientError, match='\n  "a/b" is a link, and this account may not make'):
        check_names(POSIX, written, [], lambda: False)
    # Nobody asks where there are none.
    check_names(WINDOWS, {"file": FILE}, [], lambda: pytest.fail("asked"))


def test_a_file_whose_letters_change_case_is_removed_before_it_is_written() -> None:
    entry = Entry(file=File(size=1))
    plan = CheckoutPlan({"Notes": entry, "d/b": entry}, ["notes", "D/b", "gone"])
    assert plan.list_first_removals() == []
    assert plan.list_first_removals(folds_case=True) == ["notes", "D/b"]


def test_the_disk_is_asked_what_it_tells_apart(tmp_path: Path) -> None:
    (tmp_path / ".dits").mkdir()
    assert not probe_platform(tmp_path / ".dits").folds_case
    # As a disk that folds case answers.
    (tmp_path / ".DITS").mkdir()
    assert probe_platform(tmp_path / ".dits").folds_case

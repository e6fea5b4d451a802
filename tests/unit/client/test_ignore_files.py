"""The ignore files of a folder: which count, and what the largest ones cost."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from dits_client.workspace.ignore import IgnoreRules
from dits_client.workspace.ignore_files import MAX_IGNORE_BYTES, MAX_TOTAL_BYTES, read_rules
from dits_client.workspace.scan import scan_directory
from tests.support.snapshots import write_old_files


def list_files(root: Path, warnings: list[str]) -> set[str]:
    """The files that the folder has, but for the rules themselves."""
    found = scan_directory(root, warnings.append)
    names = {each.join_path(name) for each in found for name in each.names}
    return {name for name in names if name.rpartition("/")[2] in ("x", "y")}


def test_links_and_files_that_are_too_long_do_not_count(tmp_path: Path) -> None:
    write_old_files(tmp_path, {"long/.ditsignore": b"x\n" + b"#" * MAX_IGNORE_BYTES})
    write_old_files(tmp_path, {"link/.ditsignore": "../good/.ditsignore"})
    write_old_files(tmp_path, {"good/.ditsignore": b"x\n" + b"#" * (MAX_IGNORE_BYTES - 2)})
    write_old_files(tmp_path, {f"{name}/x": b"1" for name in ("long", "link", "good", "file")})
    (tmp_path / "file/.ditsignore").mkdir()
    warnings: list[str] = []
    assert list_files(tmp_path, warnings) == {"long/x", "link/x", "file/x"}
    assert warnings == [
        '"link/.ditsignore" is a link: its patterns do not count',
        '"long/.ditsignore" has more than 65,536 bytes: its patterns do not count',
    ]
    rules = read_rules(tmp_path)
    assert {name for name in ("long/x", "link/x", "good/x") if rules.cover(name)} == {"good/x"}


def test_folders_whose_names_are_spelled_in_another_way_have_rules(tmp_path: Path) -> None:
    """As macOS spells them: paths of the repository are in NFC."""
    spelled = unicodedata.normalize("NFD", "Küche/Töpfe")
    write_old_files(tmp_path, {f"{spelled}/.ditsignore": b"x\n", f"{spelled}/x": b"1"})
    assert read_rules(tmp_path).cover("Küche/Töpfe/x")
    assert list_files(tmp_path, []) == set()


def test_files_that_are_too_much_together_do_not_count(tmp_path: Path) -> None:
    count = MAX_TOTAL_BYTES // MAX_IGNORE_BYTES
    for number in range(count + 1):
        text = b"x\n#%02d" % number
        write_old_files(tmp_path, {f"{number:02d}/.ditsignore": text.ljust(MAX_IGNORE_BYTES)})
        write_old_files(tmp_path, {f"{number:02d}/x": b"1", f"{number:02d}/y": b"2"})
        # The same text in many folders counts once.
        write_old_files(tmp_path, {f"{number:02d}/z/.ditsignore": b"x\n", f"{number:02d}/z/x": b""})
    warnings: list[str] = []
    found = list_files(tmp_path, warnings)
    assert len(warnings) == 2 + count
    assert {f"{count:02d}/x", f"{count:02d}/y"} <= found


@pytest.mark.parametrize(
    "line", ["aa\n!b\n", "*{0}*x{0}*\n", "*a*b*c*d/**/e\n", "[a-z][!b]*[0-9]**/x\n"]
)
def test_the_longest_files_can_be_used(line: str) -> None:
    text = "".join(line.format(number) for number in range(MAX_IGNORE_BYTES // len(line)))
    rules = IgnoreRules(text[:MAX_IGNORE_BYTES])
    assert not rules.matches("some/path/of.exr", is_directory=False)

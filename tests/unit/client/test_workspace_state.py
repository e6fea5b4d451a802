"""The state of a folder, damaged or of a newer client: one sentence, no traceback; what has its name."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

from dits_client.atomic_file import replace_file
from dits_client.errors import ClientError
from dits_client.workspace.journal import CheckoutJournal, CheckoutTarget
from dits_client.workspace.scan import scan_directory
from dits_client.workspace.state import CHECKS, WorkspaceState
from dits_client.workspace.workspace import Workspace
from tests.support.snapshots import write_old_files

HASH = "a" * 64


def write_state(root: Path, text: str) -> None:
    (root / ".dits").mkdir(exist_ok=True)
    (root / ".dits/state.json").write_text(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"branch": None}, {"server": 1}, {"head": "zz"}, {"tree": "ab"}, {"tree": None},
        {"waiting": None}, {"waiting": {"a": 1}}, {"waiting": {"a": "zz"}}, {"gone": []},
        {"untracked": "a"}, {"untracked": [1]}, {"included": {"a": "x"}}, {"included": {"a": -1}},
        {"included": {"a": True}}, {"lock_readonly": 1},
    ],
)  # fmt: skip
def test_what_is_damaged_is_said_to_be(tmp_path: Path, wrong: dict[str, Any]) -> None:
    good = asdict(WorkspaceState("here", "ada/film", "main", HASH, HASH, waiting={"a": HASH}))
    write_state(tmp_path, json.dumps(good))
    assert Workspace.locate(tmp_path).state.waiting == {"a": HASH}
    write_state(tmp_path, json.dumps(good | wrong))
    with pytest.raises(ClientError, match="is damaged"):
        Workspace.locate(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "\x00", '{"server": "x"}', "[" * 100_000])
def test_what_is_no_state(tmp_path: Path, text: str) -> None:
    write_state(tmp_path, text)
    with pytest.raises(ClientError, match="is damaged"):
        Workspace.locate(tmp_path)


def test_every_field_is_checked() -> None:
    assert CHECKS.keys() == {each.name for each in fields(WorkspaceState)}


def test_the_folder_of_a_newer_client_is_left_alone(tmp_path: Path) -> None:
    good = asdict(WorkspaceState("here", "ada/film", "main"))
    write_state(tmp_path, json.dumps(good | {"sparse": {}}))
    with pytest.raises(ClientError, match="a newer dits has written") as caught:
        Workspace.locate(tmp_path)
    assert '"sparse"' in str(caught.value)


def test_a_line_of_the_journal_that_is_damaged_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "checkout"
    rules = ("%zz", "[]", "1", "%7B%22a%22%3A%22x%22%7D", "[" * 100_000)
    lines = [f"{HASH} {HASH} main {text}" for text in rules]
    lines += [f"{'z' * 64} {HASH} main", f"{HASH} {HASH} main %7B%22a%22%3Anull%7D"]
    path.write_text("".join(f"\n{line}\n" for line in lines))
    (target,) = CheckoutJournal(path).list_targets()
    assert (target.commit, target.branch) == (HASH, "main")
    path.write_bytes(b"\xff\n\n")
    assert CheckoutJournal(path).exists()
    assert CheckoutJournal(path).list_targets() == []


@pytest.mark.parametrize("before", [None, ""])
def test_a_checkout_that_cannot_be_noted_was_not_begun(
    tmp_path: Path, before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkout"
    if before is not None:
        path.write_text(before)

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(ClientError, match=r'cannot write ".*/checkout": no space left'):
            CheckoutJournal(path).add_target(CheckoutTarget("1" * 64, "2" * 64))
        with pytest.raises(OSError, match=r"No space left on device: '.*/state.json'"):
            replace_file(tmp_path / "state.json", b"{}")
    assert (path.read_text() if path.exists() else None) == before


def test_what_only_is_called_like_the_own_folder_is_named(tmp_path: Path) -> None:
    """`sub/inner` is a folder of its own; `.dits` on top may have no state yet."""
    names = [".dits/x", "a", "sub/.dits", "sub/b", "c/.DITS/x", "sub/inner/.dits/state.json"]
    write_old_files(tmp_path, dict.fromkeys(names, b"1"))
    top = scan_directory(tmp_path)[0]
    assert sorted(top.unusable) == ["c/.DITS", "sub/.dits"]
    assert (
        "where clients keep their own state: rename it; with all in it" in top.unusable["c/.DITS"]
    )
    write_old_files(tmp_path, {".ditsignore": b".dits\n.DITS\n"})
    assert not scan_directory(tmp_path)[0].unusable

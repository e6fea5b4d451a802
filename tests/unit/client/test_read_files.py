"""What a change could leave as it was, by the clock of the disk."""

import os
import time
from pathlib import Path

import pytest

from dits_client.workspace.index import UNKNOWN_STAT, Index
from dits_client.workspace.read_files import is_racy, read_disk_clock
from tests.support.snapshots import OLD, take_snapshot, write_old_files


@pytest.mark.parametrize("name", ["st_mtime_ns", "st_ctime_ns"])
def test_racy_is_what_a_later_change_could_leave_the_same(name: str) -> None:
    now = 1_700_000_000_123_456_789

    def is_racy_at(time_ns: int) -> bool:
        times = {"st_mtime_ns": OLD, "st_ctime_ns": OLD, name: time_ns}
        return is_racy(os.stat_result((0,) * 10, times), now)

    assert is_racy_at(now)
    assert is_racy_at(now - 10_000_000)
    assert not is_racy_at(now - 30_000_000)
    # A file system that counts whole seconds.
    assert is_racy_at(1_699_999_999_000_000_000)
    assert not is_racy_at(1_699_999_990_000_000_000)


@pytest.mark.parametrize("years", [-8, 8])
def test_the_clock_of_the_disk_says_what_is_racy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, years: int
) -> None:
    """A file server may have another time than this machine."""
    off = years * 365 * 86400 * 10**9
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + off)
    (tmp_path / ".dits").mkdir()
    write_old_files(tmp_path, {"a": b"1"}, age=False)
    before = (tmp_path / "a").stat().st_mtime_ns
    found = read_disk_clock(tmp_path)
    write_old_files(tmp_path, {"b": b"1"}, age=False)
    assert before <= found <= (tmp_path / "b").stat().st_mtime_ns
    index = Index()
    take_snapshot(tmp_path, index, later=0)
    assert UNKNOWN_STAT in index.records[""].stats
    assert take_snapshot(tmp_path, index).files_read == 2
    assert take_snapshot(tmp_path, index).files_read == 0

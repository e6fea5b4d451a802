"""Journeys of the client once more, by paths, as on Windows: it has no descriptors of directories."""

# ruff: noqa: F401 - the tests of others are collected here, too, and their fixtures found.

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dits_client.disk.paths import PathDisk
from tests.integration.client.test_edits_meanwhile import (
    test_a_link_in_place_of_a_folder_leads_no_read_out_of_it,
    test_an_edit_during_a_pull_is_kept,
    test_an_edit_during_a_restore_is_kept,
)
from tests.integration.client.test_interrupted_checkouts import (
    test_going_back_from_a_commit_that_is_gone_pushes_nothing_of_it,
    test_what_a_broken_pull_wrote_is_not_taken_for_changes,
)
from tests.integration.client.test_pulls_in_the_way import (
    test_folders_with_files_do_not,
    test_folders_without_files_give_way,
    test_names_in_nfd_are_written_over_as_the_disk_spells_them,
    test_the_folder_where_the_user_stands_stays,
    two,
)
from tests.integration.client.test_random_walks import walk
from tests.integration.client.test_readonly_files import (
    one,
    test_who_writes_without_a_lock_is_told,
)
from tests.integration.client.test_switch import (
    both,
    test_a_killed_switch_goes_on,
    test_an_edit_in_a_half_switched_folder_is_kept,
    test_there_and_back,
)
from tests.support.api import Api
from tests.support.disks import use_disk


@pytest.fixture(autouse=True)
def by_paths() -> Iterator[None]:
    with use_disk(PathDisk()):
        yield


@pytest.mark.parametrize("seed", [5, 6, 7])
async def test_nothing_is_lost_on_a_walk(api: Api, tmp_path: Path, seed: int) -> None:
    await walk(api, tmp_path, seed, 40, kills=seed == 5)

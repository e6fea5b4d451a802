"""The embedded PostgreSQL where it cannot start: the sentence says why."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from shared.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresError
from tests.support.embedded_postgres import (
    AS_ROOT,
    BIN,
    SERVE,
    as_user,
    closed_above,
    copy_folder,
    processes_in,
    refusal,
)

# A container's root: it owns files, but permissions bind the programs that it starts.
WITHOUT_OVERRIDE = f"""
import ctypes
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0  # PR_CAPBSET_DROP
{SERVE}
"""


@pytest.mark.parametrize("version", ["14", "99"])
def test_a_cluster_of_another_age_is_left_alone(folder: Path, version: str) -> None:
    (folder / "cluster/PG_VERSION").write_text(f"{version}\n")
    sentence = f"was made by PostgreSQL {version} and cannot be opened by PostgreSQL 1"
    with pytest.raises(EmbeddedPostgresError, match=sentence):
        EmbeddedPostgres(folder).start()
    assert processes_in(folder) == []


def test_a_cluster_without_its_password_is_not_started(folder: Path) -> None:
    (folder / "password").unlink()
    with pytest.raises(EmbeddedPostgresError, match="/password: No such file"):
        EmbeddedPostgres(folder).start()
    assert processes_in(folder) == []


def test_a_wrong_setting_is_told_in_the_words_of_postgres(folder: Path) -> None:
    server = EmbeddedPostgres(folder, settings={"shared_bufers": "1GB"})
    sentence = 'did not start: unrecognized configuration parameter "shared_bufers"'
    with pytest.raises(EmbeddedPostgresError, match=sentence):
        server.start()
    assert server.poll() is None
    with EmbeddedPostgres(folder):
        assert processes_in(folder)


def test_a_folder_that_cannot_be_is_named(scratch: Path) -> None:
    (scratch / "file").touch()
    with pytest.raises(EmbeddedPostgresError, match=r"cannot use .*/file/data: Not a directory"):
        EmbeddedPostgres(scratch / "file/data").start()


@pytest.mark.skipif(not AS_ROOT, reason="only root can be short of capabilities")
def test_a_root_that_cannot_open_doors_names_the_closed_one(made: Path) -> None:
    with tempfile.TemporaryDirectory() as closed:
        copy_folder(made, Path(closed, "data"))
        sentence = refusal(Path(closed, "data"), WITHOUT_OVERRIDE)
    # The programs come first: a clone made for a test run may itself lie in a closed folder.
    named = closed_above(BIN.resolve()) or closed
    assert sentence.endswith(f"may not use {named}.")


@pytest.mark.skipif(not AS_ROOT, reason="an ordinary user cannot become another one")
def test_a_user_without_an_account_is_told_so() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, 54321, 54321)
        sentence = refusal(Path(folder, "data"), **as_user(54321))
    assert sentence.endswith("could not look up effective user ID 54321: user does not exist.")


def test_without_its_programs_it_names_the_way_out(scratch: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r"no initdb in .*DITS_DATABASE_URL"):
        EmbeddedPostgres(scratch, bin_dir=scratch).start()
    wheelless = SERVE.replace(", bin_dir=Path(sys.argv[2])", "").replace(
        "import sys", "import sys; sys.modules['embedded_postgres'] = None", 1
    )
    sentence = refusal(scratch, wheelless)
    assert "DITS_DATABASE_URL" in sentence
    assert "\n" not in sentence

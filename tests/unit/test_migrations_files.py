"""The migration files: what the runner reads out of them, and what it refuses to read."""

import hashlib

import pytest

from migrations import dump, runner
from migrations.runner import Migration, MigrationError


def step(version: int, sql: str = "-- A step\nSELECT 1;\n", name: str = "step") -> Migration:
    return Migration.parse(f"{version:04}_{name}.sql", sql)


def test_the_files_are_numbered_without_gaps_and_described() -> None:
    found = runner.discover()
    assert [migration.version for migration in found] == list(range(1, len(found) + 1))
    assert found[0].name == "0001_initial_schema.sql"
    assert found[0].description == "Initial schema"
    assert all(migration.description for migration in found)


def test_released_files_have_the_checksums_that_were_recorded() -> None:
    assert dump.checksums() == dump.CHECKSUMS.read_text(), (
        "A file was added (run `python -m migrations.dump`) or a released one was edited."
    )


def test_the_description_is_the_first_sentence() -> None:
    text = "-- Locks, and who\n-- holds them. More\n-- of it.\n--\n-- Cures: much.\nSELECT 1;\n"
    assert step(1, text).description == "Locks, and who holds them"


def test_the_checksum_is_that_of_the_text_whatever_the_line_ends() -> None:
    text = "-- A step\nSELECT 1;\n"
    assert step(1, text).checksum == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    assert step(1, text.replace("\n", "\r\n")) == step(1, text)
    assert step(1, text + " ").checksum != step(1, text).checksum


def test_order_is_by_number() -> None:
    assert [m.version for m in runner.ordered([step(2), step(3), step(1)])] == [1, 2, 3]
    assert runner.ordered([]) == []


@pytest.mark.parametrize(
    ("versions", "sentence"),
    [
        ([1, 3], "0003_step.sql stands where migration 2 is expected."),
        ([2], "0002_step.sql stands where migration 1 is expected."),
        ([1, 2, 2], "0002_step.sql stands where migration 3 is expected."),
        ([0, 1], "0000_step.sql stands where migration 1 is expected."),
    ],
)
def test_gaps_and_duplicates_are_refused(versions: list[int], sentence: str) -> None:
    with pytest.raises(MigrationError) as refusal:
        runner.ordered(step(version) for version in versions)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize("name", ["1_step.sql", "0001-step.sql", "0001_Step.sql", "0001_step.sql~"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(MigrationError, match=r"is not named like 0001_initial_schema\.sql"):
        Migration.parse(name, "-- A step\n")


@pytest.mark.parametrize("sql", ["", "SELECT 1;", "--\nSELECT 1;"])
def test_a_file_without_a_description_is_refused(sql: str) -> None:
    with pytest.raises(MigrationError, match="does not begin with a comment"):
        step(1, sql)


def test_the_dump_is_normalised() -> None:
    raw = (
        "\\restrict abc\n-- Dumped from database version 18.6\n\nSET statement_timeout = 0;\n\n\n"
        "CREATE TABLE t (\n    id bigint CONSTRAINT t_old_id_not_null NOT NULL\n);\n\n\\unrestrict abc\n"
    )
    assert dump.normalise(raw).endswith("edit.\n\nCREATE TABLE t (\n    id bigint NOT NULL\n);\n")

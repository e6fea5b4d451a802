"""The migration files: what the runner reads out of them, and what it refuses to read."""

import hashlib
import re

import pytest

from migrations import dump
from migrations.files import FunctionFile, MigrationError, Step, discover, sort_steps
from tests.support.sql_text import called_functions, defined_functions, without_comments

FILES = discover()
NAMES = [name for file in FILES.functions for name, _ in defined_functions(file.sql)]


def step(version: int, sql: str = "-- A step\nSELECT 1;\n", name: str = "step") -> Step:
    return Step.parse(f"{version:04}_{name}.sql", sql)


def test_the_files_are_numbered_without_gaps_and_described() -> None:
    found = FILES.steps
    assert [step.version for step in found] == list(range(1, len(found) + 1))
    assert found[0].name == "0001_initial_schema.sql"
    assert found[0].description == "Initial schema"
    assert all(step.description for step in found)


def test_the_files_of_functions_are_named_by_their_path_and_described() -> None:
    names = [file.name for file in FILES.functions]
    assert names == sorted(names)
    assert "functions/auth/access.sql" in names
    assert all(file.sql.startswith("-- ") for file in FILES.functions)


def test_a_file_of_functions_is_known_by_its_text() -> None:
    text = "-- Usage\nCREATE OR REPLACE ...\n"
    file = FunctionFile.parse("functions/repo/usage.sql", text)
    assert file.checksum == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    assert FunctionFile.parse(file.name, text.replace("\n", "\r\n")) == file


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
    assert [s.version for s in sort_steps([step(2), step(3), step(1)])] == [1, 2, 3]
    assert sort_steps([]) == ()


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
        sort_steps(step(version) for version in versions)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize("name", ["1_step.sql", "0001-step.sql", "0001_Step.sql", "0001_step.sql~"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(MigrationError, match=r"is not named like 0001_initial_schema\.sql"):
        Step.parse(name, "-- A step\n")


@pytest.mark.parametrize("sql", ["", "SELECT 1;", "--\nSELECT 1;"])
def test_a_file_without_a_description_is_refused(sql: str) -> None:
    with pytest.raises(MigrationError, match="does not begin with a comment"):
        step(1, sql)


@pytest.mark.parametrize("file", FILES.functions, ids=lambda file: file.name)
def test_a_file_of_functions_can_be_applied_any_number_of_times(file: FunctionFile) -> None:
    code = re.sub(r"\$\$.*?\$\$", "", without_comments(file.sql), flags=re.DOTALL)
    statements = [statement.strip() for statement in code.split(";")]
    allowed = ("CREATE OR REPLACE FUNCTION ", "REVOKE EXECUTE ON FUNCTION ")
    assert [s for s in statements if s and not s.startswith(allowed)] == []


def test_each_function_stands_in_one_file() -> None:
    assert len(NAMES) == len(set(NAMES))
    # The specification's three, which the files replace.
    steps = {name for step in FILES.steps for name, _ in defined_functions(step.sql)}
    assert steps & set(NAMES) == {
        "increment_chunk_ref",
        "decrement_chunk_ref",
        "update_repo_stats",
    }


@pytest.mark.parametrize("step", FILES.steps, ids=lambda step: step.name)
def test_a_step_does_not_call_functions_that_come_after_it(step: Step) -> None:
    assert called_functions(step.sql, NAMES) == set()


def test_every_kind_of_call_is_seen() -> None:
    for call in (
        "SELECT audit (1)",
        "ALTER TABLE t ALTER c SET DEFAULT audit()",
        "CREATE TRIGGER t AFTER INSERT ON t EXECUTE FUNCTION audit('a')",
        "ALTER FUNCTION audit(INT) RENAME TO x",
    ):
        assert called_functions(call, ["audit"]) == {"audit"}
    for other in ("-- audit()", "SELECT my_audit()", "INSERT INTO audit_log", "SELECT audit"):
        assert called_functions(other, ["audit"]) == set()


def test_the_dump_is_normalised() -> None:
    raw = (
        "\\restrict abc\n-- Dumped from database version 18.6\n\nSET statement_timeout = 0;\n\n\n"
        "CREATE TABLE t (\n    id bigint CONSTRAINT t_old_id_not_null NOT NULL\n);\n\n\\unrestrict abc\n"
    )
    assert dump.normalise(raw).endswith("edit.\n\nCREATE TABLE t (\n    id bigint NOT NULL\n);\n")

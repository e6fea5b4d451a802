"""Closed lists are complete: queries, ownership of tables."""

from __future__ import annotations

import re
from pathlib import Path

import asyncpg
import pytest

from migrations.files import FunctionFile, Step, discover
from shared.db.sql import Queries
from tests.support.sql_text import shaped_tables, without_comments, written_tables

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for folder in ("services", "shared") for path in (ROOT / folder).rglob("*.py")
)
SQL_FILES = sorted(
    path for folder in ("services", "shared") for path in (ROOT / folder).rglob("*.sql")
)
FILES = discover()

OWNERS = {
    # Operators' commands write nothing themselves.
    "admin": "",
    "auth": """users user_credentials sessions api_tokens ssh_keys user_keys organizations
               organization_members organization_invitations teams team_members notifications
               notification_preferences inboxes branch_follows audit_log one_time_tokens login_throttles
               namespaces former_names former_session_tokens token_decisions""",
    "repo": """repositories former_repository_names repository_transfers repository_stats
               repository_collaborators team_repositories repository_settings branches tags commits
               manifests assets obliterations webhooks webhook_deliveries usage_metrics usage_writers
               billing_snapshots former_heads released_histories""",
    "chunk": """chunks chunk_refs released_lists repository_storage storage_reservations chunk_locations
                packs pack_uploads chunk_erasures chunk_restores object_deletions maintenance_runs
                stores store_stamps due_copies""",
    "lock": "locks lock_history lock_clocks",
    "shared": """schema_migrations schema_functions deployment jobs dead_letter_jobs job_schedules events
                 event_cursors event_horizon audit_chains audit_seals dead_events idempotency_keys""",
}


@pytest.mark.parametrize("path", SQL_FILES, ids=lambda p: str(p.relative_to(ROOT)))
async def test_every_query_prepares(path: Path, read_only_dsn: str) -> None:
    connection = await asyncpg.connect(read_only_dsn)
    try:
        for statement in Queries(path).statements.values():
            await connection.prepare(statement.text)
    finally:
        await connection.close()


@pytest.mark.parametrize("path", SQL_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_query_is_used_by_its_twin(path: Path) -> None:
    twin = path.with_suffix(".py").read_text()
    for name in Queries(path).statements:
        assert re.search(rf"\bQ\.(bind\.)?{name}\b", twin), f"nothing uses {name}"


@pytest.mark.parametrize("path", SQL_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_service_writes_only_its_own_tables(path: Path) -> None:
    owner = path.relative_to(ROOT).parts[1] if path.is_relative_to(ROOT / "services") else "shared"
    for statement in Queries(path).statements.values():
        assert written_tables(statement.text) <= set(OWNERS[owner].split())


# What is shared may write the tables of all, as partitions and the audit log need it.
@pytest.mark.parametrize("file", FILES.functions, ids=lambda file: file.name)
def test_functions_write_only_tables_of_their_owner(file: FunctionFile) -> None:
    owner = file.name.split("/")[1]
    assert owner in OWNERS
    if owner != "shared":
        assert written_tables(file.sql) <= set(OWNERS[owner].split())
        dynamic = re.search(r"(?<!REVOKE )\bEXECUTE\b", without_comments(file.sql))
        assert dynamic is None, "what it writes cannot be read here"


# The first step is the specification.
@pytest.mark.parametrize("step", FILES.steps[1:], ids=lambda step: step.name)
def test_a_step_is_about_tables_of_its_owner(step: Step) -> None:
    owner = re.split(r"[_.]", step.name)[1]
    assert owner in OWNERS
    if owner != "shared":
        assert written_tables(step.sql) | shaped_tables(step.sql) <= set(OWNERS[owner].split())


def test_rows_of_the_largest_tables_are_added_under_the_locks_that_their_triggers_rely_on() -> None:
    """A new place needs the reasoning of docs/decisions/0019-small-files.md."""
    adding = re.compile(r"INSERT INTO (chunks|chunk_refs|assets)\b")
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in SQL_FILES}
    texts |= {file.name: file.sql for file in FILES.functions}
    found = {name: adding.findall(without_comments(text)) for name, text in texts.items()}
    assert {name: tables for name, tables in found.items() if tables} == {
        "services/chunk/catalog/chunk_copy.sql": ["chunk_refs"],
        "services/chunk/packs/pack_finalization.sql": ["chunks", "chunk_refs"],
        "services/repo/push/assets.sql": ["assets"],
    }


async def test_every_table_has_one_owner(read_only_dsn: str) -> None:
    connection = await asyncpg.connect(read_only_dsn)
    try:
        rows = await connection.fetch(
            """SELECT relname FROM pg_class
               WHERE relkind IN ('r', 'p') AND NOT relispartition
                 AND relnamespace = 'public'::regnamespace"""
        )
    finally:
        await connection.close()
    owned = [table for tables in OWNERS.values() for table in tables.split()]
    assert len(owned) == len(set(owned))
    assert {row["relname"] for row in rows} == set(owned)


def test_no_sql_stands_in_python() -> None:
    statement = re.compile(r"""["']\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM)\s""")
    allowed = {"embedded.py", "cluster.py", "up.py"}
    found = [p.name for p in SOURCES if p.name not in allowed and statement.search(p.read_text())]
    assert not found

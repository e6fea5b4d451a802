"""No question about locks reads all of them, whatever the planner knows and whenever it planned."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.lock.background import expiry
from services.lock.locks import changes, ends, handover, history, reading, steal
from services.lock.locks.rules import prefix_end
from services.lock.server import PLANNER
from tests.integration.schema.rows import Connection, add_lock, add_repo, add_user, new_id

HOUR = timedelta(hours=1)
# Thirty thousand locks fill some thousand pages, and as many again in each index.
MANY = 15_000
FEW = 500

# repo, user, paths, lock and its fence, now.
Asked = dict[str, Any]
QUESTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "judge": (
        "SELECT * FROM judge_locks($1, $2, $3, 'exclusive', $4, '{}')",
        ("repo", "paths", "user", "now"),
    ),
    "acquire": (
        "SELECT * FROM acquire_locks($1, $2, '1 h', 'exclusive', $3, NULL, false, '15 min')",
        ("repo", "paths", "user"),
    ),
    "release": ("SELECT * FROM release_locks($1, $2, ARRAY[$3::uuid])", ("repo", "user", "lock")),
    "renew": (
        "SELECT * FROM renew_locks($1, $2, ARRAY[$3::uuid], ARRAY[$4::bigint], $5, $6, '15 min')",
        ("repo", "user", "lock", "fence", "now", "later"),
    ),
    "conflicts": ("SELECT * FROM lock_conflicts($1, $2, $3)", ("repo", "user", "paths")),
    "missing": ("SELECT locks_missing($1, $2, $3)", ("repo", "user", "paths")),
    "stale": (
        "SELECT locks_stale($1, $2, ARRAY[$3::uuid], ARRAY[$4::bigint])",
        ("repo", "user", "lock", "fence"),
    ),
    "released by a push": (
        "SELECT * FROM release_pushed_locks($1, $2, $3)",
        ("repo", "user", "paths"),
    ),
    "own": (changes.Q.own_locks, ("repo", "locks", "user", "now")),
    "named": (steal.Q.named_locks, ("repo", "locks", "now")),
    "one": (handover.Q.named_lock, ("repo", "lock", "now")),
    "obstacle": (handover.Q.obstacle, ("repo", "user", "path", "type", "now", "lock")),
    "checked": (reading.Q.check_paths, ("repo", "paths", "user", "now")),
    "got": (reading.Q.get_lock, ("repo", "lock", "now")),
    "listed": (
        reading.Q.list_locks,
        ("repo", "now", "path", "fence", "end", "page", "expired", "nobody"),
    ),
    "listed of a user": (
        reading.Q.list_locks_of,
        ("repo", "now", "path", "fence", "end", "page", "expired", "user"),
    ),
    "expired": (ends.Q.end_expired, ("repo", "now", "page")),
    "due": (expiry.Q.due, ("warning",)),
    "warned of": (expiry.Q.warn, ("repo", "now", "warning", "page")),
    "time": (history.Q.lock_time, ("repo",)),
    "history": (history.Q.history, ("repo", "later", "fence", "action", "page")),
    "history of a path": (
        history.Q.history_of_path,
        ("repo", "later", "fence", "action", "page", "path", "nobody"),
    ),
    "history of a user": (
        history.Q.history_of_user,
        ("repo", "later", "fence", "action", "page", "user"),
    ),
    "history of a lock": (
        history.Q.history_of_lock,
        ("repo", "later", "fence", "action", "page", "lock", "nothing", "nobody"),
    ),
}

PUBLISHED = {"conflicts", "missing", "stale", "released by a push"}


async def fill(conn: Connection, asked: Asked, other: Any) -> None:
    """Many locks of two users."""
    for user, folder in ((asked["user"], "mine"), (other, "theirs")):
        await conn.fetch(
            """SELECT count(*) FROM grant_locks(
                   $1, ARRAY(SELECT $3 || '/' || n FROM generate_series(1, $4::int) n), lock_now($1),
                   now() + interval '1 h', 'exclusive', $2, $2, NULL, NULL, true, '15 min')""",
            *(asked["repo"], user, folder, MANY),
        )


async def buffers(conn: Connection, question: str, asked: Asked) -> int:
    """How many pages a prepared question looks at; nothing is changed."""
    number = list(QUESTIONS).index(question)
    arguments = ", ".join(literal(asked[name]) for name in QUESTIONS[question][1])
    transaction = conn.transaction()
    await transaction.start()
    try:
        # What pushes ask comes from another service, where the planner is left alone.
        for name, value in PLANNER.items() if question not in PUBLISHED else ():
            await conn.execute(f"SET LOCAL {name} = {value}")
        explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT json) EXECUTE"
        [plan] = json.loads(await conn.fetchval(f"{explain} question_{number} ({arguments})"))
    finally:
        await transaction.rollback()
    read: int = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    return read


def literal(value: object) -> str:
    """A value for EXECUTE, which takes no parameters."""
    if value is None or isinstance(value, bool | int):
        return "NULL" if value is None else str(value)
    if isinstance(value, list):
        value = "{" + ",".join(map(str, value)) + "}"
    return f"'{value}'"


def asked_of(repo: Any, user: Any) -> Asked:
    """What a user asks about a repository; the paths, and the lock, come with each question."""
    now = datetime.now(UTC)
    return {
        "repo": repo,
        "user": user,
        "nobody": None,
        "nothing": None,
        "now": now,
        "later": now + 2 * HOUR,
        "warning": timedelta(minutes=15),
        "type": "exclusive",
        "action": "",
        "expired": False,
        "page": 51,
        "path": "mine/7",
        "end": prefix_end(""),
        "fence": 0,
    }


async def delete_many(conn: Connection) -> None:
    """Deletes all locks; the statistics then say that there are none, of many pages."""
    await conn.execute("DELETE FROM locks")
    await conn.execute("VACUUM (ANALYZE, TRUNCATE false) locks, lock_history")
    assert await conn.fetchval("SELECT reltuples FROM pg_class WHERE relname = 'locks'") == 0


async def prepare_questions(conn: Connection, asked: Asked) -> None:
    """Prepares the questions, and asks each so often that its plan is kept."""
    none = await new_id(conn, "SELECT gen_random_uuid()")
    for index, (question, (query, _)) in enumerate(QUESTIONS.items()):
        await conn.execute(f"PREPARE question_{index} AS {query}")
        for number in range(8):
            paths = [f"shots/{number}/a", f"props/{number}"]
            await buffers(conn, question, {**asked, "paths": paths, "lock": none, "locks": [none]})


@pytest.mark.parametrize("statistics", ["none", "old", "right"])
async def test_no_question_reads_all_locks(
    conn: Connection, statistics: str, subtests: pytest.Subtests
) -> None:
    """The plan was made when there were hardly any locks, or all were deleted, or it knows the truth."""
    for table in ("locks", "lock_history"):
        await conn.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    ada, bob = await add_user(conn, "ada"), await add_user(conn, "bob")
    asked = asked_of(await add_repo(conn, ada), ada)
    if statistics == "old":
        await fill(conn, asked, bob)
        await delete_many(conn)
    await add_lock(conn, asked["repo"], bob, "shots/")
    await prepare_questions(conn, asked)
    await fill(conn, asked, bob)
    if statistics == "right":
        await conn.execute("VACUUM ANALYZE")
    lock = await conn.fetchrow("SELECT id, fence FROM locks WHERE path = 'mine/7'")
    assert lock is not None
    found = {"lock": lock["id"], "locks": [lock["id"]], "fence": lock["fence"]}
    paths = ["mine/7", "theirs/7", "shots/7/a"]
    for question in QUESTIONS:
        with subtests.test(question):
            assert await buffers(conn, question, {**asked, **found, "paths": paths}) < FEW

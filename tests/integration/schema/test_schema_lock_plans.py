"""No question about locks reads all of them, whatever the planner knows and whenever it planned."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.lock.background import expiry
from services.lock.locks import (
    acquisition,
    ends,
    grants,
    history,
    named_lock,
    release_locks,
    renew_locks,
    steal_locks,
)
from services.lock.locks.rules import compute_prefix_end
from services.lock.rpc import lock_service
from services.lock.server import PLANNER
from shared.db.sql import Queries
from tests.integration.schema.rows import Connection, add_lock, add_repo, add_user, new_id

HOUR = timedelta(hours=1)
# Thirty thousand locks fill some thousand pages, and as many again in each index.
MANY = 15_000
FEW = 500

Asked = dict[str, Any]
Question = tuple[str, tuple[str, ...]]


def ask(queries: Queries, name: str, **keys: str) -> Question:
    """Returns a statement of the service, and which of the values asked its parameters get."""
    statement = queries.statement(name)
    return statement.text, tuple(keys.get(name, name) for name in statement.parameters)


ONE_LOCK = ("repository_id", "lock_id", "now")
HISTORY = {"at": "later", "count": "page"}
# A question, and the names of the values that its parameters get.
QUESTIONS: dict[str, Question] = {
    "judge": ask(grants.Q, "judge_locks", replaced="nothing_replaced"),
    "acquire": ask(acquisition.Q, "acquire_locks"),
    "release": (release_locks.Q.release_locks, ("repository_id", "user_id", "lock_ids")),
    "renew": ask(renew_locks.Q, "renew_locks", expires_at="later"),
    "conflicts": (
        "SELECT * FROM lock_conflicts($1, $2, $3)",
        ("repository_id", "user_id", "paths"),
    ),
    "missing": ("SELECT locks_missing($1, $2, $3)", ("repository_id", "user_id", "paths")),
    "counted": ("SELECT count_locks($1, $2)", ("repository_id", "page")),
    "places": (
        "SELECT * FROM locked_places($1, $2, $3, $4, $5)",
        ("repository_id", "user_id", "forbids", "theirs", "page"),
    ),
    "stale": (
        "SELECT locks_stale($1, $2, $3, $4)",
        ("repository_id", "user_id", "lock_ids", "fences"),
    ),
    "released by a push": (
        "SELECT * FROM release_pushed_locks($1, $2, $3)",
        ("repository_id", "user_id", "paths"),
    ),
    "own": (renew_locks.Q.own_locks, ("repository_id", "lock_ids", "user_id", "now")),
    "named": ask(steal_locks.Q, "named_locks"),
    "one": (named_lock.Q.named_lock, ONE_LOCK),
    "checked": ask(lock_service.Q, "check_paths"),
    "got": ask(lock_service.Q, "get_lock"),
    "listed": ask(lock_service.Q, "list_locks", user_id="nobody", count="page"),
    "listed of a user": ask(lock_service.Q, "list_locks_of_user", count="page"),
    "expired": (ends.Q.end_expired_locks, ("repository_id", "now", "page")),
    "due": (expiry.Q.due_repositories, ()),
    "warned of": (expiry.Q.mark_warned_locks, ("repository_id", "now", "page")),
    "time": (history.Q.lock_time, ("repository_id",)),
    "history": ask(history.Q, "history", **HISTORY),
    "history of a path": ask(history.Q, "history_of_path", user_id="nobody", **HISTORY),
    "history of a user": ask(history.Q, "history_of_user", **HISTORY),
    "history of a lock": ask(
        history.Q, "history_of_lock", path="nothing", user_id="nobody", **HISTORY
    ),
}

PUBLISHED = {"conflicts", "missing", "counted", "places", "stale", "released by a push"}


async def fill(conn: Connection, asked: Asked, other: Any) -> None:
    """Many locks of two users."""
    for user, folder in ((asked["user_id"], "mine"), (other, "theirs")):
        await conn.fetch(
            """SELECT count(*) FROM grant_locks(
                   $1, ARRAY(SELECT $3 || '/' || n FROM generate_series(1, $4::int) n), take_lock_mutex($1),
                   now() + interval '1 h', $2, ROW ($2, 'exclusive', NULL, NULL, true)::lock_terms)""",
            *(asked["repository_id"], user, folder, MANY),
        )


async def buffers(conn: Connection, question: str, asked: Asked) -> int:
    """How many pages a prepared question looks at; nothing is changed."""
    number = list(QUESTIONS).index(question)
    literals = ", ".join(literal(asked[name]) for name in QUESTIONS[question][1])
    arguments = f"({literals})" if literals else ""
    transaction = conn.transaction()
    await transaction.start()
    try:
        # What pushes ask comes from another service, where the planner is left alone.
        for name, value in PLANNER.items() if question not in PUBLISHED else ():
            await conn.execute(f"SET LOCAL {name} = {value}")
        explain = "EXPLAIN (ANALYZE, BUFFERS, FORMAT json) EXECUTE"
        [plan] = json.loads(await conn.fetchval(f"{explain} question_{number} {arguments}"))
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


def asked_values(repository_id: UUID, user_id: UUID) -> Asked:
    """Values of all parameters but those that name locks and paths."""
    now = datetime.now(UTC)
    return {
        "repository_id": repository_id,
        "owner": "ada",
        "user_id": user_id,
        "holder_id": user_id,
        "nobody": None,
        "nothing": None,
        "nothing_replaced": [],
        "reason": None,
        "release_on_push": False,
        "ttl": HOUR,
        "now": now,
        "later": now + 2 * HOUR,
        "lock_type": "exclusive",
        "action": "",
        "expired": False,
        "page": 51,
        "path": "mine/7",
        "theirs": "theirs/7",
        "forbids": "forbids",
        "end": compute_prefix_end(""),
    }


def values_of_lock(lock_id: UUID, fence: int) -> Asked:
    """Values of the parameters that name a lock."""
    return {"lock_id": lock_id, "lock_ids": [lock_id], "fence": fence, "fences": [fence]}


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
            await buffers(conn, question, {**asked, "paths": paths, **values_of_lock(none, 0)})


@pytest.mark.parametrize("statistics", ["none", "old", "right"])
async def test_no_question_reads_all_locks(
    conn: Connection, statistics: str, subtests: pytest.Subtests
) -> None:
    """The plan was made when there were hardly any locks, or all were deleted, or it knows the truth."""
    for table in ("locks", "lock_history"):
        await conn.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    ada, bob = await add_user(conn, "ada"), await add_user(conn, "bob")
    asked = asked_values(await add_repo(conn, ada), ada)
    if statistics == "old":
        await fill(conn, asked, bob)
        await delete_many(conn)
    await add_lock(conn, asked["repository_id"], bob, "shots/")
    await prepare_questions(conn, asked)
    await fill(conn, asked, bob)
    if statistics == "right":
        await conn.execute("VACUUM ANALYZE")
    lock = await conn.fetchrow("SELECT id, fence FROM locks WHERE path = 'mine/7'")
    assert lock is not None
    found = values_of_lock(lock["id"], lock["fence"])
    paths = ["mine/7", "theirs/7", "shots/7/a"]
    for question in QUESTIONS:
        with subtests.test(question):
            assert await buffers(conn, question, {**asked, **found, "paths": paths}) < FEW


async def test_of_directories_in_each_other_the_locks_below_are_read_once(conn: Connection) -> None:
    ada = await add_user(conn, "ada")
    asked = asked_values(await add_repo(conn, ada), ada)
    deep = [f"{'d/' * depth}" for depth in range(1, 51)]
    await conn.fetch(
        """SELECT count(*) FROM grant_locks(
               $1, ARRAY(SELECT $3 || n FROM generate_series(1, 1000) n), take_lock_mutex($1),
               now() + interval '1 h', $2, ROW ($2, 'exclusive', NULL, NULL, true)::lock_terms)""",
        *(asked["repository_id"], ada, deep[-1]),
    )
    none = await new_id(conn, "SELECT gen_random_uuid()")
    index = list(QUESTIONS).index("judge")
    await conn.execute(f"PREPARE question_{index} AS {QUESTIONS['judge'][0]}")
    values = {**asked, **values_of_lock(none, 0)}
    alone = await buffers(conn, "judge", {**values, "paths": deep[:1]})
    assert await buffers(conn, "judge", {**values, "paths": deep}) < 2 * alone

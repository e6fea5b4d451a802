"""The rules of the database say the same as the model of the linearizability checker."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import PurePosixPath
from uuid import UUID

import asyncpg

from tests.linearizability import lock_model
from tests.linearizability.operations import ADVISORY, EXCLUSIVE, SHARED, Held

ADA, BOB = "ada", "bob"
IDS = {ADA: UUID(int=1), BOB: UUID(int=2)}
TYPES = (EXCLUSIVE, SHARED, ADVISORY)
NAMES = [
    "/".join(parts) + end
    for length in (1, 2, 3)
    for parts in itertools.product(("a", "b", "ab"), repeat=length)
    for end in ("", "/")
]


async def answers(
    dsn: str, query: str, questions: Sequence[tuple[object, ...]], *more: object
) -> list[bool]:
    """The answers of a function to many questions."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(query, *map(list, zip(*questions, strict=True)), *more)
    finally:
        await connection.close()
    return [row[0] for row in rows]


def is_below(top: str, name: str) -> bool:
    return top.endswith("/") and PurePosixPath(top) in PurePosixPath(name).parents


async def test_paths_that_meet(dsn: str) -> None:
    pairs = list(itertools.product(NAMES, NAMES))
    found = await answers(
        dsn, "SELECT lock_paths_meet(a, b) FROM unnest($1::text[], $2::text[]) AS t (a, b)", pairs
    )
    for (path, other), meets in zip(pairs, found, strict=True):
        expected = path == other or is_below(path, other) or is_below(other, path)
        assert meets == lock_model.overlap(path, other) == expected, (path, other)


async def test_locks_that_exclude_each_other(dsn: str) -> None:
    places = [("d/", "d/"), ("d/", "d/f"), ("d/f", "d/"), ("d/f", "d/f"), ("d/f", "d/g")]
    cases = list(itertools.product(places, (ADA, BOB), TYPES, TYPES))
    found = await answers(
        dsn,
        """SELECT lock_excludes(held, owner, held_type, path, $6::uuid, type)
           FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[])
                AS t (held, owner, held_type, path, type)""",
        [
            (held, IDS[owner], held_type, path, asked)
            for (held, path), owner, held_type, asked in cases
        ],
        IDS[ADA],
    )
    for ((path, wanted), owner, held_type, asked), excludes in zip(cases, found, strict=True):
        held = Held("x", path, held_type, owner, 1, 0, 1)
        # A lock of the same type on the same path is the one that the user wants.
        is_wanted = (path, owner, held_type) == (wanted, ADA, asked)
        expected = bool(lock_model.in_way([held], ADA, wanted, asked)) and not is_wanted
        assert excludes == expected, (held, wanted, asked)


async def test_locks_that_forbid_and_permit_changes(dsn: str) -> None:
    cases = list(itertools.product((ADA, BOB), TYPES, (ADA, None)))
    questions = [(IDS[owner], kind, IDS[user] if user else None) for owner, kind, user in cases]
    for function, expected in (
        (
            "lock_forbids_change",
            [kind == EXCLUSIVE and owner != user for owner, kind, user in cases],
        ),
        (
            "lock_permits_change",
            [kind == EXCLUSIVE and owner == user for owner, kind, user in cases],
        ),
    ):
        query = f"SELECT {function}(o, t, u) FROM unnest($1::uuid[], $2::text[], $3::uuid[]) AS x (o, t, u)"
        assert await answers(dsn, query, questions) == expected

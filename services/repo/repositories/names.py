"""The addresses that a repository had before."""

from __future__ import annotations

from datetime import timedelta

import asyncpg

from services.repo.repositories.holding import HeldRepository
from shared.db import sql
from shared.db.pool import Connection
from shared.errors import DomainError, limit_reached, name_taken

Q = sql.load(__file__)

# How long a former name leads to its repository, and how many names one repository keeps from others.
NAME_KEPT = timedelta(days=30)
MOST_FORMER_NAMES = 10


def refuse_name(name: str, error: asyncpg.UniqueViolationError) -> DomainError:
    """Returns what to say of a name that another repository of the owner has, or had."""
    if error.constraint_name == "former_repository_names_pkey":
        why = "has another address now, and is found under this one for up to 30 days"
        return name_taken("repository", name, why)
    return name_taken("repository", name)


async def keep_former_name(connection: Connection, held: HeldRepository) -> None:
    """Makes the address that `held` had lead to what the repository is now.

    If the present address was a former one, it is its own again. Raises LIMIT_REACHED.
    """
    await connection.execute(Q.drop_former_names, held.id)
    kept = await connection.fetchval(Q.count_former_names, held.id)
    if kept >= MOST_FORMER_NAMES:
        raise limit_reached("former names", MOST_FORMER_NAMES)
    await connection.execute(
        *Q.bind.keep_former_name(
            owner_type=held.owner.type,
            owner_id=held.owner.id,
            name=held.name,
            repository_id=held.id,
            time=NAME_KEPT,
        )
    )


async def free_former_names(connection: Connection, held: HeldRepository) -> None:
    """Lets others take the names that the repository had."""
    await connection.execute(Q.free_former_names, held.id)

"""Whether services can work in the sessions that a database gives them."""

from __future__ import annotations

from shared.db import sql
from shared.db.pool import Database
from shared.runtime.process import StartError

Q = sql.load(__file__)


async def refuse_unfit_sessions(database: Database) -> None:
    """Raises StartError if sessions may not write, or lack the settings that they were opened with."""
    [row] = await database.fetch(Q.read_session)
    if row["is_read_only"]:
        raise StartError(
            "The database can only be read: it is a standby, or default_transaction_read_only is on. Name "
            "the primary in DITS_DATABASE_URL; of several hosts, target_session_attrs=read-write finds it."
        )
    if not row["has_settings"]:
        raise StartError(
            "What is between here and the database drops the settings of sessions, as PgBouncer does: "
            "connect to PostgreSQL itself. Each service has a pool of its own."
        )

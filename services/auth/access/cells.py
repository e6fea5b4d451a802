"""Where clients reach the services of a cell."""

from __future__ import annotations

from uuid import UUID

import structlog

from shared.db import sql
from shared.db.pool import Database
from shared.errors import dependency_unavailable
from shared.runtime.config import Settings
from shared.runtime.setting_types import CellAddresses

Q = sql.load(__file__)
log = structlog.get_logger(__name__)


def locate_cell(settings: Settings, cell: int) -> CellAddresses | None:
    """Returns the addresses of a cell; None = beside this server, of whose cell nothing else is set.

    Raises DEPENDENCY_UNAVAILABLE for another cell without addresses.
    """
    addresses = settings.cells.get(cell)
    if addresses is None and cell != settings.cell:
        log.error("a cell without addresses", cell=cell)
        raise dependency_unavailable(f"cell {cell}")
    return addresses


async def find_cell(database: Database, user_id: UUID) -> int:
    """Returns the cell that holds the repositories of a user."""
    [row] = await database.fetch(Q.cell_of_user, user_id)
    return int(row["cell"])

"""Finds secrets where none may be: in logs, in errors, in rows that others read, in metrics."""

from __future__ import annotations

import re
from typing import Any

import asyncpg
from prometheus_client import generate_latest
from structlog.typing import EventDict

from shared.runtime.metrics import REGISTRY
from tests.support.accounts import PASSWORD

# Bearer tokens, secrets of webhooks, DSNs with a password, the server key and the passwords of tests.
_SECRET = re.compile(
    r"dits_(?:pat|ses)_[0-9A-Za-z]{36}|dits_whs_[0-9A-Za-z_-]{43}|postgresql://[^@/\s]+:[^@/\s]+@|(?:5e){32}"
    rf"|{PASSWORD}|correct horse battery staple"
)
_TABLES = """
    audit_log dead_letter_jobs events jobs lock_history notifications usage_metrics webhook_deliveries
""".split()

_SECRET_ROWS = " UNION ALL ".join(
    f"SELECT '{table}', t::text FROM {table} t WHERE t::text ~ $1" for table in _TABLES
)


def find_secret(value: Any) -> str | None:
    """Returns the first secret in the text of a value; None if there is none."""
    match = _SECRET.search(str(value))
    return match[0] if match else None


class LogWatch:
    """A processor of the log that remembers entries with secrets.

    Attributes:
        leaks: those entries, as text.
    """

    def __init__(self) -> None:
        self.leaks: list[str] = []

    def __call__(self, _logger: object, _method: str, entry: EventDict) -> EventDict:
        """Looks at an entry and passes it on."""
        if find_secret(entry):
            self.leaks.append(str(entry))
        return entry


async def check_rows(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Fails if a row that others than its author read holds a secret."""
    found = await connection.fetchrow(_SECRET_ROWS, _SECRET.pattern)
    assert found is None, f"a secret in {found[0]}: {found[1]}"


def check_metrics() -> None:
    """Fails if the metrics of this process hold a secret."""
    assert find_secret(generate_latest(REGISTRY).decode()) is None

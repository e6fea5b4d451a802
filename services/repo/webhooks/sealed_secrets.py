"""The secrets of webhooks that the server's key seals."""

from __future__ import annotations

from services.repo.webhooks.signatures import secret_context
from shared.db import sql
from shared.records.sealed_columns import SealedColumn

Q = sql.load(__file__)

# How many of these secrets each key has sealed.
COUNT_BY_KEY = Q.count_by_key

SEALED_COLUMNS = (
    SealedColumn(
        "webhooks.secret_encrypted", Q.list_stale_secrets, Q.replace_secret, secret_context
    ),
    SealedColumn(
        "webhooks.previous_secret_encrypted",
        Q.list_stale_previous,
        Q.replace_previous,
        secret_context,
    ),
)

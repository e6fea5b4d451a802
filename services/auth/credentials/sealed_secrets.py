"""The secrets of accounts that the server's key seals."""

from __future__ import annotations

from services.auth.credentials.second_factors import secret_context
from shared.db import sql
from shared.records.sealed_columns import SealedColumn

Q = sql.load(__file__)

# How many of these secrets each key has sealed.
COUNT_BY_KEY = Q.count_by_key

SEALED_COLUMNS = (
    SealedColumn(
        "user_credentials.mfa_secret_encrypted",
        Q.list_stale_secrets,
        Q.replace_secret,
        secret_context,
    ),
    SealedColumn(
        "user_credentials.mfa_pending_encrypted",
        Q.list_stale_pending,
        Q.replace_pending,
        secret_context,
    ),
)

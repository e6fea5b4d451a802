"""Credentials that ended long ago are deleted, and no other."""

from __future__ import annotations

from dits.common.v1.job_pb2 import PurgeCredentialsPayload

from services.auth.background.ended_credentials import CredentialPurge
from shared.db.pool import Database
from tests.support.api import Account, Api
from tests.support.jobs import do_job


async def add_invitations(api: Api, who: Account) -> None:
    """Adds one that is open, and two that ended, one of them long ago."""
    await api.fetch(
        """WITH o AS (INSERT INTO organizations (name, display_name) VALUES ('studio', '') RETURNING id)
           INSERT INTO organization_invitations (org_id, email, token_hash, invited_by, expires_at)
           SELECT o.id, days || '@x', days::text, $1, now() - days * interval '1 day'
           FROM o, unnest(ARRAY[-1, 89, 91]) AS days""",
        who.id,
    )


async def test_what_ended_long_ago_goes(api: Api) -> None:
    who = await api.account()
    await api.fetch(
        """INSERT INTO sessions (user_id, token_hash, expires_at, revoked_at)
           SELECT $1, 'session ' || n, now() - n * interval '10 days 1 hour', NULL
           FROM generate_series(1, 4) AS n""",
        who.id,
    )
    await api.fetch(
        """INSERT INTO api_tokens (user_id, name, token_hash, expires_at, revoked_at)
           VALUES ($1, 'for ever', 'a', NULL, NULL), ($1, 'live', 'b', now() + interval '1 day', NULL),
                  ($1, 'expired', 'c', now() - interval '91 days', NULL),
                  ($1, 'revoked', 'd', NULL, now() - interval '91 days'),
                  ($1, 'of late', 'e', now() - interval '89 days', NULL)""",
        who.id,
    )
    await api.fetch(
        """INSERT INTO api_tokens (user_id, name, token_hash, parent_id, generation)
           SELECT $1, 'made by it', 'f', id, 1 FROM api_tokens WHERE name = 'revoked'""",
        who.id,
    )
    await api.fetch(
        """INSERT INTO one_time_tokens (purpose, user_id, token_hash, expires_at)
           SELECT 'verify_email', $1, n::text, now() - n * interval '20 hours'
           FROM generate_series(0, 3) AS n""",
        who.id,
    )
    await add_invitations(api, who)
    database = await Database.connect(api.dsn, service="test", size=3)
    row = await do_job(database, PurgeCredentialsPayload(), CredentialPurge(batch=1).handle)
    await database.close()
    assert row["result"] == '{"done": "7"}'
    names = await api.fetch("SELECT name FROM api_tokens ORDER BY name")
    assert [row["name"] for row in names] == ["for ever", "live", "of late"]
    assert await api.value("SELECT count(*) FROM sessions") == 3
    assert await api.value("SELECT count(*) FROM one_time_tokens") == 2
    assert await api.value("SELECT count(*) FROM organization_invitations") == 2

"""Statements about some accounts, sessions, notifications, jobs and events go through these alone.

Also where PostgreSQL believes that there are none, as in test_schema_stale_plans.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import UUID

import pytest

from services.auth.access import batches
from services.auth.accounts import pending_links
from services.auth.background import credential_uses, ended_credentials, login_throttles
from services.auth.credentials import operator_credentials
from services.auth.notifications import audience, digests, inbox, mails, preferences, retention
from shared.jobs import job_watch, queue, worker
from shared.jobs import retention as job_retention
from shared.outbox import event_stream
from tests.integration.schema.rows import Connection, add_repo
from tests.integration.schema.test_schema_stale_plans import FORGET, count_most_rows, undone

STORED, ASKED = 6_000, 300
MOST = 20 * ASKED + ASKED * ASKED // 4
# The plans of functions are not shown; to go through all rows for each, they read so many pages at least.
HIDDEN, PAGES = ("leases", "ends", "dead workers", "claims", "old jobs"), 25 * ASKED
DAY = timedelta(days=1)

NUMBERS = range(1, STORED, STORED // ASKED)
Statement: TypeAlias = tuple[Any, ...]
Question: TypeAlias = Callable[[UUID, list[UUID], list[str]], Statement]

QUESTIONS: dict[str, Question] = {
    "check repositories": lambda _repo, ids, names: batches.Q.bind.check_repositories(
        user_id=ids[0], refused_by=[], ids=[None] * ASKED, owners=names, names=["film"] * ASKED
    ),
    "repositories": lambda _repo, ids, _: (audience.Q.repositories, ids),
    "usernames": lambda _repo, ids, _: (audience.Q.usernames, ids),
    "mentioned": lambda _repo, _, names: (audience.Q.mentioned, names),
    "followers": lambda repo, _, names: audience.Q.bind.followers(
        repository_id=repo, names=names, after=None, count=ASKED
    ),
    "readers": lambda repo, ids, _: (audience.Q.readers, ids, [repo] * ASKED),
    "digests": lambda _repo, ids, _: digests.Q.bind.digests(
        user_ids=ids, period="daily", count=10, message_length=100
    ),
    "digested": lambda _repo, ids, _: (digests.Q.mark_digested, ids, "daily"),
    "notify": lambda repo, ids, names: inbox.Q.bind.insert_notifications(
        user_ids=ids, types=["mention"] * ASKED, source_ids=[repo] * ASKED,
        repository_ids=[repo] * ASKED, titles=names, messages=names, links=names,
    ),
    "read": lambda _repo, ids, _: (inbox.Q.mark_read, ids),
    "mails": lambda _repo, ids, _: mails.Q.bind.mark_mailed(
        ids=ids, preferences=["email_on_mention"] * ASKED, window=DAY, types=["mention"],
        type_preferences=["email_on_mention"], max_mails=10, most_mails=20, message_length=100,
    ),
    "preferences": lambda _repo, ids, _: (preferences.Q.create_preferences, ids),
    "old notifications": lambda *_: (retention.Q.purge_notifications, -DAY, -DAY, ASKED),
    "links": lambda _repo, _, names: (pending_links.Q.find_live, names),
    "kinds": lambda _repo, ids, _: (operator_credentials.Q.kinds, ids[0], ids),
    "sessions used": lambda _repo, ids, _: (
        credential_uses.Q.touch_sessions, ids, [None] * ASKED,
    ),
    "tokens used": lambda _repo, ids, _: (credential_uses.Q.touch_tokens, ids, [None] * ASKED),
    "keys used": lambda _repo, ids, _: (credential_uses.Q.touch_ssh_keys, ids),
    "failures": lambda _repo, ids, _: (credential_uses.Q.note_failures, ids, [1] * ASKED),
    "old sessions": lambda *_: (ended_credentials.Q.purge_sessions, -2 * DAY, ASKED),
    "old tokens": lambda *_: (ended_credentials.Q.purge_api_tokens, -2 * DAY, ASKED),
    "old links": lambda *_: (ended_credentials.Q.purge_one_time_tokens, -2 * DAY, ASKED),
    "old invitations": lambda *_: (ended_credentials.Q.purge_invitations, -2 * DAY, ASKED),
    "old throttles": lambda *_: (login_throttles.Q.purge_throttles, ASKED),
    "watched jobs": lambda _repo, ids, _: (job_watch.Q.job_states, ids),
    "leases": lambda _repo, ids, _: (worker.Q.renew_jobs, ids, ids, [DAY] * ASKED),
    "ends": lambda _repo, ids, _: (
        "SELECT * FROM end_jobs($1, $2, $3, $4, $5, $6)", ids, ids, ["failed"] * ASKED,
        [""] * ASKED, ["{}"] * ASKED, [DAY] * ASKED,
    ),
    "dead workers": lambda *_: (worker.Q.end_expired_leases, ASKED),
    "claims": lambda *_: worker.Q.bind.claim_jobs(
        queues=["q"], limits=[ASKED], types=["t"], leases=[DAY], worker="w"
    ),
    "old jobs": lambda *_: (job_retention.Q.purge_jobs, -DAY, -DAY, ASKED),
    "old events": lambda *_: (job_retention.Q.purge_events, -DAY, ASKED),
    "old requests": lambda *_: (job_retention.Q.purge_idempotency_keys, -DAY, ASKED),
    "keyed jobs": lambda _repo, _, names: queue.Q.bind.enqueue_keyed(
        queue="q", job_type="t", delay=DAY, max_attempts=1, keys=names, payloads=["{}"] * ASKED
    ),
    "events": lambda *_: (event_stream.Q.events, list(NUMBERS), 1 << 20),
}  # fmt: skip

FILL = """
    INSERT INTO users (id, username, email, name, status, email_verified)
    SELECT id, 'u' || n, 'u' || n || '@example.com', '', 'active', TRUE FROM numbers;
    INSERT INTO namespaces (name_key, owner_type, owner_id) SELECT 'u' || n, 'user', id FROM numbers;
    INSERT INTO repositories (id, name, owner_type, owner_id, storage_bucket, storage_region)
    SELECT id, 'film', 'user', id, 'b', 'local' FROM numbers;
    INSERT INTO user_credentials (user_id) SELECT id FROM numbers;
    INSERT INTO sessions (id, user_id, token_hash, expires_at)
    SELECT id, id, n, now() + '1 day' FROM numbers;
    INSERT INTO api_tokens (id, user_id, name, token_hash, expires_at)
    SELECT id, id, n, n, now() + '1 day' FROM numbers;
    INSERT INTO ssh_keys (id, user_id, name, public_key, fingerprint, key_type)
    SELECT id, id, n, n, n, 'e' FROM numbers;
    INSERT INTO one_time_tokens (purpose, user_id, token_hash, expires_at)
    SELECT 'verify_email', id, 'u' || n, now() + '1 day' FROM numbers;
    INSERT INTO organization_invitations (org_id, email, token_hash, invited_by, expires_at)
    SELECT id, n, 'u' || n, id, now() + '1 day' FROM numbers;
    INSERT INTO login_throttles (bucket, failures, window_started_at)
    SELECT n, 1, now() - interval '1 day' FROM numbers;
    INSERT INTO inboxes (user_id, last_number) SELECT id, 1 FROM numbers;
    INSERT INTO notification_preferences (user_id) SELECT id FROM numbers;
    INSERT INTO notifications (id, user_id, type, title, number, source_id)
    SELECT id, id, 'mention', '', 1, id FROM numbers;
    INSERT INTO branch_follows (user_id, repo_id, branch) SELECT n.id, r.id, 'u' || n
    FROM numbers n, repositories r WHERE r.owner_id = (SELECT id FROM users WHERE username = 'ada');
    INSERT INTO jobs (id, queue, job_type, payload, status, lease_token, locked_until, completed_at)
    SELECT id, 'q', 't', '{}', s.status, CASE s.status WHEN 'running' THEN id END,
           CASE s.status WHEN 'running' THEN now() END, CASE s.status WHEN 'failed' THEN now() END
    FROM numbers, LATERAL (SELECT (ARRAY['pending', 'running', 'failed'])[1 + n / 20 % 3] AS status) s;
    INSERT INTO dead_letter_jobs (original_job_id, queue, job_type, payload, error, retry_count)
    SELECT id, 'q', 't', '{}', '', 1 FROM jobs WHERE status = 'failed';
    INSERT INTO events (type, xid) SELECT 'push', '10' FROM numbers;
    INSERT INTO dead_events (consumer, id, type, payload, created_at, error)
    SELECT 'c', n, 'push', '{}', now(), '' FROM numbers WHERE n % 20 = 0;
    INSERT INTO idempotency_keys (method, subject, request_id, fingerprint)
    SELECT 'm', n, id, '' FROM numbers;
"""
TABLES = """
    users namespaces repositories user_credentials sessions api_tokens ssh_keys one_time_tokens
    inboxes jobs events organization_invitations login_throttles notification_preferences
    notifications branch_follows dead_letter_jobs dead_events idempotency_keys
"""


@pytest.fixture
async def repo(conn: Connection) -> UUID:
    """A repository whose branches many follow; nothing looks at the tables by itself."""
    repo = await add_repo(conn)
    for table in TABLES.split():
        await conn.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = FALSE)")
    await conn.execute(
        "CREATE TEMP TABLE numbers AS SELECT n, md5(n::text)::uuid AS id"
        f" FROM generate_series(1, {STORED}) AS n"
    )
    await conn.execute("SET session_replication_role = replica")
    await conn.execute(FILL)
    await conn.execute("RESET session_replication_role")
    return repo


@pytest.mark.parametrize("state", ["analyzed", "forgotten", "never analyzed"])
async def test_no_statement_goes_through_all_rows_for_each_that_it_is_about(
    conn: Connection, repo: UUID, state: str
) -> None:
    if state != "never analyzed":
        await conn.execute("ANALYZE")
    if state == "forgotten":
        await conn.execute(FORGET)
    query = "SELECT id FROM numbers WHERE n = ANY ($1::int[]) ORDER BY n"
    ids = [row["id"] for row in await conn.fetch(query, list(NUMBERS))]
    names = [f"u{n}" for n in NUMBERS]
    found = {}
    for mode in ("force_custom_plan", "force_generic_plan"):
        await conn.execute(f"SET plan_cache_mode = {mode}")
        for name, question in QUESTIONS.items():
            query, *arguments = question(repo, ids, names)
            async with undone(conn):
                text = await conn.fetchval(
                    f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {query}", *arguments
                )
            plan = json.loads(text)[0]["Plan"]
            rows = count_most_rows(plan)
            pages = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            if rows > MOST or (name in HIDDEN and pages > PAGES):
                found[name, mode] = (rows, pages)
    assert found == {}

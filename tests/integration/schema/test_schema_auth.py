"""Names, accounts, invitations, keys: what the database itself guarantees."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
import pytest

from tests.integration.schema.rows import (
    NOBODY,
    Connection,
    add_org,
    add_user,
    new_id,
    rows,
)


async def names(conn: Connection) -> list[str]:
    return [name for (name,) in await rows(conn, "SELECT name_key FROM namespaces ORDER BY 1")]


async def test_users_and_organisations_share_one_namespace_whatever_the_case(
    conn: Connection,
) -> None:
    ada = await add_user(conn, "Ada")
    pixar = await add_org(conn, "pixar")
    taken = pytest.raises(asyncpg.UniqueViolationError, match="namespaces_pkey")
    with taken:
        await add_user(conn, "ADA")
    with taken:
        await add_user(conn, "Pixar")
    with taken:
        await add_org(conn, "aDa")
    with taken:
        await conn.execute("UPDATE organizations SET name = 'ada' WHERE id = $1", pixar)

    await conn.execute("UPDATE users SET username = 'ADA' WHERE id = $1", ada)
    await conn.execute("UPDATE users SET username = 'Lovelace' WHERE id = $1", ada)
    assert await names(conn) == ["lovelace", "pixar"]
    await add_org(conn, "ada")
    assert await names(conn) == ["ada", "lovelace", "pixar"]


@pytest.mark.parametrize("table", ["users", "organizations", "namespaces"])
async def test_rows_that_other_databases_refer_to_are_never_deleted(
    conn: Connection, table: str
) -> None:
    await add_user(conn, "ada")
    await add_org(conn, "pixar")
    for command in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
        with pytest.raises(
            asyncpg.RestrictViolationError, match=f"rows of {table} are never deleted"
        ):
            await conn.execute(command)


async def test_an_owner_stays_in_a_cell_under_another_name(conn: Connection) -> None:
    await add_user(conn, "ada")
    await conn.execute("UPDATE namespaces SET cell = 7")
    await conn.execute("UPDATE users SET username = 'lovelace'")
    cells = "SELECT name_key, cell FROM owner_identities ORDER BY name_key"
    assert await rows(conn, cells) == [("lovelace", 7)]
    await add_org(conn, "pixar")
    assert await rows(conn, cells) == [("lovelace", 7), ("pixar", 0)]


async def test_changes_of_rights_are_announced_where_replication_brings_them(
    conn: Connection,
) -> None:
    announcing = await rows(
        conn,
        """
        SELECT tgrelid::regclass::text, tgenabled FROM pg_trigger
        WHERE tgfoid = 'announce_access_change'::regproc ORDER BY 1
        """,
    )
    assert len(announcing) == 10
    assert {enabled for _, enabled in announcing} == {b"A"}


async def test_of_two_who_claim_a_name_one_gets_it(conn: Connection, other: Connection) -> None:
    outcomes = await asyncio.gather(
        add_user(conn, "nemo"), add_org(other, "Nemo"), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        "UUID",
        "UniqueViolationError",
    ]
    assert await names(conn) == ["nemo"]


async def test_addresses_are_unique_whatever_the_case(conn: Connection) -> None:
    await add_user(conn, "ada")
    with pytest.raises(asyncpg.UniqueViolationError, match="users_email_key"):
        await conn.execute(
            "INSERT INTO users (username, email, name) VALUES ('b', 'ADA@Example.org', '')"
        )


async def test_an_address_beyond_ascii_comes_folded(conn: Connection) -> None:
    insert = "INSERT INTO users (username, email, email_folded, name) VALUES ($1, 'Ä@x.de', $2, '')"
    with pytest.raises(asyncpg.CheckViolationError, match="users_email_folded_check"):
        await conn.execute(insert, "ada", None)
    await conn.execute(insert, "ada", "ä@x.de")
    with pytest.raises(asyncpg.UniqueViolationError, match="users_email_key"):
        await conn.execute(insert, "bob", "ä@x.de")


async def test_being_active_is_no_change_of_the_account(conn: Connection) -> None:
    await add_user(conn)
    before = await conn.fetchval("SELECT updated_at FROM users")
    await conn.execute("UPDATE users SET last_active_at = now()")
    assert await conn.fetchval("SELECT updated_at FROM users") == before
    await conn.execute("UPDATE users SET name = 'Ada'")
    assert await conn.fetchval("SELECT updated_at FROM users") > before


async def test_only_an_open_invitation_stands_in_the_way_of_another(conn: Connection) -> None:
    ada, org = await add_user(conn), await add_org(conn)

    async def invite(email: str) -> UUID:
        return await new_id(
            conn,
            "INSERT INTO organization_invitations (org_id, email, token_hash, invited_by, expires_at)"
            " VALUES ($1, $2, gen_random_uuid(), $3, now()) RETURNING id",
            org,
            email,
            ada,
        )

    for ending in ("revoked_at", "accepted_at"):
        invitation = await invite("bob@example.org")
        with pytest.raises(asyncpg.UniqueViolationError, match="organization_invitations_open_key"):
            await invite("Bob@example.org")
        await conn.execute(
            f"UPDATE organization_invitations SET {ending} = now() WHERE id = $1",
            invitation,
        )
    await invite("bob@example.org")


async def test_old_keys_of_a_user_stay(conn: Connection) -> None:
    ada = await add_user(conn)
    put = (
        "INSERT INTO user_keys (user_id, public_key, encrypted_private_key, key_derivation_salt,"
        " key_derivation_params, key_version) VALUES ($1, '', '', '', '{}', $2)"
    )
    await conn.execute(put, ada, 1)
    await conn.execute(put, ada, 2)
    with pytest.raises(asyncpg.UniqueViolationError, match="user_keys_pkey"):
        await conn.execute(put, ada, 2)


async def test_a_token_is_for_all_repositories_or_for_some(conn: Connection) -> None:
    ada = await add_user(conn)
    add = (
        "INSERT INTO api_tokens (user_id, name, token_hash, repository_ids) VALUES ($1, '', $2, $3)"
    )
    await conn.execute(add, ada, "1", None)
    await conn.execute(add, ada, "2", [NOBODY])
    with pytest.raises(asyncpg.CheckViolationError, match="api_tokens_repository_ids_check"):
        await conn.execute(add, ada, "3", [])


async def test_auth_publishes_owners_users_keys_and_plans(conn: Connection) -> None:
    ada, org = await add_user(conn, "Ada"), await add_org(conn)
    await conn.execute(
        "UPDATE users SET email_verified = TRUE, status = 'suspended', last_active_at = now()"
    )
    await conn.execute(
        "INSERT INTO organization_members (org_id, user_id) VALUES ($1, $2)", org, ada
    )
    await conn.execute(
        "INSERT INTO ssh_keys (user_id, name, public_key, fingerprint, key_type)"
        " VALUES ($1, '', 'key', 'print', 'ed25519')",
        ada,
    )
    assert await rows(conn, "SELECT * FROM owner_identities ORDER BY name_key") == [
        ("ada", "user", ada, "Ada", "Ada", False, 0),
        ("pixar", "organization", org, "pixar", "pixar", True, 0),
    ]
    assert await conn.fetchval("SELECT username FROM user_identities WHERE id = $1", ada) == "Ada"
    assert await rows(conn, "SELECT member_count, active_user_count FROM organization_plans") == [
        (1, 1)
    ]
    await conn.execute("UPDATE users SET plan_storage_bytes = 7")
    plans = "SELECT owner_type, owner_id, plan_storage_bytes FROM owner_plans ORDER BY owner_type"
    assert await rows(conn, plans) == [("organization", org, None), ("user", ada, 7)]
    fingerprint = await conn.fetchval("SELECT fingerprint FROM ssh_keys")
    verdicts = [
        ("SELECT 1", fingerprint, "ada@example.org", "inactive_account"),
        ("UPDATE users SET status = 'active'", fingerprint, "ada@example.org", "good"),
        ("UPDATE users SET status = 'active'", fingerprint, "bob@example.org", "other_address"),
        ("UPDATE users SET status = 'active'", "SHA256:x", "ada@example.org", "unknown_key"),
        (
            "UPDATE users SET email_verified = FALSE",
            fingerprint,
            "ada@example.org",
            "unverified_address",
        ),
    ]
    for change, key, email, verdict in verdicts:
        await conn.execute(change)
        assert await conn.fetchval("SELECT signing_verdict($1, $2)", key, email) == verdict

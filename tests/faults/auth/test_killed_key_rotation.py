"""`dits-server admin rotate-server-key`, killed in the midst: nothing is lost, and a repetition ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import asyncpg

from services.auth.credentials.second_factors import secret_context
from shared.records.sealed_columns import BATCH
from shared.runtime.server_key import ServerKey
from tests.support.waiting import PATIENCE_SECONDS

OLD, NEW = "5e" * 32, "a7" * 32
FORMER, KEY = ServerKey(bytes.fromhex(OLD)), ServerKey(bytes.fromhex(NEW), bytes.fromhex(OLD))
ACCOUNTS = BATCH * 2
ADD = """
    INSERT INTO users (username, email, name)
    SELECT 'user' || n, 'user' || n || '@example.com', '' FROM generate_series(1, $1) n RETURNING id
"""
SEALED = """SELECT user_id AS id, mfa_pending_encrypted AS sealed FROM user_credentials ORDER BY user_id"""
# The command waits for a row that we hold.
BLOCKED = """SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'dits-admin'
                            AND cardinality(pg_blocking_pids(pid)) > 0)"""
IS_GONE = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'dits-admin')"
RECORDED = "SELECT count(*) FROM audit_log WHERE action = 'server_key.rotated'"


async def start(dsn: str, folder: Path) -> asyncio.subprocess.Process:
    """Starts the command."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("DITS_")}
    environment = {
        **inherited, "PYTHONPATH": str(Path(__file__).parents[3]), "DITS_DATABASE_URL": dsn,
        "DITS_SERVER_KEY": NEW, "DITS_ACCEPTED_SERVER_KEY": OLD,
    }  # fmt: skip
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "admin", "rotate-server-key"),
        cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def until(connection: asyncpg.Connection[asyncpg.Record], question: str) -> None:
    """Waits until the database says yes."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await connection.fetchval(question):
            pass


async def count_opened(connection: asyncpg.Connection[asyncpg.Record]) -> tuple[int, int]:
    """Returns how many secrets are good, and how many of them the new key has sealed."""
    rows = await connection.fetch(SEALED)
    good = [
        row for row in rows if KEY.unseal(row["sealed"], secret_context(row["id"])) == b"secret"
    ]
    return len(good), sum(row["sealed"].startswith(KEY.id) for row in good)


async def test_a_killed_rotation_loses_nothing(dsn: str, tmp_path: Path) -> None:
    connection, witness = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    ids = [row["id"] for row in await connection.fetch(ADD, ACCOUNTS)]
    sealed = [(each, FORMER.seal(b"secret", secret_context(each))) for each in ids]
    await connection.executemany(
        "INSERT INTO user_credentials (user_id, mfa_pending_encrypted) VALUES ($1, $2)", sealed
    )
    # In the second batch.
    async with connection.transaction():
        held = sorted(ids)[BATCH + 100]
        await connection.execute("SELECT FROM user_credentials WHERE user_id = $1 FOR UPDATE", held)
        process = await start(dsn, tmp_path)
        await until(witness, BLOCKED)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    await until(witness, IS_GONE)
    assert await count_opened(connection) == (ACCOUNTS, BATCH)
    assert await connection.fetchval(RECORDED) == 0
    again = await start(dsn, tmp_path)
    told, _ = await again.communicate()
    assert again.returncode == 0
    assert f"mfa_pending_encrypted: {ACCOUNTS - BATCH} sealed anew" in told.decode()
    assert await count_opened(connection) == (ACCOUNTS, ACCOUNTS)
    assert await connection.fetchval(RECORDED) == 1
    await connection.close()
    await witness.close()

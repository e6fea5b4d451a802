"""`dits-server` as its operator sees it: sentences and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import asyncpg
import pytest

from shared.db.pool import Database
from shared.db.session_check import refuse_unfit_sessions
from shared.runtime.config import Settings
from shared.runtime.process import StartError

NOWHERE = "postgresql://127.0.0.1:1/x"


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command that is expected to end by itself."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("DITS_")}
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        cwd=cwd,
        env={**inherited, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_lists_every_setting(tmp_path: Path) -> None:
    told = run("serve", "--help", cwd=tmp_path).stdout
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')}" in told
        assert f"[DITS_{name.upper()}" in told


def test_what_a_command_lacks_is_not_hidden_among_settings(tmp_path: Path) -> None:
    told = run("admin", "suspend", "ada", cwd=tmp_path).stderr
    _, usage, error = told.split("dits-server admin")
    assert usage.split() == "suspend [-h] --reason REASON [--until TIME] username".split()
    assert "arguments are required: --reason" in error


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (("serve", "auth"), {}, "needs a database that the others share"),
        (("worker",), {}, "A worker needs the database of the services"),
        (("up", "--pool-size", "many"), {}, "The setting pool_size is wrong"),
        (("up",), {"DITS_LOG_LEVEL": "loud"}, "The setting log_level is wrong"),
        (("up",), {"DITS_CONFIG": "nowhere.toml"}, "nowhere.toml, named by DITS_CONFIG, does not exist"),
        (("migrate",), {"DITS_DATABASE_URL": "postgresql://a:secret@127.0.0.1:1/x"},
         "The database at 127.0.0.1:1/x cannot be used: "),
        (("serve", "auth"), {"DITS_DATABASE_URL": "postgresql://127.0.0.1:port/x"},
         "The setting database_url is wrong: "),
        (("serve", "auth"), {"DITS_DATABASE_URL": ""}, "The setting database_url is wrong: "),
        (("serve", "auth"), {"DITS_DATABASE_URL": "postgresql://a:p/x#1@127.0.0.1:1/x"},
         "The setting database_url is wrong: "),
        (("migrate",), {"DITS_DATABASE_URL": "postgresql://a:p/x@127.0.0.1:1/x"}, "/ is written %2F"),
        (("up", "--data-dir", __file__), {}, f"{__file__}/postgres: Not a directory"),
        (("up",), {"DITS_SERVER_KEY": "short"}, "The setting server_key is wrong: it is 64 digits"),
        (("up",), {"DITS_CELLS": "{"}, "The setting cells is wrong: it is no JSON"),
        (("up", "--cells", '{"1": {"repo": "a:1"}}'), {}, "The setting cells.1.chunk is wrong"),
        (("up",), {"DITS_CELLS": '{"1": {"repo": "a", "chunk": "b:1", "lock": "c:1"}}'},
         "The setting cells.1.repo is wrong"),
        (("up", "--metrics-port", "70000"), {}, "The setting metrics_port is wrong"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], sentence: str
) -> None:
    result = run(*arguments, cwd=tmp_path, **environment)
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("dits-server: ")
    assert sentence in line
    assert "Value error" not in line


def test_a_setting_that_there_is_not_is_named_with_the_one_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "dits.toml").write_text("registration_opn = false\n")
    result = run("up", cwd=tmp_path, DITS_CONFIG="dits.toml")
    assert result.stderr == (
        "dits-server: There is no setting registration_opn; registration_open may be meant.\n"
    )
    warned = run(
        "migrate", cwd=tmp_path, DITS_POOLSIZE="3", DITS_SERVER="x", DITS_DATABASE_URL=NOWHERE
    )
    entry, _ = warned.stderr.splitlines()
    assert json.loads(entry) == {
        "event": "an environment variable is no setting",
        "variable": "DITS_POOLSIZE",
        "meant": "DITS_POOL_SIZE",
        "level": "warning",
        "timestamp": ANY,
    }


@pytest.mark.parametrize("text", ["", "no key\n", "00" * 31])
def test_a_file_that_holds_no_key_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.key").write_text(text)
    result = run(
        "serve", "auth", "--data-dir", str(tmp_path), cwd=tmp_path, DITS_DATABASE_URL=NOWHERE
    )
    assert result.stderr == (
        f"dits-server: {tmp_path}/server.key holds no server key, which is 64 hex digits.\n"
    )


def test_a_folder_that_takes_no_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run("serve", "auth", "--data-dir", "file", cwd=tmp_path, DITS_DATABASE_URL=NOWHERE)
    assert result.stderr == (
        "dits-server: The server's key cannot be made in file: File exists. Set server_key, or data_dir.\n"
    )


async def test_an_address_that_is_not_of_this_machine_is_no_port_in_use(
    tmp_path: Path, dsn: str
) -> None:
    for more in ((), ("--metrics-port", "0")):
        result = run(
            "serve", "auth", "--host", "192.0.2.1", "--auth-port", "0", *more,
            cwd=tmp_path, DITS_DATABASE_URL=dsn,
        )  # fmt: skip
        *_, line = result.stderr.splitlines()
        assert "192.0.2.1:0: another program has the port, if only for a connection" in line
        assert "or this machine has no such address" in line


@pytest.mark.parametrize("given", ["::", "[::]"])
def test_an_address_of_ipv6_is_given_with_brackets_or_without(given: str) -> None:
    assert Settings(host=given).host == "[::]"


def test_settings_come_from_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "dits.toml").write_text('log_level = "loud"\n')
    result = run("up", cwd=tmp_path, DITS_CONFIG="dits.toml")
    assert "The setting log_level is wrong" in result.stderr


async def test_migrate_and_its_status(tmp_path: Path, empty_database: str) -> None:
    before = run("migrate", "--status", cwd=tmp_path, DITS_DATABASE_URL=empty_database)
    assert before.stdout.count("pending") == len(before.stdout.splitlines()) > 5
    done = run("migrate", cwd=tmp_path, DITS_DATABASE_URL=empty_database)
    assert "the database is up to date" in done.stdout
    after = run("migrate", "--status", cwd=tmp_path, DITS_DATABASE_URL=empty_database)
    assert after.stdout.count("applied") == len(after.stdout.splitlines())


@pytest.mark.parametrize(
    ("dropped", "sentence"),
    [
        ("default_transaction_read_only=on", "The database can only be read"),
        ("lock_timeout=0", "connect to PostgreSQL itself"),
    ],
)
async def test_a_database_in_which_services_cannot_work_is_refused(
    tmp_path: Path, dsn: str, dropped: str, sentence: str
) -> None:
    # As a standby, and a pooler that passes no settings on, would have it.
    database = await Database.connect(dsn, service="test", size=1)
    await database.fetch(f"SET {dropped}")
    with pytest.raises(StartError, match=sentence):
        await refuse_unfit_sessions(database)
    await database.close()


async def test_nothing_is_served_on_a_database_that_can_only_be_read(
    tmp_path: Path, dsn: str
) -> None:
    connection = await asyncpg.connect(dsn)
    name = await connection.fetchval("SELECT quote_ident(current_database())")
    await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await connection.close()
    for command in (("serve", "lock"), ("worker", "--queue", "auth")):
        result = run(*command, cwd=tmp_path, DITS_DATABASE_URL=dsn)
        assert (result.returncode, result.stdout) == (1, "")
        (line,) = result.stderr.splitlines()
        assert "The database can only be read" in line


async def test_functions_of_another_release_are_told(tmp_path: Path, dsn: str) -> None:
    told = run("admin", "set-plan", "nobody", cwd=tmp_path, DITS_DATABASE_URL=dsn).stderr
    assert "another release" not in told
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "UPDATE schema_functions SET checksum = 'x' WHERE path LIKE '%outbox%'"
    )
    await connection.close()
    told = run("admin", "set-plan", "nobody", cwd=tmp_path, DITS_DATABASE_URL=dsn).stderr
    assert "the database is that of another release" in told
    assert "functions/shared/outbox.sql" in told


async def test_the_database_of_a_program_of_another_day_is_refused(
    tmp_path: Path, dsn: str
) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("UPDATE schema_migrations SET checksum = 'x' WHERE version = 5")
    await connection.close()
    for command in (("serve", "auth"), ("worker",), ("up",), ("migrate",), ("fsck",)):
        result = run(*command, cwd=tmp_path, DITS_DATABASE_URL=dsn)
        assert result.returncode == 1
        assert "0005_chunk.sql was edited after it had been applied" in result.stderr


async def test_a_newer_database_is_refused(tmp_path: Path, dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "INSERT INTO schema_migrations (version, description, checksum) VALUES (9999, 'x', 'x')"
    )
    await connection.close()
    for command in (("serve", "auth"), ("up",), ("migrate",)):
        result = run(*command, cwd=tmp_path, DITS_DATABASE_URL=dsn)
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert "which this program does not know" in line or "newer" in line

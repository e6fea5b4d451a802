"""`dits jobs`: every service is asked."""

from __future__ import annotations

import asyncio
import json

import pytest

from dits_client.cli.main import main
from services.auth.credentials.operator_tokens import create_operator_token
from shared.db.pool import Database
from shared.runtime.config import Settings
from tests.support.api import Api
from tests.support.client import Run

PUT = """
    SELECT enqueue_job($1, 'purge_login_throttles', '{}', p_requested_by => u.id)::text
    FROM users u WHERE username = 'ada'
"""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Jobs wait: nobody works on them."""
    return settings.model_copy(update={"worker": False})


async def test_jobs_of_all_services_are_listed_once_newest_first(
    api: Api, run: Run, logged_in: str
) -> None:
    ids = [await api.value(PUT, queue) for queue in ("auth", "repo", "shared")]
    lines = (await run("jobs")).splitlines()
    assert [line.split("  ")[0] for line in lines] == ids[::-1]
    assert lines[0].split("  ")[2:] == ["purge_login_throttles", "pending"]
    assert len((await run("jobs", "list", "-n", "2")).splitlines()) == 2
    assert await run("jobs", "--status", "running") == ""
    [line] = (await run("jobs", "show", ids[1], "--json")).splitlines()
    assert json.loads(line)["queue"] == "repo"
    told = await run("jobs", "--everybody", fails=True)
    assert "site:admin" in told


async def test_a_job_is_cancelled_and_watched_to_its_end(
    api: Api, run: Run, logged_in: str
) -> None:
    await run("repo", "create", "film")
    job_id = await api.value(PUT, "repo")
    await api.fetch("UPDATE jobs SET repo_id = (SELECT id FROM repositories)")
    assert (await run("jobs", "cancel", job_id)).strip().endswith("cancelled")
    assert await run("jobs", "watch", job_id, fails=True) == "dits: the job is cancelled\n"
    done = await api.value(PUT, "auth")
    await api.fetch(
        """UPDATE jobs SET status = 'completed', completed_at = now(), attempts = 2,
                  result = '{"done": "7"}' WHERE id = $1::uuid""",
        done,
    )
    told = await run("jobs", "watch", done)
    assert told.rstrip().endswith("completed  7  attempt 2 of 3")


async def test_the_operator_requeues_dead_letters(
    api: Api, dsn: str, run: Run, logged_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [await api.value(PUT, queue) for queue in ("auth", "repo")]
    await api.fetch(
        """UPDATE jobs SET status = 'running', attempts = max_attempts, locked_by = 'w',
                  lease_token = gen_random_uuid(), locked_until = now() - interval '1 s'"""
    )
    await api.fetch("SELECT * FROM end_expired_leases(10)")
    assert "site:admin" in await run("jobs", "requeue", ids[0], fails=True)
    database = await Database.connect(dsn, service="test", size=1)
    try:
        token = await create_operator_token(database, "ada", "operator", 1)
    finally:
        await database.close()
    monkeypatch.setenv("DITS_TOKEN", token)
    told = (await run("jobs", "requeue", *ids)).splitlines()
    assert [line.split("  ")[2:4] for line in told] == [["purge_login_throttles", "pending"]] * 2
    assert "requeued before" in await run("jobs", "requeue", ids[1], fails=True)


async def test_jobs_on_a_repository(api: Api, run: Run, logged_in: str) -> None:
    await run("repo", "create", "film")
    job_id = await api.value(
        "SELECT enqueue_job('repo', 'recount_statistics', '{}', p_repo_id => id)::text FROM repositories"
    )
    [line] = (await run("jobs", "--repository", "ada/film")).splitlines()
    assert line.startswith(job_id)
    assert await run("jobs") == ""


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("jobs", "No jobs."),
        ("notifications", "No notifications."),
        ("notifications --unread", "No unread notifications."),
        ("notifications following", "No followed branches."),
        ("repo list", "No repositories."),
        ("ssh-key list", "No keys."),
        ("org list", "No organisations."),
    ],
)
async def test_an_empty_list_says_so_to_people(
    logged_in: str, capsys: pytest.CaptureFixture[str], command: str, sentence: str
) -> None:
    del logged_in
    capsys.readouterr()
    assert await asyncio.to_thread(main, command.split()) == 0
    assert sentence in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("command", ["jobs list", "notifications", "ssh-key list", "org list"])
async def test_an_empty_list_says_nothing_to_programs(
    logged_in: str, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    del logged_in
    capsys.readouterr()
    assert await asyncio.to_thread(main, [*command.split(), "--json"]) == 0
    told = capsys.readouterr()
    assert not [line for line in told.err.splitlines() if line.startswith("No ")]

"""`dits doctor` finds what is wrong, and says what helps."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from dits_client.cli import doctor, folder_checks
from dits_client.cli.main import main
from tests.support.api import Api
from tests.support.client import Run, write


async def examine(run: Run, code: int = 0) -> dict[str, tuple[str, str]]:
    """State and cure by check; the exit code must be that."""
    lines = (await run("doctor")).splitlines() if not code else []
    assert all(line.split()[0] in ("good", "warning") for line in lines)
    if code:
        assert "wrong" in await run("doctor", "--json", fails=code)
        return {}
    found = [json.loads(line) for line in (await run("doctor", "--json")).splitlines()]
    return {each["check"]: (each["state"], each["cure"]) for each in found}


async def test_what_is_wrong_and_what_helps(
    api: Api, run: Run, film_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {check: state for check, (state, _) in (await examine(run)).items()} == dict.fromkeys(
        (
            "version", "folder", "permissions", "disk", "credentials", "server", "login",
            "repository", "clock",
        ),
        "good",
    )  # fmt: skip
    await api.fetch("UPDATE repository_settings SET lock_patterns = '{*.blend}'")
    await api.fetch("UPDATE repository_settings SET require_lock_for_edit = true")
    write(film_folder, {".ditsignore": b"cache/\n", "cache/a.blend": b"1"})
    (film_folder / ".dits/index").write_bytes(b"damaged")
    (film_folder / ".dits/checkout").write_text("")
    (film_folder / ".dits").chmod(0o777)
    (film_folder.parent.parent / "config/credentials.json").chmod(0o644)
    monkeypatch.setattr(folder_checks, "LEAST_FREE", 1 << 80)
    monkeypatch.setattr(doctor, "MOST_SKEW", -1)
    found = await examine(run)
    warned = {check: cure for check, (state, cure) in found.items() if state == "warning"}
    assert warned.keys() == {
        "checkout", "index", "permissions", "disk", "credentials", "clock", "locks",
    }  # fmt: skip
    assert f"chmod go-w {film_folder}/.dits" in warned["permissions"]
    assert "dits status" in warned["index"]


async def test_a_current_folder_that_is_gone_is_named(
    film_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (film_folder / "sub").mkdir()
    monkeypatch.chdir(film_folder / "sub")
    (film_folder / "sub").rmdir()
    capsys.readouterr()
    assert await asyncio.to_thread(main, ("doctor",)) == 1
    assert "the current folder is gone" in capsys.readouterr().out
    monkeypatch.chdir(film_folder)


async def test_a_service_that_is_away_is_named(
    run: Run, film_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DITS_LOCK", "127.0.0.1:1")
    told = await run("doctor", fails=1)
    assert "1 thing is wrong" in told
    await run("logout")
    assert "1 thing is wrong" in await run("doctor", fails=1)


async def test_why_services_do_not_answer_is_told(
    api: Api, film_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(film_folder.parent)
    monkeypatch.setenv("DITS_SERVER", f"https://{api.addresses['auth']}")
    monkeypatch.setenv("DITS_TOKEN", "dits_pat_0")
    capsys.readouterr()
    assert await asyncio.to_thread(main, ("doctor",)) == 1
    [auth, *others] = [
        line for line in capsys.readouterr().out.splitlines() if "no TLS: begin" in line
    ]
    assert f"the server https://{api.addresses['auth']} speaks no TLS" in auth
    assert len(others) == 3

"""`dits ssh-key` and `dits login --ssh`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api import Api
from tests.support.client import Run
from tests.support.ssh import make_key, needs_ssh, public_line, run_command

pytestmark = needs_ssh


@pytest.fixture(autouse=True)
def elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user has no keys but those of the test."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The user's ssh-agent, which is empty."""
    socket = str(tmp_path / "agent")
    told = run_command("ssh-agent", "-a", socket).decode()
    pid = told.split("SSH_AGENT_PID=")[1].split(";")[0]
    monkeypatch.setenv("SSH_AUTH_SOCK", socket)
    yield socket
    run_command("ssh-agent", "-k", SSH_AGENT_PID=pid, SSH_AUTH_SOCK=socket)


def install(home: Path, key: Path, name: str = "id_ed25519") -> None:
    """Puts a key where ssh looks for it."""
    folder = home / ".ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(key, folder / name)
    shutil.copy(f"{key}.pub", folder / f"{name}.pub")


async def test_a_day_with_a_key(run: Run, logged_in: str, home: Path, api: Api) -> None:
    assert "no SSH key was found" in await run("ssh-key", "add", fails=True)
    assert "no SSH key was found" in await run("login", "-u", "ada", "--ssh", fails=True)
    key = make_key("ed25519")
    fingerprint = run_command("ssh-keygen", "-l", "-f", key).decode().split()[1]
    assert await run("ssh-key", "add", str(key)) == f"Added {fingerprint} (ada@desk).\n"
    listed = await run("ssh-key", "list")
    assert listed.startswith(f"{fingerprint}  ssh-ed25519  added 20")
    assert listed.endswith("  never used  ada@desk\n")
    assert json.loads(await run("ssh-key", "list", "--json"))["fingerprint"] == fingerprint
    await run("logout")
    assert "as ada." in await run("login", "-u", "ada", "--ssh", "--key", f"{key}.pub")
    await run("logout")
    install(home, key)
    assert "as ada." in await run("login", "-u", "ada", "--ssh")
    assert await api.value("SELECT count(*) FROM sessions WHERE revoked_at IS NULL") == 0
    assert await run("ssh-key", "remove", "ada@desk") == f"Removed {fingerprint} (ada@desk).\n"
    assert 'you have no key "ada@desk"' in await run("ssh-key", "remove", "ada@desk", fails=True)
    assert 'opens the account "ada"' in await run("login", "-u", "ada", "--ssh", fails=True)


async def test_the_agent_has_the_keys(run: Run, logged_in: str, agent: str) -> None:
    assert "no SSH key was found" in await run("ssh-key", "add", fails=True)
    others, mine = make_key("ed25519", 1), make_key("ecdsa-256")
    run_command("ssh-add", "-q", mine, SSH_AUTH_SOCK=agent)
    told = await run("ssh-key", "add", "--name", "agent's")
    assert told.endswith(" (agent's).\n")
    # Keys that do not open the account, or that no server takes, are passed over.
    run_command("ssh-add", "-q", "-D", SSH_AUTH_SOCK=agent)
    for key in (make_key("rsa-2048"), others, mine):
        run_command("ssh-add", "-q", key, SSH_AUTH_SOCK=agent)
    assert "as ada." in await run("login", "-u", "ada", "--ssh")


async def test_files_that_are_no_keys(run: Run, logged_in: str, home: Path) -> None:
    assert "there is no" in await run("ssh-key", "add", "missing", fails=True)
    (home / "weak.pub").write_text(public_line(make_key("rsa-1024")))
    assert "RSA key of 1024 bits" in await run("ssh-key", "add", "weak.pub", fails=True)
    shutil.copy(make_key("ed25519"), home / "mixed.pub")
    told = await run("ssh-key", "add", "mixed.pub", fails=True)
    assert "is a private key" in told
    assert "BEGIN" not in told
    # Only the public half is there, and no agent.
    (home / "half.pub").write_text(public_line(make_key("ed25519")))
    assert "signs nothing" in await run("ssh-key", "add", "half.pub", fails=True)

"""`dits branch`, `tag`, `protect`, `show`, `log`, and signed pushes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.api import Api
from tests.support.client import Run, write
from tests.support.ssh import make_key, needs_ssh, public_line


@pytest.fixture
async def folder(
    api: Api, run: Run, logged_in: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder that follows a repository with one commit."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    await run("repo", "create", "film", "--no-require-lock")
    folder = home / "film"
    write(folder, {"a": b"1", "look/b.psd": b"1"})
    await run("init", str(folder), "--repository", f"{logged_in}/film")
    monkeypatch.chdir(folder)
    await run("push", "-m", "first")
    return folder


async def test_branches_from_the_command_line(run: Run, folder: Path) -> None:
    head = (await run("branch", "create", "side")).split()[-1]
    write(folder, {"a": b"2"})
    await run("push", "-m", "second")
    told = await run("branch", "list")
    assert re.search(r"^main +[0-9a-f]{12} +default\n", told, re.MULTILINE)
    assert re.search(rf"^side +{head[:12]} +0 ahead, 1 behind\n", told, re.MULTILINE)
    assert await run("branch", "rename", "side", "look/dev") == "side is look/dev now.\n"
    listed = await run("branch", "list", "--prefix", "look", "--json")
    assert json.loads(listed)["divergence"] == {"behind": "1"}
    told = await run("branch", "delete", "look/dev", "--dry-run")
    assert re.fullmatch(
        r"It could be deleted: look/dev, which is at [0-9a-f]{64}\.\n"
        r"Commits that no other branch or tag has: 0\.\n",
        told,
    )
    assert "default branch" in await run("branch", "delete", "main", "--dry-run", fails=True)
    assert "Deleted look/dev, which was at" in await run("branch", "delete", "look/dev")
    assert "not found" in await run("branch", "delete", "look/dev", fails=True)


async def test_tags_from_the_command_line(run: Run, folder: Path, logged_in: str) -> None:
    assert await run("tag", "list") == ""
    assert re.fullmatch(r"v1 is at [0-9a-f]{12}\.\n", await run("tag", "create", "v1"))
    await run("tag", "create", "v2", "-m", "The cut.\n\nFor the client.")
    told = await run("tag", "list")
    assert re.search(r"^v2 +[0-9a-f]{12} +The cut\.\n", told, re.MULTILINE)
    told = await run("tag", "show", "v2")
    assert re.match(r"tag v2\ncommit [0-9a-f]{64}\ntagger .+ <.+>\ndate ", told)
    assert told.endswith("\n\n    The cut.\n\n    For the client.\n")
    assert (await run("show", "v1")) == await run("show", "main") == await run("show")
    told = await run("clone", f"{logged_in}/film", str(folder.parent / "clone"), "--revision", "v1")
    assert "2 files written" in told
    assert "no branch, tag or commit v9" in await run(
        "clone", f"{logged_in}/film", str(folder.parent / "x"), "--revision", "v9", fails=True
    )
    assert "is taken" in await run("tag", "create", "v2", fails=True)
    tried = json.loads(await run("tag", "delete", "v1", "--dry-run", "--json"))
    assert (tried["name"], tried["unreached_commit_count"]) == ("v1", 0)
    assert "Deleted v1, which was at" in await run("tag", "delete", "v1")
    assert "has a message" in await run("tag", "create", "v3", "--sign", fails=2)
    told = "dits: there is no branch or tag abc1234; of a commit's hash, it takes 8 digits\n"
    assert await run("show", "abc1234", fails=True) == told


async def test_protection_from_the_command_line(run: Run, folder: Path, logged_in: str) -> None:
    assert await run("protect", "show") == "Nothing protects main.\n"
    told = await run("protect", "set", "--no-force", "--restrict", "*.psd", "--allow", logged_in)
    assert told == "main is protected.\n"
    shown = json.loads(await run("protect", "show", "main"))
    assert shown["forbid_force"]
    assert shown["restricted_paths"][0]["patterns"] == ["*.psd"]
    write(folder, {"look/b.psd": b"2"})
    await run("push", "-m", "allowed")
    await run("protect", "set", "--restrict", "*.psd")
    write(folder, {"look/b.psd": b"3"})
    told = await run("push", "-m", "refused", fails=True)
    assert "the branch main is protected: restricted_paths (look/b.psd)" in told
    assert "protected" in await run("branch", "list")
    assert await run("protect", "clear") == "Nothing protects main any more.\n"
    await run("push", "-m", "allowed again")
    told = await run("protect", "set", "release/*", "--no-force")
    assert told == "Branches release/* are protected, those to come, too.\n"
    await run("branch", "create", "release/1")
    rule = {"pattern": "release/*", "protection": {"forbid_force": True}}
    assert json.loads(await run("protect", "show", "release/1")) == rule
    assert json.loads(await run("protect", "rules")) == rule
    told = await run("protect", "clear", "release/*")
    assert told == "No rule protects branches release/* any more.\n"
    assert await run("protect", "rules") == ""
    assert await run("protect", "tags") == "Nothing protects the tags.\n"
    assert json.loads(await run("protect", "tags", "v*")) == {"patterns": ["v*"]}
    assert await run("protect", "tags", "--clear") == "Nothing protects the tags.\n"


@needs_ssh
async def test_a_signed_push_from_the_command_line(
    api: Api, run: Run, folder: Path, home: Path
) -> None:
    await api.fetch("UPDATE users SET email_verified = TRUE")
    write(folder, {"a": b"2"})
    assert "no SSH key here" in await run("push", "--sign", fails=True)
    key = make_key("ed25519")
    (home / ".ssh").mkdir(mode=0o700)
    for name, text in (("id_ed25519", key.read_text()), ("id_ed25519.pub", public_line(key))):
        (home / ".ssh" / name).write_text(text)
        (home / ".ssh" / name).chmod(0o600)
    await run("ssh-key", "add", str(home / ".ssh" / "id_ed25519.pub"))
    await run("push", "--sign", "-m", "signed")
    told = await run("log")
    assert re.search(r"signed  \(good signature by SHA256:\S+\)\n", told)
    assert re.search(r"^good signature by SHA256:", await run("show"), re.MULTILINE)
    told = await run("tag", "create", "v1", "-m", "x", "--sign", "--key", str(key))
    assert re.fullmatch(r"v1 is at [0-9a-f]{12}, good signature by SHA256:\S+\.\n", told)
    assert "\ngood signature by" in await run("tag", "show", "v1")

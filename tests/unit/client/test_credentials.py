"""Logins: several accounts, in a file that only the user can read, or with their secrets in a keyring."""

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import keyring
import pytest
from keyring.backends.fail import Keyring as NoKeyring
from keyrings.alt.file import PlaintextKeyring

from dits_client.cli.credentials import Credentials, Login
from dits_client.cli.keyring_secrets import AUTO, FILE, KEYRING
from dits_client.cli.logins import get_login
from dits_client.cli.main import main
from dits_client.errors import ClientError
from dits_client.server.endpoints import Endpoints
from dits_client.workspace.state import ServerAccount

LOCAL = "http://localhost:50051"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("DITS_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "config"
    monkeypatch.setenv("DITS_CONFIG_DIR", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[PlaintextKeyring]:
    """A keyring in a file."""
    before, found = keyring.get_keyring(), PlaintextKeyring()
    found.file_path = str(tmp_path / "keyring")
    keyring.set_keyring(found)
    yield found
    keyring.set_keyring(before)


def login(server: str = "localhost", username: str = "ada") -> Login:
    token = f"token of {username}"
    return Login(Endpoints.parse(server), token, "id", username, "Ada", "ada@example.org")


def test_credentials_are_kept_for_the_user_alone(config: Path) -> None:
    credentials = Credentials()
    assert credentials.get() is None
    credentials.put(login())
    credentials.put(login("https://other"))
    path = config / "credentials.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.stat().st_mode) == 0o700
    again = Credentials()
    assert again.get() == login("https://other")
    assert again.get(LOCAL) == login()
    again.remove(login("https://other"))
    assert Credentials().get() == login()


def test_damaged_credentials_are_one_sentence(config: Path) -> None:
    config.mkdir()
    broken = ("", "{}", "[]", "[" * 100_000, '{"store": "auto", "logins": [{}]}')
    for content in (*broken, '{"store": "safe", "logins": []}', '{"store": "auto", "logins": 1}'):
        (config / "credentials.json").write_text(content)
        with pytest.raises(ClientError, match="is damaged: delete it"):
            Credentials()


def test_the_account_chosen_last_is_used_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ada", "bot"):
        Credentials().put(login(username=name))
    Credentials().put(login("https://other", "eve"))
    assert get_login().username == "eve"
    assert get_login(ServerAccount(LOCAL)).username == "bot"
    assert get_login(ServerAccount(LOCAL, "ADA")).username == "ada"
    Credentials().choose(login(username="ada"))
    assert (get_login().username, get_login(ServerAccount(LOCAL)).username) == ("ada", "ada")
    # Again in its place, not twice.
    Credentials().put(login(username="Bot"))
    assert [each.username for each in Credentials().logins] == ["Bot", "ada", "eve"]
    monkeypatch.setenv("DITS_USER", "ada")
    assert get_login(ServerAccount(LOCAL, "bot")).username == "ada"


def test_a_folder_is_not_used_with_another_account_than_its_own() -> None:
    Credentials().put(login(username="ada"))
    with pytest.raises(ClientError, match=r"not logged in as bot at http://localhost:50051: run"):
        get_login(ServerAccount(LOCAL, "bot"))
    with pytest.raises(ClientError, match="not logged in to http://box:50051"):
        get_login(ServerAccount("http://box:50051", "bot"))


def test_commands_at_once_lose_no_login() -> None:
    """Each reads the file, adds its own, and writes it."""
    names, barrier = [f"u{number}" for number in range(8)], threading.Barrier(8)

    def add(name: str) -> None:
        credentials = Credentials()
        barrier.wait()
        credentials.put(login(username=name))

    threads = [threading.Thread(target=add, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.username for each in Credentials().logins) == names


def test_a_change_is_for_the_login_that_it_is_of() -> None:
    session = replace(login(), session_id="s1")
    Credentials().put(session)
    Credentials().update(session, token="next")
    assert Credentials().get() == replace(session, token="next")
    # In anew meanwhile, or out.
    Credentials().put(replace(login(), session_id="s2"))
    Credentials().update(session, token="late")
    assert Credentials().get() == replace(login(), session_id="s2")
    Credentials().remove(session)
    Credentials().update(session, token="late")
    assert Credentials().get() is None


def test_secrets_go_to_the_keyring_and_back(config: Path, backend: PlaintextKeyring) -> None:
    file = config / "credentials.json"
    for name in ("ada", "bot"):
        Credentials().put(login(username=name))
    assert "token of" in file.read_text()
    assert main(["config", "credentials.store", KEYRING]) == 0
    assert "token of" not in file.read_text()
    assert [Credentials().get(LOCAL, name) for name in ("ada", "bot")] == [
        replace(login(username=name), keyring=f"{name} at {LOCAL} ({config})")
        for name in ("ada", "bot")
    ]
    Credentials().update(login(username="ada"), sudo="new")
    kept = Credentials().get(LOCAL, "ada")
    assert kept is not None
    assert (kept.token, kept.sudo, "new" in file.read_text()) == ("token of ada", "new", False)
    Credentials().remove(kept)
    assert backend.get_password("dits", kept.keyring) is None
    assert main(["config", "credentials.store", FILE]) == 0
    assert Credentials().get() == login(username="bot")
    assert backend.get_password("dits", f"bot at {LOCAL} ({config})") is None


def test_the_usual_place_is_a_keyring_that_people_use(
    backend: PlaintextKeyring, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DITS_CONFIG_DIR")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    # One of a low priority is none.
    Credentials().put(login())
    assert Credentials().logins == [login()]
    monkeypatch.setattr(PlaintextKeyring, "priority", 5)
    Credentials().put(login())
    assert Credentials().logins == [replace(login(), token="", keyring=f"ada at {LOCAL}")]
    assert Credentials().get() == replace(login(), keyring=f"ada at {LOCAL}")
    # A folder of one's own for them is meant as one.
    monkeypatch.setenv("DITS_CONFIG_DIR", str(tmp_path / "own"))
    Credentials().put(login())
    assert Credentials().logins == [login()]


def test_without_a_keyring_the_file_is_used_unless_it_was_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DITS_CONFIG_DIR")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    before = keyring.get_keyring()
    keyring.set_keyring(NoKeyring())  # type: ignore[no-untyped-call]
    try:
        Credentials().put(login())
        assert Credentials().get() == login()
        assert main(["config", "credentials.store", KEYRING]) == 1
        assert "the keyring does not take the login" in capsys.readouterr().err
        assert (Credentials().store, Credentials().get()) == (AUTO, login())
    finally:
        keyring.set_keyring(before)


def test_a_keyring_that_is_locked_says_what_helps(backend: PlaintextKeyring) -> None:
    Credentials().put(login())
    Credentials().move_secrets(KEYRING)
    Path(backend.file_path).unlink()
    assert [each.username for each in Credentials().logins] == ["ada"]
    with pytest.raises(ClientError, match=r"does not give the login of .* unlock it, or run"):
        Credentials().get()
    # To log in again helps.
    Credentials().put(login())
    assert Credentials().get() is not None


def test_a_keyring_that_is_gone_for_good_leaves_a_way_out(
    backend: PlaintextKeyring, capsys: pytest.CaptureFixture[str]
) -> None:
    Credentials().put(login())
    Credentials().move_secrets(KEYRING)
    keyring.set_keyring(NoKeyring())  # type: ignore[no-untyped-call]
    with pytest.raises(ClientError, match=r"does not take .* `dits config credentials.store file`"):
        Credentials().put(login())
    assert main(["config", "credentials.store", FILE]) == 1
    assert "`dits logout` ends a login without it" in capsys.readouterr().err
    assert main(["logout", "-u", "eve"]) == 1
    assert capsys.readouterr().err == "dits: not logged in as eve\n"
    assert main(["logout", "-u", "ada"]) == 0
    assert "could not be revoked: the keyring does not give" in capsys.readouterr().err
    assert main(["config", "credentials.store", FILE]) == 0
    Credentials().put(login())
    assert Credentials().get() == login()


def test_a_keyring_in_another_process(config: Path, tmp_path: Path) -> None:
    """A real one, as its package finds it."""
    Credentials().put(login())
    environment = {
        **os.environ,
        "PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring",
        "XDG_DATA_HOME": str(tmp_path / "data"),
    }
    for line in (["config", "credentials.store", "keyring"], ["account", "list", "--json"]):
        command = [sys.executable, "-P", "-m", "dits_client", *line]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert (json.loads(done.stdout)["username"], done.stderr) == ("ada", "")
    assert "token of" not in (config / "credentials.json").read_text()
    assert list((tmp_path / "data").rglob("*.cfg"))

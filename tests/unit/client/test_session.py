"""Which server is given which credential."""

import io
import os
from pathlib import Path

import pytest

from dits_client.cli.credentials import Credentials, Login
from dits_client.cli.logins import get_login
from dits_client.cli.prompts import read_password
from dits_client.errors import ClientError
from dits_client.server.endpoints import Endpoints
from dits_client.workspace.state import ServerAccount


@pytest.fixture(autouse=True)
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith("DITS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DITS_CONFIG_DIR", str(tmp_path / "config"))
    return monkeypatch


def log_in(server: str, token: str) -> None:
    Credentials().put(Login(Endpoints.parse(server), token, "id", "ada", "Ada", "a@example.org"))


FOLDER = "http://evil.example:50051"


def test_a_folder_does_not_get_the_token_by_naming_a_server(
    environ: pytest.MonkeyPatch,
) -> None:
    environ.setenv("DITS_TOKEN", "secret")
    assert get_login().endpoints.auth == "localhost:50051"
    with pytest.raises(ClientError, match=r"DITS_TOKEN is not sent to http://evil\.example:50051"):
        get_login(ServerAccount(FOLDER))
    environ.setenv("DITS_SERVER", "https://dits.example")
    assert get_login(ServerAccount("https://dits.example:50051")).token == "secret"
    with pytest.raises(ClientError, match="DITS_TOKEN is not sent to"):
        get_login(ServerAccount(FOLDER))
    # Without TLS it is another server.
    with pytest.raises(ClientError, match="DITS_TOKEN is not sent to"):
        get_login(ServerAccount("http://dits.example:50051"))


def test_no_address_of_a_foreign_server_stands_beside_one_that_the_user_named(
    environ: pytest.MonkeyPatch,
) -> None:
    environ.setenv("DITS_TOKEN", "secret")
    environ.setenv("DITS_AUTH", "localhost:50051")
    # auth would be the user's, but repo, chunk and lock the folder's.
    with pytest.raises(ClientError, match="DITS_TOKEN is not sent to"):
        get_login(ServerAccount(FOLDER))
    assert get_login(ServerAccount("http://localhost:50051")).token == "secret"


def test_a_known_server_may_have_the_token_unless_it_is_meant_for_another(
    environ: pytest.MonkeyPatch,
) -> None:
    log_in("https://dits.example", "of the login")
    environ.setenv("DITS_TOKEN", "secret")
    assert get_login(ServerAccount("https://dits.example:50051")).token == "secret"
    environ.setenv("DITS_SERVER", "https://other.example")
    assert get_login(ServerAccount("https://dits.example:50051")).token == "of the login"
    assert get_login().token == "secret"
    assert get_login().endpoints.name == "https://other.example:50051"


@pytest.mark.parametrize("from_stdin", [True, False])
def test_where_nobody_types_the_password_is_asked_for(
    environ: pytest.MonkeyPatch, from_stdin: bool
) -> None:
    environ.setattr("sys.stdin", io.StringIO())
    with pytest.raises(ClientError, match="DITS_PASSWORD"):
        read_password(from_stdin=from_stdin)

"""The logins of the user, which the `dits` command stores."""

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dits_client.atomic_file import replace_file
from dits_client.errors import ClientError, os_error
from dits_client.server.endpoints import Endpoints


@dataclass(frozen=True, slots=True)
class Login:
    """A server and the user's account on it."""

    endpoints: Endpoints
    token: str
    # UUID of the API token, to revoke it at logout; empty = `dits login` did not make it.
    token_id: str
    username: str
    # Name and e-mail address for commits.
    name: str
    email: str
    # Token of a session that `dits sudo` has opened, or is to give sudo again; empty = there is none.
    sudo: str = field(default="", repr=False)
    # UUID of the session, if the token is of one; and when that token was got, by this machine's clock.
    session_id: str = ""
    session_time: float = 0.0


class Credentials:
    """The user's logins, in one file that only the user can read."""

    def __init__(self, directory: Path | None = None) -> None:
        self.path = (directory or config_directory()) / "credentials.json"
        self.current = ""
        self.logins: dict[str, Login] = {}
        self._load()

    def get(self, server: str = "") -> Login | None:
        """Return the login for a server, by default the current one; None = not logged in."""
        return self.logins.get(server or self.current)

    def put(self, login: Login) -> None:
        """Store a login and make it the current one."""
        self.current = login.endpoints.name
        self.logins[self.current] = login
        self._save()

    def put_sudo(self, server: str, token: str) -> None:
        """Store the session that has sudo at a server, or that there is none."""
        if server in self.logins:
            self.logins[server] = replace(self.logins[server], sudo=token)
            self._save()

    def update(self, login: Login) -> None:
        """Store a login that is there, as it is now; the current one stays that."""
        self.logins[login.endpoints.name] = login
        self._save()

    def remove(self, server: str) -> None:
        """Remove a login."""
        self.logins.pop(server, None)
        if self.current == server:
            self.current = next(iter(self.logins), "")
        self._save()

    def _load(self) -> None:
        try:
            stored = json.loads(self.path.read_text())
            self.current = stored["current"]
            self.logins = {name: _parse_login(value) for name, value in stored["logins"].items()}
        except FileNotFoundError:
            return
        except OSError as error:
            raise os_error(error, "read", str(self.path)) from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            message = f'"{self.path}" is damaged: delete it and run `dits login`'
            raise ClientError(message) from error

    def _save(self) -> None:
        logins = {name: asdict(login) for name, login in self.logins.items()}
        text = json.dumps({"current": self.current, "logins": logins}, indent=2)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self.path, text.encode())
        except OSError as error:
            raise os_error(error, "write", str(self.path)) from error


def _parse_login(stored: dict[str, Any]) -> Login:
    endpoints = Endpoints(**stored["endpoints"])
    return Login(**{**stored, "endpoints": replace(endpoints, named=tuple(endpoints.named))})


def config_directory() -> Path:
    """Return $DITS_CONFIG_DIR, or `dits` in the user's configuration directory."""
    if given := os.environ.get("DITS_CONFIG_DIR"):
        return Path(given)
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "dits"

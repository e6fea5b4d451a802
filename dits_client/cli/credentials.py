"""The logins of the user, which the `dits` command stores: several accounts on several servers."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dits_client.atomic_file import replace_file
from dits_client.cli.keyring_secrets import (
    KEYRING,
    STORES,
    load_secrets,
    remove_secrets,
    save_secrets,
)
from dits_client.disk.file_lock import FileLock
from dits_client.errors import ClientError, os_error
from dits_client.server.endpoints import Endpoints
from dits_client.terminal import quote_text


@dataclass(frozen=True, slots=True)
class Login:
    """A server and the user's account on it."""

    endpoints: Endpoints
    token: str = field(repr=False)
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
    # The name of the keyring's entry that has the secrets; empty = they are in the file.
    keyring: str = ""

    def is_of(self, server: str, username: str) -> bool:
        """Return whether it is of a server and an account; an empty name stands for each."""
        is_there = server in ("", self.endpoints.name)
        return is_there and username.casefold() in ("", self.username.casefold())

    def is_same(self, other: "Login") -> bool:
        """Return whether both are of one account."""
        names = self.username.casefold(), other.username.casefold()
        return self.endpoints.name == other.endpoints.name and names[0] == names[1]


class Credentials:
    """The user's logins, the one chosen last first, in one file that only the user can read.

    Their secrets are in that file, or in the keyring of the operating system.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.path = (directory or config_directory()) / "credentials.json"
        # Where new secrets go: a name of STORES.
        self.store = STORES[0]
        # Without the secrets that are in the keyring.
        self.logins: list[Login] = []
        self._load()

    def get(self, server: str = "", username: str = "") -> Login | None:
        """Return the login that was chosen last, of a server and an account if they are named.

        None = there is none. Raises ClientError if the keyring does not give its secrets.
        """
        found = self.find(server, username)
        return _complete(found) if found else None

    def find(self, server: str, username: str) -> Login | None:
        """Return the same login without its secrets, if they are in the keyring."""
        return next((login for login in self.logins if login.is_of(server, username)), None)

    def put(self, login: Login) -> None:
        """Store a login in the place of one of the same account, and choose it."""
        with self._changing():
            self._take(login)
            self.logins.insert(0, self._keep_secrets(replace(login, keyring="")))

    def choose(self, login: Login) -> None:
        """Make a login that is there the one that commands use if nothing else is said."""
        with self._changing():
            self.logins.sort(key=lambda each: not each.is_same(login))

    def update(self, login: Login, **changes: Any) -> None:
        """Change fields of a login; not if it is gone meanwhile, or of another session."""
        with self._changing():
            for at, found in enumerate(self.logins):
                if found.is_same(login) and found.session_id == login.session_id:
                    self.logins[at] = self._keep_secrets(replace(_complete(found), **changes))

    def remove(self, login: Login) -> None:
        """Remove a login, with its secrets."""
        with self._changing():
            self._take(login)

    def move_secrets(self, store: str) -> None:
        """Keep the secrets of all logins, now and later, in a store. Raises ClientError."""
        with self._changing():
            complete, before = [_complete(login) for login in self.logins], self.logins
            self.store = store
            self.logins = [self._keep_secrets(replace(login, keyring="")) for login in complete]
        for old, new in zip(before, self.logins, strict=True):
            if old.keyring and not new.keyring:
                remove_secrets(old.keyring)

    def _take(self, login: Login) -> None:
        """Remove the login of an account from the list."""
        for found in list(self.logins):
            if found.is_same(login):
                self.logins.remove(found)
                if found.keyring:
                    remove_secrets(found.keyring)

    def _keep_secrets(self, login: Login) -> Login:
        """Return a login as the file has it, after its secrets have gone where they belong."""
        name = f"{login.username} at {login.endpoints.name}"
        if given := os.environ.get("DITS_CONFIG_DIR"):
            name += f" ({given})"
        store = KEYRING if login.keyring else self.store
        secrets = {"token": login.token, "sudo": login.sudo}
        name = save_secrets(store, login.keyring or name, secrets)
        return replace(login, token="", sudo="", keyring=name) if name else login

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Read the file again, and write it at the end: another command may change it meanwhile."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock(self.path.with_suffix(".lock"))
        except OSError as error:
            raise os_error(error, "write", str(self.path)) from error
        try:
            lock.acquire()
            self._load()
            yield
            self._save()
        finally:
            lock.close()

    def _load(self) -> None:
        try:
            stored = json.loads(self.path.read_text(encoding="utf-8"))
            self.store = STORES[STORES.index(stored["store"])]
            self.logins = [_parse_login(login) for login in stored["logins"]]
        except FileNotFoundError:
            self.logins = []
        except OSError as error:
            raise os_error(error, "read", str(self.path)) from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            message = f"{quote_text(self.path)} is damaged: delete it and run `dits login`"
            raise ClientError(message) from error

    def _save(self) -> None:
        logins = [asdict(login) for login in self.logins]
        text = json.dumps({"store": self.store, "logins": logins}, indent=2)
        try:
            replace_file(self.path, text.encode())
        except OSError as error:
            raise os_error(error, "write", str(self.path)) from error


def _complete(login: Login) -> Login:
    """Return a login with its secrets. Raises ClientError if the keyring does not give them."""
    if not login.keyring:
        return login
    secrets = load_secrets(login.keyring)
    return replace(login, token=secrets["token"], sudo=secrets["sudo"])


def _parse_login(stored: dict[str, Any]) -> Login:
    endpoints = Endpoints(**stored["endpoints"])
    return Login(**{**stored, "endpoints": replace(endpoints, named=tuple(endpoints.named))})


def config_directory() -> Path:
    """Return $DITS_CONFIG_DIR, or `dits` in the user's configuration directory: on Windows, %APPDATA%."""
    if given := os.environ.get("DITS_CONFIG_DIR"):
        return Path(given)
    base = os.environ.get("APPDATA" if sys.platform == "win32" else "XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "dits"

"""Where the servers are, and the credentials that the user keeps for them."""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from dits_client.errors import ClientError, os_error

BASE_PORT = 50051
SERVICES = ("auth", "repo", "chunk", "lock")
_LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses of the four services, each `host:port`."""

    auth: str
    repo: str
    chunk: str
    lock: str
    tls: bool = False

    @classmethod
    def parse(cls, server: str, environ: Mapping[str, str] | None = None) -> Self:
        """Read `[http://|https://]host[:port]`; the services are at port … port + 3.

        DITS_AUTH, DITS_REPO, DITS_CHUNK and DITS_LOCK in `environ` say otherwise.
        """
        scheme, found, rest = server.partition("://")
        if not found:
            scheme, rest = "", server
        if scheme not in ("", "http", "https"):
            raise ClientError(f'"{server}" is not a server address: use http:// or https://')
        host, port = _split(rest.rstrip("/"), server)
        # A name without a scheme is trusted to be plain only on this machine.
        tls = scheme == "https" or (not scheme and host not in _LOCAL_HOSTS)
        shown = f"[{host}]" if ":" in host else host
        auth, repo, chunk, lock = (f"{shown}:{port + offset}" for offset in range(len(SERVICES)))
        return cls(auth, repo, chunk, lock, tls).overridden(environ or {})

    def overridden(self, environ: Mapping[str, str]) -> Self:
        """Return these addresses with those that DITS_AUTH and so on name."""
        return replace(
            self,
            auth=environ.get("DITS_AUTH") or self.auth,
            repo=environ.get("DITS_REPO") or self.repo,
            chunk=environ.get("DITS_CHUNK") or self.chunk,
            lock=environ.get("DITS_LOCK") or self.lock,
        )

    @property
    def name(self) -> str:
        """How the user and the credentials file call this server."""
        return f"{'https' if self.tls else 'http'}://{self.auth}"


def _split(address: str, given: str) -> tuple[str, int]:
    """Return host and port of `host`, `host:port`, `[v6]` or `[v6]:port`."""
    if address.startswith("["):
        host, _, rest = address[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = address.partition(":")
    if not host or any(mark in host for mark in "/@ ") or (port and not port.isdigit()):
        raise ClientError(f'"{given}" is not a server address: use host or host:port')
    number = int(port or BASE_PORT)
    if not 1 <= number <= 65535 - len(SERVICES):
        raise ClientError(f'"{given}" has no such port')
    return host, number


@dataclass(frozen=True, slots=True)
class Login:
    """One server, and who the user is there."""

    endpoints: Endpoints
    token: str
    # UUID of the API token, to revoke it at logout; empty = it was not made by `dits login`.
    token_id: str
    username: str
    # Name and address that go into commits.
    name: str
    email: str


class Credentials:
    """The user's logins, in one file that only the user may read."""

    def __init__(self, folder: Path | None = None) -> None:
        self.path = (folder or config_folder()) / "credentials.json"
        self.current = ""
        self.logins: dict[str, Login] = {}
        self._load()

    def get(self, server: str = "") -> Login | None:
        """Return the login for a server, or the current one; None = not logged in."""
        return self.logins.get(server or self.current)

    def put(self, login: Login) -> None:
        """Keep a login and make it the current one."""
        self.current = login.endpoints.name
        self.logins[self.current] = login
        self._save()

    def remove(self, server: str) -> None:
        """Forget a login."""
        self.logins.pop(server, None)
        if self.current == server:
            self.current = next(iter(self.logins), "")
        self._save()

    def _load(self) -> None:
        try:
            stored = json.loads(self.path.read_text())
            self.current = stored["current"]
            self.logins = {name: _login(value) for name, value in stored["logins"].items()}
        except FileNotFoundError:
            return
        except OSError as error:
            raise os_error(error, "read", str(self.path)) from error
        except (ValueError, KeyError, TypeError) as error:
            message = f'"{self.path}" is damaged: delete it and run `dits login`'
            raise ClientError(message) from error

    def _save(self) -> None:
        logins = {name: asdict(login) for name, login in self.logins.items()}
        text = json.dumps({"current": self.current, "logins": logins}, indent=2)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self.path, text.encode())
        except OSError as error:
            raise os_error(error, "write", str(self.path)) from error


def _login(stored: dict[str, Any]) -> Login:
    return Login(**{**stored, "endpoints": Endpoints(**stored["endpoints"])})


def config_folder() -> Path:
    """Return $DITS_CONFIG_DIR, or `dits` in the user's configuration folder."""
    if given := os.environ.get("DITS_CONFIG_DIR"):
        return Path(given)
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "dits"


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file by a new one with mode 0600; it holds the old or the new bytes, never a mix."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise

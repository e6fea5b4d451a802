"""The addresses of the services."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from dits_client.errors import UsageError
from dits_client.terminal import quote_text

BASE_PORT = 50051
_MOST_PORT = 65535
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
    # The services whose addresses the user named: what a server says of them does not count.
    named: tuple[str, ...] = ()

    @classmethod
    def parse(cls, server: str, environ: Mapping[str, str] | None = None) -> Self:
        """Return the addresses of `[http://|https://]host[:port]`: the services are at port … port + 3.

        DITS_AUTH, DITS_REPO, DITS_CHUNK and DITS_LOCK in `environ` replace single ones. Raises UsageError.
        """
        if "@" in server:
            # It may be a secret, and is not repeated.
            raise UsageError("a server address has no user and no password: use host or host:port")
        scheme, found, rest = server.partition("://")
        if not found:
            scheme, rest = "", server
        if scheme not in ("", "http", "https"):
            raise UsageError(
                f"{quote_text(server)} is not a server address: use http:// or https://"
            )
        host, port = _split(rest.rstrip("/"), server, _MOST_PORT - len(SERVICES) + 1)
        # Without a scheme, only servers on this machine are called without TLS.
        tls = scheme == "https" or (not scheme and host not in _LOCAL_HOSTS)
        shown = f"[{host}]" if ":" in host else host
        auth, repo, chunk, lock = (f"{shown}:{port + offset}" for offset in range(len(SERVICES)))
        return cls(auth, repo, chunk, lock, tls).override(environ or {})

    def override(self, environ: Mapping[str, str]) -> Self:
        """Return a copy with the addresses that DITS_AUTH, DITS_REPO, DITS_CHUNK and DITS_LOCK name.

        Raises UsageError.
        """
        given = {name: environ.get(f"DITS_{name.upper()}", "") for name in SERVICES}
        for address in filter(None, given.values()):
            _split(address, address)
        named = tuple(name for name in SERVICES if given[name] or name in self.named)
        return replace(self._with(given), named=named)

    def relocate(self, **addresses: str) -> Self:
        """Return a copy with the addresses that the server names, but for those that the user named."""
        return self._with({k: v for k, v in addresses.items() if k not in self.named})

    def _with(self, addresses: Mapping[str, str]) -> Self:
        """Return a copy with other addresses for some services; empty = the same."""
        return replace(
            self,
            auth=addresses.get("auth") or self.auth,
            repo=addresses.get("repo") or self.repo,
            chunk=addresses.get("chunk") or self.chunk,
            lock=addresses.get("lock") or self.lock,
        )

    @property
    def name(self) -> str:
        """The name of this server for the user and in the credentials file."""
        return f"{'https' if self.tls else 'http'}://{self.auth}"


def _split(address: str, given: str, most: int = _MOST_PORT) -> tuple[str, int]:
    """Return host and port of `host`, `host:port`, `[v6]` or `[v6]:port`. Raises UsageError."""
    if address.startswith("["):
        host, _, rest = address[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = address.partition(":")
    if not host or any(mark in host for mark in "/ ") or (port and not port.isdecimal()):
        raise UsageError(f"{quote_text(given)} is not a server address: use host or host:port")
    number = int(port or BASE_PORT)
    if not 1 <= number <= most:
        raise UsageError(f"{quote_text(given)} has no such port")
    return host, number

"""What a client calls with: an API token, or a session that is kept alive and gets new tokens.

The rules of the server: a session ends 24 hours after login whatever one does, or 30 minutes after its
last use; a token that was replaced lets calls in for 30 minutes more, and opens no other token. Processes
share a session by a store, and may refresh it at the same moment: the server gives them the same token.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from dits_client.errors import ClientError, RemoteError
from dits_client.server.backoff import end_waits_at

Metadata = tuple[tuple[str, str], ...]

# A command that finds an older token replaces it, so that one that was stolen is of use for minutes.
REFRESH_SECONDS = 600.0
# How often a program that makes no calls for long says that it is there.
KEEP_ALIVE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class SessionToken:
    """The token of a session, and when it was got, by this machine's clock."""

    token: str
    time: float

    def is_old(self) -> bool:
        """Return whether it should be replaced; one from the future was stored under another clock."""
        return not 0 <= time.time() - self.time < REFRESH_SECONDS


class SessionStore(Protocol):
    """Where the token of a session is kept for all processes that use it."""

    def load(self) -> SessionToken | None:
        """Return the newest token; None if the session is gone from the store."""

    def save(self, token: SessionToken) -> None:
        """Keep a new token."""


class Credential:
    """An API token, or nothing."""

    def __init__(self, token: str = "") -> None:
        self._token = token

    @property
    def token(self) -> str:
        """The secret."""
        return self._token

    def get_metadata(self) -> Metadata:
        """Return the metadata that a call is sent with."""
        return make_metadata(self._token)

    def renew(self, refused: Metadata) -> bool:
        """Return whether a call that was refused with this metadata may be repeated with other."""
        del refused
        return False

    def close(self) -> None:
        """End what goes on in the background."""


class SessionCredential(Credential):
    """A session: its token is replaced when it is old, and it is kept alive while the program runs."""

    def __init__(
        self,
        server: str,
        store: SessionStore,
        refresh: Callable[[str], str],
        touch: Callable[[Metadata], object],
    ) -> None:
        """Take the server's name, what replaces a token by a call, and a call that uses the session."""
        super().__init__()
        self._server = server
        self._store = store
        self._refresh = refresh
        self._touch = touch
        self._lock = threading.Lock()
        self._is_closed = threading.Event()
        self._keeper: threading.Thread | None = None

    def get_metadata(self) -> Metadata:
        """Return the metadata that a call is sent with; before the first call, an old token is replaced."""
        with self._lock:
            if self._keeper is None:
                self._begin()
            return make_metadata(self._token)

    def renew(self, refused: Metadata) -> bool:
        """Return whether there is another token: one that another process got, or that is asked for.

        Raise ClientError if the session has ended.
        """
        with self._lock:
            if make_metadata(self._token) == refused:
                before = self._token
                self._token = self._load().token
                if self._token == before:
                    self._replace()
            return make_metadata(self._token) != refused

    def close(self) -> None:
        """Stop keeping the session alive."""
        self._is_closed.set()
        if self._keeper is not None:
            self._keeper.join()

    def _begin(self) -> None:
        found = self._load()
        self._token = found.token
        if found.is_old():
            # Without an answer, the token is as good as before.
            with suppress(RemoteError):
                self._replace()
        self._keeper = threading.Thread(target=self._keep_alive, daemon=True)
        self._keeper.start()

    def _keep_alive(self) -> None:
        """Use the session from time to time, with the newest token."""
        end_waits_at(self._is_closed)
        while not self._is_closed.wait(KEEP_ALIVE_SECONDS):
            with suppress(ClientError, OSError):
                with self._lock:
                    self._token = self._load().token
                    metadata = make_metadata(self._token)
                self._touch(metadata)

    def _load(self) -> SessionToken:
        found = self._store.load()
        if found is None:
            raise self._ended_error()
        return found

    def _replace(self) -> None:
        """Ask for the token after the own one, and keep it. Raise ClientError if the session has ended."""
        try:
            token = self._refresh(self._token)
        except RemoteError as error:
            if error.code == "UNAUTHENTICATED":
                raise self._ended_error() from None
            raise
        self._token = token
        self._store.save(SessionToken(token, time.time()))

    def _ended_error(self) -> ClientError:
        command = f"dits login --session {self._server}"
        return ClientError(f"your session has ended: log in again (`{command}`)")


def make_metadata(token: str) -> Metadata:
    """Return the metadata that names a token; none for an empty one."""
    if not (token.isascii() and token.isprintable()):
        raise ClientError("the token has characters that no token has: copy it again")
    return (("authorization", f"Bearer {token}"),) if token else ()

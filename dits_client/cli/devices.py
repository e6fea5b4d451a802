"""Device tokens: by which a server tells this device from strangers who guess the user's password."""

import json
import socket
from contextlib import suppress

from dits_client.atomic_file import replace_file
from dits_client.cli.credentials import config_directory


class Devices:
    """The user's device tokens, one for each login at each server. They open nothing, and may get lost."""

    def __init__(self) -> None:
        self._path = config_directory() / "devices.json"

    def get(self, server: str, username: str) -> str:
        """Return the device token of a login; empty = there is none."""
        return self._load().get(_key(server, username), "")

    def put(self, server: str, username: str, token: str) -> None:
        """Store the device token of a login, if the folder can be written."""
        text = json.dumps(self._load() | {_key(server, username): token}, indent=2)
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._path, text.encode())

    def _load(self) -> dict[str, str]:
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(stored, dict):
            return {}
        return {key: token for key, token in stored.items() if isinstance(token, str)}


def name_device() -> str:
    """Return the name of this machine, as lists of sessions show it."""
    return (socket.gethostname() or "unknown")[:255]


def _key(server: str, username: str) -> str:
    return f"{username.casefold()} at {server}"

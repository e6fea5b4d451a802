"""What the tests of the client share: people with folders, and a proxy that breaks connections."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from dits_client.checkout.clone import clone_repository
from dits_client.checkout.pull import pull_folder
from dits_client.checkout.report import CheckoutReport
from dits_client.checkout.switch import switch_folder
from dits_client.push.push_folder import push_folder
from dits_client.push.report import PushReport
from dits_client.server.client import Client
from dits_client.server.endpoints import Endpoints
from dits_client.server.repository import RepositoryClient
from dits_client.workspace.state import make_state
from dits_client.workspace.status import StatusReport, compare_folder
from dits_client.workspace.workspace import Workspace
from tests.support.api import Account, Api

Files = Mapping[str, bytes | str | None]
# Runs a `dits` command; `fails` = it must fail.
Run = Callable[..., Awaitable[str]]
PASSWORD = "correct horse battery staple"
NOISE = random.Random(11).randbytes(4_000_000)


def write(root: Path, files: Files) -> None:
    """Make files (bytes) and links (str), remove what is None."""
    for name, content in files.items():
        path = root / name
        if path.is_symlink() or path.is_file():
            path.unlink()
        if content is None:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)


def read(root: Path) -> dict[str, tuple[int, bytes] | str]:
    """What is in a folder: mode and content of files, targets of links."""
    found: dict[str, tuple[int, bytes] | str] = {}
    for folder, folders, names in os.walk(root):
        if Path(folder) == root:
            folders.remove(".dits")
        for name in [*names, *(n for n in folders if (Path(folder) / n).is_symlink())]:
            path = Path(folder) / name
            key = str(path.relative_to(root))
            if path.is_symlink():
                found[key] = str(path.readlink())
            else:
                found[key] = (path.stat().st_mode & 0o777, path.read_bytes())
    return found


class Person:
    """Someone with a client; calls run in a thread, because the services run on this loop."""

    def __init__(self, api: Api, account: Account, home: Path, **elsewhere: str) -> None:
        self.account = account
        self.home = home
        home.mkdir(exist_ok=True)
        at = self._addresses = api.addresses | elsewhere
        endpoints = Endpoints(at["auth"], at["repo"], at["chunk"], at["lock"])
        self.client = Client(endpoints, account.token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    @property
    def environ(self) -> dict[str, str]:
        """What a process of theirs finds in its environment."""
        found = {f"DITS_{name.upper()}": address for name, address in self._addresses.items()}
        config = str(self.home / "config")
        return found | {"DITS_TOKEN": self.account.token, "DITS_CONFIG_DIR": config}

    async def push(self, folder: str, repository: str = "", **options: Any) -> PushReport:
        """Push a folder, which is made if need be, and made to follow a repository if it follows none."""
        path = self.home / folder
        path.mkdir(exist_ok=True)
        if repository and not (path / ".dits").exists():
            await asyncio.to_thread(self._follow, path, repository)
        return await asyncio.to_thread(push_folder, path, self.client, **options)

    def _follow(self, path: Path, repository: str) -> None:
        info = RepositoryClient(self.client, repository).get_info()
        Workspace.create(path, make_state(self.client.endpoints.name, info))

    async def clone(self, repository: str, folder: str, **options: Any) -> CheckoutReport:
        """Clone into a folder."""
        path = self.home / folder
        return await asyncio.to_thread(clone_repository, self.client, repository, path, **options)

    async def pull(self, folder: str, **options: Any) -> CheckoutReport:
        """Pull into a folder."""
        return await asyncio.to_thread(pull_folder, self.home / folder, self.client, **options)

    async def switch(self, folder: str, branch: str = "", **options: Any) -> CheckoutReport:
        """Bring a folder to a branch."""
        path = self.home / folder
        return await asyncio.to_thread(switch_folder, path, self.client, branch, **options)

    async def status(self, folder: str) -> StatusReport:
        """What `dits status` finds."""
        return await asyncio.to_thread(compare_folder, self.home / folder, lambda: self.client)

    async def changes(self, folder: str) -> list[str]:
        """The paths that `dits status` lists."""
        report = await self.status(folder)
        return sorted([*report.new, *report.changed, *report.deleted])


class Proxy:
    """Passes TCP connections on, and breaks them when `budget` bytes have passed.

    With `stall`, a connection that breaks stays open in both directions, and nothing passes any more.
    With `rate`, so many bytes pass in a second, each way.
    """

    def __init__(self, target: str, *, stall: bool = False, rate: int = 0, port: int = 0) -> None:
        host, _, target_port = target.rpartition(":")
        self._target = (host, int(target_port))
        self._listener = socket.create_server(("127.0.0.1", port))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        # None = never break; after a break the next connection has the next budget.
        self.budgets: list[int] = []
        self.breaks = 0
        self.connections = 0
        self._rate = rate
        self._stall = stall
        self._ended = threading.Event()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                server = socket.create_connection(self._target)
                stalled = threading.Event()
                for one, other in ((client, server), (server, client)):
                    ends = (one, other, stalled)
                    threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, stalled: threading.Event) -> None:
        data = b""
        with suppress(OSError):
            while data := one.recv(1 << 12 if self._rate else 1 << 16):
                if stalled.is_set() or self._spend(len(data)):
                    break
                other.sendall(data)
                if self._rate:
                    self._ended.wait(len(data) / self._rate)
        if self._stall and data:
            stalled.set()
            self._ended.wait()
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _spend(self, count: int) -> bool:
        """Whether the connection breaks now."""
        with self._lock:
            if not self.budgets:
                return False
            self.budgets[0] -= count
            if self.budgets[0] > 0:
                return False
            self.budgets.pop(0)
            self.breaks += 1
            return True


def read_files(root: Path) -> dict[str, bytes]:
    """The files of a working copy."""
    paths = (path for path in root.rglob("*") if path.is_file() and ".dits" not in path.parts)
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}

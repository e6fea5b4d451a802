"""`dits lock`, `unlock`, `renew`, `steal` and `locks`."""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain

from dits.common.v1.error_reason_pb2 import ERROR_REASON_NOT_FOUND
from dits.common.v1.lock_type_pb2 import (
    LOCK_TYPE_ADVISORY,
    LOCK_TYPE_EXCLUSIVE,
    LOCK_TYPE_SHARED,
)
from dits.lock.v1.lock_service_pb2 import RENEW_OUTCOME_RENEWED, AcquireResult, Lock
from google.protobuf.timestamp_pb2 import Timestamp

from dits_client.cli.answers import record
from dits_client.cli.lock_list import describe_lock
from dits_client.cli.lock_paths import find_held_paths, find_paths_to_lock, iterate_covered
from dits_client.cli.session import connect_to, enter_session
from dits_client.cli.table import format_time
from dits_client.cli.workspace_paths import open_workspace, parse_paths
from dits_client.errors import ClientError, RemoteError
from dits_client.progress import Warnings
from dits_client.server.locks import (
    LockOptions,
    acquire_locks,
    find_conflicts,
    list_locks,
    release_locks,
    renew_locks,
    steal_lock,
)
from dits_client.server.repository import RepositoryClient
from dits_client.terminal import escape_text
from dits_client.workspace.identity import check_followed
from dits_client.workspace.lock_modes import refresh_modes
from dits_client.workspace.scan import list_paths
from dits_client.workspace.status import compare_folder
from dits_client.workspace.workspace import Workspace


def handle_lock(arguments: Namespace) -> None:
    """Take locks: all of them or none, up to a thousand paths."""
    workspace = open_workspace()
    with (
        connect_to(workspace) as (repository, _),
        _explain_missing_branch(workspace, repository),
    ):
        paths = find_paths_to_lock(
            workspace,
            lambda: repository.client,
            arguments.paths,
            new=arguments.new,
            directory=arguments.directory,
        )
        longer: list[Lock] = []
        for response in acquire_locks(repository, paths, _make_options(arguments, workspace)):
            for result in response.results:
                if _ends_before(result, response.server_time, arguments.ttl):
                    longer.append(result.lock)
                else:
                    _print_result(result)
        _renew(repository, longer, arguments.ttl)
        refresh_modes(workspace.root, repository, Warnings())


def _ends_before(result: AcquireResult, now: Timestamp, ttl: int | None) -> bool:
    """Return whether a lock that was held already ends before the time that the user asks for."""
    if not result.already_held or ttl is None:
        return False
    return result.lock.expire_time.ToNanoseconds() < now.ToNanoseconds() + ttl * 10**9


def handle_steal(arguments: Namespace) -> None:
    """Take over locks of other holders, who are notified.

    The token of a login may not do that, so the user enters the password again.
    """
    workspace = open_workspace()
    options = _make_options(arguments, workspace)
    with (
        connect_to(workspace) as (repository, login),
        ExitStack() as stack,
        _explain_missing_branch(workspace, repository),
    ):
        paths = list(parse_paths(workspace, arguments.paths))
        conflicts = find_conflicts(repository, paths, options.type)
        if any(not held.ours for locks in conflicts.values() for held in locks):
            client = enter_session(
                stack, repository.client, login, from_stdin=arguments.password_stdin
            )
            repository = RepositoryClient(client, repository.name)
        for path, taken in conflicts.items():
            _print_result(steal_lock(repository, path, taken, options))
            for held in taken:
                print(f"  taken away: {describe_lock(held)}")
        refresh_modes(workspace.root, repository, Warnings())


def _make_options(arguments: Namespace, workspace: Workspace) -> LockOptions:
    """Return the options for new locks: only on files of which the folder has the newest version."""
    lock_type = LOCK_TYPE_EXCLUSIVE
    if arguments.shared or arguments.advisory:
        lock_type = LOCK_TYPE_SHARED if arguments.shared else LOCK_TYPE_ADVISORY
    return LockOptions(
        lock_type,
        arguments.ttl,
        arguments.reason,
        arguments.release_on_push,
        base_commit="" if arguments.outdated else workspace.state.head,
        branch=workspace.state.branch,
    )


@contextmanager
def _explain_missing_branch(workspace: Workspace, repository: RepositoryClient) -> Iterator[None]:
    """Tell the user what to do if the branch to compare with, or the folder's commit, no longer exists."""
    try:
        yield
    except RemoteError as error:
        missing = error.details.resource
        if error.reason != ERROR_REASON_NOT_FOUND or missing is None or missing.type != "revision":
            raise
        check_followed(repository, workspace.state, "")
        branch = workspace.state.branch
        message = f"{branch} is no longer on the server, so its newest versions are unknown: use --outdated"
        raise ClientError(message) from None


def _print_result(result: AcquireResult) -> None:
    record(result)
    word = "yours already" if result.already_held else "locked"
    print(f"{word}: {escape_text(result.path)} until {format_time(result.lock.expire_time)}")


def handle_unlock(arguments: Namespace) -> None:
    """Release locks by their paths."""
    workspace = open_workspace()
    with connect_to(workspace) as (repository, _):
        mine: dict[str, list[Lock]] = {}
        for held in list_locks(repository, holder="me"):
            mine.setdefault(held.path, []).append(held)
        paths = find_held_paths(workspace, arguments.paths, chain.from_iterable(mine.values()))
        ending = [held for path in paths for held in mine[path]]
        if not arguments.discard_protection:
            _check_unpushed(workspace, repository, ending)
        release_locks(repository, [held.id for held in ending])
        refresh_modes(workspace.root, repository, Warnings())
    for path in paths:
        record({"released": path})
        print(f"released: {escape_text(path)}")


def _check_unpushed(workspace: Workspace, repository: RepositoryClient, ending: list[Lock]) -> None:
    """Raise ClientError for contents that are not pushed: others could change the same file then."""
    report = compare_folder(workspace.root, lambda: repository.client)
    changed = [*report.changed, *report.new, *report.unusable_paths]
    covering = [held.path for held in ending if held.type != LOCK_TYPE_ADVISORY]
    found = sorted({path for held in covering for path in iterate_covered(changed, held)})
    if found:
        raise ClientError(
            f"{list_paths(found)} has changes that are not pushed: run `dits push` first, or say "
            "--discard-protection"
        )


def handle_renew(arguments: Namespace) -> None:
    """Make locks last longer."""
    workspace = open_workspace()
    with connect_to(workspace) as (repository, _):
        held = list(list_locks(repository, holder="me"))
        if arguments.paths:
            paths = find_held_paths(workspace, arguments.paths, held)
            held = [lock for lock in held if lock.path in paths]
        _renew(repository, held, arguments.ttl)


def _renew(repository: RepositoryClient, held: Sequence[Lock], ttl: int | None) -> None:
    paths, lost = {lock.id: lock.path for lock in held}, []
    for response in renew_locks(repository, held, ttl):
        for result in response.results:
            if result.outcome == RENEW_OUTCOME_RENEWED:
                record(result)
                until = format_time(result.lock.expire_time)
                print(f"renewed: {escape_text(result.lock.path)} until {until}")
            else:
                lost.append(paths[result.lock_id])
    if lost:
        raise ClientError(f"the lock on {list_paths(lost)} has ended: run `dits lock`")

"""`dits lock`, `unlock`, `steal` and `locks`."""

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from dits.common.v1.error_reason_pb2 import ERROR_REASON_NOT_FOUND
from dits.common.v1.lock_type_pb2 import (
    LOCK_TYPE_ADVISORY,
    LOCK_TYPE_EXCLUSIVE,
    LOCK_TYPE_SHARED,
    LockType,
)
from dits.lock.v1.lock_service_pb2 import (
    AcquireResult,
    Lock,
)
from google.protobuf.timestamp_pb2 import Timestamp

from dits_client.cli.session import (
    connect_to,
    get_username,
    open_session,
    open_workspace,
    parse_paths,
    read_password,
)
from dits_client.cli.table import tell_if_empty
from dits_client.errors import ClientError, RemoteError
from dits_client.server.locks import (
    LockOptions,
    acquire_locks,
    find_conflicts,
    list_locks,
    release_locks,
    steal_lock,
)
from dits_client.server.repository import RepositoryClient
from dits_client.workspace.workspace import Workspace


def handle_lock(arguments: Namespace) -> None:
    """Take locks: all of them or none, up to a thousand paths."""
    workspace = open_workspace()
    with connect_to(workspace) as (repository, _), _explain_missing_branch(workspace):
        paths, options = (
            list(parse_paths(workspace, arguments.paths)),
            _make_options(arguments, workspace),
        )
        for response in acquire_locks(repository, paths, options):
            for result in response.results:
                _print_result(result)


def handle_steal(arguments: Namespace) -> None:
    """Take over locks of other holders, who are notified.

    The token of a login may not do that, so the user enters the password again.
    """
    workspace = open_workspace()
    options = _make_options(arguments, workspace)
    with (
        connect_to(workspace) as (repository, login),
        ExitStack() as stack,
        _explain_missing_branch(workspace),
    ):
        paths = list(parse_paths(workspace, arguments.paths))
        conflicts = find_conflicts(repository, paths, options.type)
        if not os.environ.get("DITS_TOKEN") and any(
            not held.ours for locks in conflicts.values() for held in locks
        ):
            name = get_username(repository.client, login)
            password = read_password(f"Password of {name}: ", from_stdin=arguments.password_stdin)
            client = stack.enter_context(open_session(login.endpoints, name, password))
            repository = RepositoryClient(client, repository.name)
        for path, taken in conflicts.items():
            _print_result(steal_lock(repository, path, taken, options))
            for held in taken:
                print(f"  taken away: {_describe_lock(held)}")


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
def _explain_missing_branch(workspace: Workspace) -> Iterator[None]:
    """Tell the user what to do if the branch to compare with no longer exists."""
    try:
        yield
    except RemoteError as error:
        missing = error.details.resource
        if error.reason != ERROR_REASON_NOT_FOUND or missing is None or missing.type != "revision":
            raise
        branch = workspace.state.branch
        message = f"{branch} is no longer on the server, so its newest versions are unknown: use --outdated"
        raise ClientError(message) from None


def _print_result(result: AcquireResult) -> None:
    word = "yours already" if result.already_held else "locked"
    print(f"{word}: {result.path} until {_format_time(result.lock.expire_time)}")


def handle_unlock(arguments: Namespace) -> None:
    """Release locks by their paths."""
    workspace = open_workspace()
    with connect_to(workspace) as (repository, _):
        mine: dict[str, list[str]] = {}
        for held in list_locks(repository, holder="me"):
            mine.setdefault(held.path, []).append(held.id)
        paths = list(parse_paths(workspace, arguments.paths))
        missing = [path for path in paths if path not in mine]
        if missing:
            raise ClientError(f"you hold no lock on {', '.join(missing)}")
        release_locks(repository, [lock_id for path in paths for lock_id in mine[path]])
    for path in paths:
        print(f"released: {path}")


def handle_locks(arguments: Namespace) -> None:
    """List live locks: path, type, holder, times and reason."""
    holder = "me" if arguments.mine else ""
    with connect_to(open_workspace()) as (repository, _):
        for held in tell_if_empty(list_locks(repository, holder=holder), "No locks."):
            print(_describe_lock(held))


def _describe_lock(held: Lock) -> str:
    """Return a line with path, type, holder, times and reason of a lock."""
    lock_type = LockType.Name(held.type).removeprefix("LOCK_TYPE_").lower()
    reason = f"  ({held.reason})" if held.reason else ""
    since, until = _format_time(held.lock_time), _format_time(held.expire_time)
    return f"{held.path}  {lock_type}  {_name_holder(held)}  since {since}  until {until}{reason}"


def _name_holder(held: Lock) -> str:
    return "you" if held.ours else held.holder


def _format_time(moment: Timestamp) -> str:
    return moment.ToDatetime().strftime("%Y-%m-%d %H:%M UTC")

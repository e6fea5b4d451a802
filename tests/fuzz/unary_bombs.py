"""Calls of one message of the corpus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from dits.auth.v1 import account_service_pb2, session_service_pb2, token_service_pb2
from dits.lock.v1 import lock_service_pb2 as lock_pb
from dits.repo.v1 import (
    commit_service_pb2,
    event_service_pb2,
    ref_service_pb2,
    repository_service_pb2,
)
from dits.repo.v1 import tree_service_pb2 as tree_pb
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from tests.fuzz.bombs import bomb, send
from tests.fuzz.conftest import Target

ACCENTS = "\u0301\u0323"
ACQUIRE = "/dits.lock.v1.LockService/AcquireLocks"
CHECK = "/dits.lock.v1.LockService/CheckPaths"
SINCE = "/dits.repo.v1.CommitService/FindChangesSince"
REFUSED = ("INVALID_FIELD", "BATCH_TOO_LARGE")


def add(
    name: str, path: str, build: Callable[[Target], Message], *ends: str, times: int = 1
) -> None:
    """Adds a case of one request, or of many at once."""

    async def attack(target: Target) -> str:
        request = build(target)
        ended = await asyncio.gather(*(send(target, path, request) for _ in range(times)))
        return " ".join(sorted(set(ended)))

    attack.__name__ = name
    bomb(*ends)(attack)


def acquire(*paths: str) -> Callable[[Target], Message]:
    return lambda target: lock_pb.AcquireLocksRequest(
        repository=target.world.repository.id, paths=paths
    )


def check(*paths: str) -> Callable[[Target], Message]:
    return lambda target: lock_pb.CheckPathsRequest(
        repository=target.world.repository.id, paths=paths
    )


def since(base: int, *paths: str) -> Callable[[Target], Message]:
    def build(target: Target) -> Message:
        commits: list[Any] = target.world.known.values["commit"]
        return commit_service_pb2.FindChangesSinceRequest(
            repository=target.world.repository.id, base_commit=commits[base], paths=paths
        )

    return build


LONG = [f"{i:04}/" + "p" * 1_019 for i in range(1_000)]
DEEP = [f"{i:04}/" + "a/" * 500 for i in range(1_000)]
# The largest paths that are not in NFC and may pass.
SLOW = [f"{i:04}" + ("a" + ACCENTS * 3) * 75 for i in range(1_000)]

add("locks_on_1_000_long_paths", ACQUIRE, acquire(*LONG), "OK", "LOCK_HELD")
add("locks_on_1_000_deep_paths", ACQUIRE, acquire(*DEEP), "OK", "LOCK_HELD")
add("locks_on_1_000_accented_paths", ACQUIRE, acquire(*SLOW), "OK", "LOCK_HELD")
add("locks_on_1_001_paths", ACQUIRE, acquire(*map(str, range(1_001))), "BATCH_TOO_LARGE")
add("locks_on_100_000_paths", ACQUIRE, acquire(*map(str, range(100_000))), "BATCH_TOO_LARGE")
add("a_path_that_is_slow_to_normalize", ACQUIRE, acquire("a" + ACCENTS * 400_000), *REFUSED)
add(
    "paths_that_are_slow_to_normalize",
    CHECK,
    check(*(f"{i}a" + ACCENTS * 700 for i in range(900))),
    *REFUSED,
)
add("a_path_of_4_million_parts", CHECK, check("a/" * 1_900_000), *REFUSED)
add("checks_of_1_000_long_paths", CHECK, check(*LONG), "OK", times=4)
add("changes_of_1_000_paths", SINCE, since(0, *DEEP), "OK", *REFUSED, times=4)
add(
    "a_prefix_that_is_slow_to_normalize",
    "/dits.lock.v1.LockService/ListLocks",
    lambda target: lock_pb.ListLocksRequest(
        repository=target.world.repository.id, path_prefix="a" + ACCENTS * 400_000
    ),
    *REFUSED,
)
add(
    "a_page_token_of_4_mb",
    "/dits.lock.v1.LockService/ListLocks",
    lambda target: lock_pb.ListLocksRequest(
        repository=target.world.repository.id, page_token="A" * 4_000_000
    ),
    "INVALID_PAGE_TOKEN",
)
add(
    "a_cursor_of_4_mb",
    "/dits.lock.v1.LockService/Watch",
    lambda target: lock_pb.WatchRequest(
        repository=target.world.repository.id, cursor="A" * 4_000_000
    ),
    "CURSOR_TOO_OLD",
    *REFUSED,
)
add(
    "event_patterns_by_the_million",
    "/dits.repo.v1.EventService/Watch",
    lambda _: event_service_pb2.WatchRequest(patterns=["*"] * 1_000_000),
    "BATCH_TOO_LARGE",
)
add(
    "an_event_pattern_of_4_mb",
    "/dits.repo.v1.EventService/Watch",
    lambda _: event_service_pb2.WatchRequest(patterns=["lock.*" * 600_000]),
    "INVALID_FIELD",
)
add(
    "a_cursor_of_events_of_4_mb",
    "/dits.repo.v1.EventService/Watch",
    lambda _: event_service_pb2.WatchRequest(cursor="A" * 4_000_000),
    "INVALID_FIELD",
)
add(
    "a_repository_of_4_mb",
    "/dits.repo.v1.RepositoryService/GetRepository",
    lambda _: repository_service_pb2.GetRepositoryRequest(repository="a-" * 2_000_000 + "/b"),
    "INVALID_FIELD",
)
add(
    "a_branch_of_4_mb",
    "/dits.repo.v1.RefService/GetBranch",
    lambda target: ref_service_pb2.GetBranchRequest(
        repository=target.world.repository.id, name="a/" * 1_900_000
    ),
    "INVALID_FIELD",
)
add(
    "a_directory_of_4_mb",
    "/dits.repo.v1.TreeService/ListDirectory",
    lambda target: tree_pb.ListDirectoryRequest(
        repository=target.world.repository.id, path="../" * 1_200_000
    ),
    "INVALID_FIELD",
)
add(
    "a_password_of_4_mb",
    "/dits.auth.v1.SessionService/Login",
    lambda _: session_service_pb2.LoginRequest(login="nobody", password="p" * 4_000_000),
    "UNAUTHENTICATED",
    "RATE_LIMITED",
    "INVALID_FIELD",
)
add(
    "an_address_of_4_mb",
    "/dits.auth.v1.AccountService/Register",
    lambda _: account_service_pb2.RegisterRequest(
        username="bomb", email="@" * 4_000_000, password="correct horse battery"
    ),
    "INVALID_FIELD",
)
add(
    "preferences_without_number",
    "/dits.auth.v1.AccountService/UpdateProfile",
    lambda _: account_service_pb2.UpdateProfileRequest(
        values=account_service_pb2.User(preferences={f"k{n}": "" for n in range(200_000)}),
        update_mask=FieldMask(paths=["preferences"]),
    ),
    *REFUSED,
    "LIMIT_REACHED",
)
add(
    "fields_without_number",
    "/dits.auth.v1.AccountService/UpdateProfile",
    lambda _: account_service_pb2.UpdateProfileRequest(
        update_mask=FieldMask(paths=["preferences.a"] * 200_000)
    ),
    *REFUSED,
)
add(
    "scopes_without_number",
    "/dits.auth.v1.TokenService/CreateToken",
    lambda _: token_service_pb2.CreateTokenRequest(name="t", scopes=["repo:read"] * 100_000),
    "OK",
    *REFUSED,
)
add(
    "repositories_without_number",
    "/dits.auth.v1.TokenService/CreateToken",
    lambda target: token_service_pb2.CreateTokenRequest(
        name="t", scopes=["repo:read"], repositories=[target.world.repository.id] * 100_000
    ),
    *REFUSED,
)
add(
    "extensions_without_number",
    "/dits.repo.v1.RepositoryService/CreateRepository",
    lambda _: repository_service_pb2.CreateRepositoryRequest(
        name="bomb",
        settings=repository_service_pb2.RepositorySettings(allowed_extensions=["exr"] * 100_000),
    ),
    *REFUSED,
)
add(
    "lock_ids_without_number",
    "/dits.lock.v1.LockService/ReleaseLocks",
    lambda target: lock_pb.ReleaseLocksRequest(
        repository=target.world.repository.id, lock_ids=[""] * 100_000
    ),
    "BATCH_TOO_LARGE",
)

"""Who may call what: one line per RPC. A test holds the table against the protos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType


class Permission(IntEnum):
    """Right on a repository; equal to dits.common.v1.Permission. Each includes the lower ones."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3


# Each scope with the scopes it includes. `site:admin` is minted only by the operator's command.
_INCLUDED: Mapping[str, tuple[str, ...]] = {
    "repo:read": (),
    "repo:write": ("repo:read", "lock:write"),
    "repo:admin": ("repo:write",),
    "repo:delete": (),
    "user:read": (),
    "user:write": ("user:read",),
    "org:read": (),
    "org:write": ("org:read",),
    "org:admin": ("org:write",),
    "webhook:read": (),
    "webhook:write": ("webhook:read",),
    "key:read": (),
    "key:write": ("key:read",),
    "lock:write": (),
    "site:admin": (),
}
SCOPES = frozenset(_INCLUDED)


def expand(scopes: frozenset[str]) -> frozenset[str]:
    """The scopes with all that they include."""
    found: set[str] = set()
    left = list(scopes)
    while left:
        scope = left.pop()
        if scope in _INCLUDED and scope not in found:
            found.add(scope)
            left.extend(_INCLUDED[scope])
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the request chain demands before a handler runs.

    Attributes:
        anonymous: also callers without a credential (for a repository: if it is public).
        scope: what an API token needs; sessions are not limited by scopes.
        permission: least right on the repository that the request names; NONE = it names none.
        mutates: refused while that repository is read-only.
        quiet: called by machines all the time; logged at debug level.
    """

    anonymous: bool = False
    scope: str | None = None
    permission: Permission = Permission.NONE
    mutates: bool = False
    quiet: bool = False


_ANYONE = Policy(anonymous=True)
_QUIET = Policy(anonymous=True, quiet=True)
_REPO_READ = Policy(anonymous=True, scope="repo:read", permission=Permission.READ)
_REPO_WRITE = Policy(scope="repo:write", permission=Permission.WRITE, mutates=True)
_LOCK_WRITE = Policy(scope="lock:write", permission=Permission.WRITE, mutates=True)

POLICY: Mapping[str, Policy] = MappingProxyType(
    {
        "/dits.auth.v1.AccountService/Register": _ANYONE,
        "/dits.auth.v1.AccountService/GetMe": Policy(scope="user:read"),
        "/dits.auth.v1.SessionService/Login": _ANYONE,
        "/dits.auth.v1.SessionService/Logout": Policy(),
        "/dits.auth.v1.TokenService/CreateToken": Policy(scope="user:write"),
        "/dits.auth.v1.TokenService/ListTokens": Policy(scope="user:read"),
        "/dits.auth.v1.TokenService/RevokeToken": Policy(),  # the handler looks at the scope
        "/dits.auth.v1.AccessService/CheckAccess": _QUIET,
        "/dits.repo.v1.RepositoryService/CreateRepository": Policy(scope="repo:write"),
        "/dits.repo.v1.RepositoryService/GetRepository": _REPO_READ,
        "/dits.repo.v1.RepositoryService/ListRepositories": Policy(scope="repo:read"),
        "/dits.repo.v1.RefService/CreateBranch": _REPO_WRITE,
        "/dits.repo.v1.RefService/GetBranch": _REPO_READ,
        "/dits.repo.v1.RefService/ListBranches": _REPO_READ,
        "/dits.repo.v1.RefService/UpdateBranch": _REPO_WRITE,
        "/dits.repo.v1.RefService/DeleteBranch": _REPO_WRITE,
        "/dits.repo.v1.CommitService/Push": _REPO_WRITE,
        "/dits.repo.v1.CommitService/GetCommit": _REPO_READ,
        "/dits.repo.v1.CommitService/ListCommits": _REPO_READ,
        "/dits.repo.v1.CommitService/FindChangesSince": _REPO_READ,
        "/dits.repo.v1.TreeService/GetManifest": _REPO_READ,
        "/dits.repo.v1.TreeService/StreamTree": _REPO_READ,
        "/dits.repo.v1.TreeService/ListDirectory": _REPO_READ,
        "/dits.repo.v1.TreeService/GetEntry": _REPO_READ,
        "/dits.chunk.v1.ChunkService/GetCapabilities": _ANYONE,
        "/dits.chunk.v1.ChunkService/FindMissingChunks": _REPO_WRITE,
        "/dits.chunk.v1.ChunkService/UploadChunks": _REPO_WRITE,
        "/dits.chunk.v1.ChunkService/DownloadChunks": _REPO_READ,
        "/dits.lock.v1.LockService/AcquireLocks": _LOCK_WRITE,
        "/dits.lock.v1.LockService/RenewLocks": _LOCK_WRITE,
        "/dits.lock.v1.LockService/ReleaseLocks": Policy(
            scope="lock:write", permission=Permission.WRITE
        ),
        "/dits.lock.v1.LockService/ForceReleaseLock": Policy(
            scope="repo:admin", permission=Permission.ADMIN
        ),
        "/dits.lock.v1.LockService/TransferLock": _LOCK_WRITE,
        "/dits.lock.v1.LockService/GetLock": _REPO_READ,
        "/dits.lock.v1.LockService/ListLocks": _REPO_READ,
        "/dits.lock.v1.LockService/CheckPaths": _REPO_READ,
        "/dits.lock.v1.LockService/ListHistory": _REPO_READ,
        "/dits.lock.v1.LockService/Watch": _REPO_READ,
        "/grpc.health.v1.Health/Check": _QUIET,
        "/grpc.health.v1.Health/List": _QUIET,
        "/grpc.health.v1.Health/Watch": _QUIET,
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": _QUIET,
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": _QUIET,
    }
)

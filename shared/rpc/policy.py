"""Who may call what, and how it may fail: permissions, scopes, and the option of each RPC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from dits.common.v1 import access_pb2
from dits.common.v1.error_reason_pb2 import ErrorReason
from google.protobuf.descriptor import MethodDescriptor


class Permission(IntEnum):
    """Right on a repository; equal to dits.common.v1.Permission. Each includes the lower ones."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3


# The operator's: only the command `dits-server admin create-token` mints it, and sessions do not have it.
SITE_ADMIN = "site:admin"
# Each scope with the scopes it includes.
_INCLUDED: Mapping[str, tuple[str, ...]] = {
    "repo:read": (),
    "repo:write": ("repo:read", "lock:write"),
    "repo:admin": ("repo:write",),
    "repo:delete": (),
    "user:read": (),
    "user:write": ("user:read", "notification:write"),
    "org:read": (),
    "org:write": ("org:read",),
    "org:admin": ("org:write",),
    "webhook:read": (),
    "webhook:write": ("webhook:read",),
    "key:read": (),
    "key:write": ("key:read",),
    "lock:write": (),
    "notification:write": (),
    SITE_ADMIN: (),
}
SCOPES = frozenset(_INCLUDED)
# Those that organisations have rules for; the function scope_is_of_repositories() says the same.
REPOSITORY_SCOPES = frozenset(
    scope for scope in SCOPES if scope.startswith(("repo:", "webhook:", "lock:"))
)


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


# What the chain and every handler may raise; an RPC's option declares the others.
COMMON_REASONS = frozenset(
    {
        ErrorReason.ERROR_REASON_INVALID_FIELD,
        ErrorReason.ERROR_REASON_UNDECODABLE_MESSAGE,
        ErrorReason.ERROR_REASON_BATCH_TOO_LARGE,
        ErrorReason.ERROR_REASON_UNAUTHENTICATED,
        ErrorReason.ERROR_REASON_PERMISSION_MISSING,
        ErrorReason.ERROR_REASON_SCOPE_MISSING,
        ErrorReason.ERROR_REASON_TOKEN_LIMITED,
        ErrorReason.ERROR_REASON_MFA_REQUIRED,
        ErrorReason.ERROR_REASON_TOKEN_REFUSED,
        ErrorReason.ERROR_REASON_NOT_FOUND,
        ErrorReason.ERROR_REASON_REPOSITORY_READ_ONLY,
        ErrorReason.ERROR_REASON_WRONG_CELL,
        ErrorReason.ERROR_REASON_CONTENTION,
        ErrorReason.ERROR_REASON_STREAM_ORDER,
        ErrorReason.ERROR_REASON_STREAM_IDLE,
        ErrorReason.ERROR_REASON_SERVER_BUSY,
        ErrorReason.ERROR_REASON_STORAGE_FULL,
        ErrorReason.ERROR_REASON_MANIFEST_CORRUPT,
        ErrorReason.ERROR_REASON_DEPENDENCY_UNAVAILABLE,
        ErrorReason.ERROR_REASON_STORE_REFUSES,
        ErrorReason.ERROR_REASON_INTERNAL,
    }
)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the request chain demands before a handler runs, and what the handler may raise.

    Attributes:
        anonymous: also callers without a credential (for a repository: if it is public).
        scope: what an API token needs; sessions are not limited by scopes.
        permission: least right on the repository that the request names; NONE = it names none.
        repository_field: path of the field that names the repository, in the first message.
        repository_optional: a request may name none, and the handler judges what it is about.
        limited_tokens: a token that is limited to repositories may call it without naming one.
        organization_field: path of the field that names an organisation instead.
        mutates: refused while that repository is read-only.
        quiet: machines call it all the time: logged at debug level, and the handler authenticates.
        large_messages: takes messages of the size of the largest chunk.
        sudo: which calls need sudo.
        sudo_field: path of the field without which a call never needs it.
        ends_access: it may take the caller's right, without which it is repeated then.
        counts_as: what a call that ended well adds to the usage of its caller and repository.
        reasons: of the errors that it may end with.
    """

    anonymous: bool = False
    scope: str | None = None
    permission: Permission = Permission.NONE
    repository_field: str = ""
    repository_optional: bool = False
    limited_tokens: bool = False
    organization_field: str = ""
    mutates: bool = False
    quiet: bool = False
    large_messages: bool = False
    sudo: access_pb2.Sudo.ValueType = access_pb2.SUDO_UNSPECIFIED
    sudo_field: str = ""
    ends_access: bool = False
    counts_as: access_pb2.Counting.ValueType = access_pb2.COUNTING_UNSPECIFIED
    reasons: frozenset[ErrorReason.ValueType] = COMMON_REASONS

    @classmethod
    def of(cls, method: MethodDescriptor) -> Policy:
        """Returns what the method's option says. Raises ValueError if it has none."""
        options = method.GetOptions()
        if not options.HasExtension(access_pb2.access):
            raise ValueError(f"{method.full_name} has no option (dits.common.v1.access)")
        option = options.Extensions[access_pb2.access]
        return cls(
            anonymous=option.anonymous,
            scope=option.scope or None,
            permission=Permission(option.permission),
            repository_field=option.repository_field,
            repository_optional=option.repository_optional,
            limited_tokens=option.limited_tokens,
            organization_field=option.organization_field,
            mutates=option.mutates,
            quiet=option.quiet,
            large_messages=option.large_messages,
            sudo=option.sudo,
            sudo_field=option.sudo_field,
            ends_access=option.ends_access,
            counts_as=option.counts_as,
            reasons=COMMON_REASONS.union(option.reasons),
        )


# Health and reflection, whose protos are not ours.
INFRASTRUCTURE = Policy(anonymous=True, quiet=True)

"""One RPC under way: who calls, on which repository, under which request id."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from shared.errors import (
    DomainError,
    mfa_required,
    permission_missing,
    scope_missing,
    sudo_required,
    token_limited,
    token_refused,
    unauthenticated,
)
from shared.rpc.amounts import Amounts
from shared.rpc.policy import SITE_ADMIN, Permission, expand
from shared.rpc.slots import Slot


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated account and the credential it came with.

    Attributes:
        user_id: the account.
        username: its name.
        is_session: a session; otherwise an API token.
        credential_id: the session or token.
        scopes: of the token, with all that they include; None = a session, not limited by scopes.
        reach: the only repositories that a token reaches; None = all that the account reaches.
        refused_by: organisations of the account that do not let a token reach their repositories.
        sudo_seconds: how long a session has sudo, from the time of the answer; 0 = it has none.
    """

    user_id: UUID
    username: str
    is_session: bool
    credential_id: UUID
    scopes: frozenset[str] | None
    reach: frozenset[UUID] | None = None
    sudo_seconds: float = 0.0
    refused_by: frozenset[UUID] = frozenset()

    @classmethod
    def of(
        cls,
        user_id: UUID,
        username: str,
        credential_id: UUID,
        scopes: list[str] | None,
        reach: frozenset[UUID] | None = None,
        sudo_seconds: float = 0.0,
        refused_by: frozenset[UUID] = frozenset(),
    ) -> Caller:
        """Builds a caller; `scopes` is None for a session."""
        expanded = None if scopes is None else expand(frozenset(scopes))
        return cls(
            user_id,
            username,
            scopes is None,
            credential_id,
            expanded,
            reach,
            sudo_seconds,
            refused_by,
        )

    def require_scope(self, scope: str | None) -> None:
        """Raises SCOPE_MISSING unless the credential covers the scope."""
        if scope is not None and self.scopes is not None and scope not in self.scopes:
            raise scope_missing(scope)

    def require_unlimited(self) -> None:
        """Raises TOKEN_LIMITED if it is a token that reaches only some repositories."""
        if self.reach is not None:
            raise token_limited()

    def require_entry(self, organization_id: UUID, organization: str) -> None:
        """Raises TOKEN_REFUSED if it is a token that an organisation of the account does not let in."""
        if organization_id in self.refused_by:
            raise token_refused(organization, "policy")

    def require_site_admin(self) -> None:
        """Raises SCOPE_MISSING unless it is a token that the operator made; no session is that much."""
        if not self.is_operator:
            raise scope_missing(SITE_ADMIN, is_session=self.is_session)

    @property
    def is_operator(self) -> bool:
        """Whether the operator made the token."""
        return self.scopes is not None and SITE_ADMIN in self.scopes


@dataclass(frozen=True, slots=True)
class RepositoryAccess:
    """A repository and the caller's right on it.

    Attributes:
        cell: number of the cell that holds it.
        organization_id: the organisation that owns it; None if a user does.
        withheld: what the caller was given, and cannot use without a second factor.
    """

    id: UUID
    owner: str
    name: str
    permission: Permission
    read_only: bool
    cell: int
    organization_id: UUID | None = None
    withheld: Permission = Permission.NONE

    def require(self, permission: Permission) -> None:
        """Raises PERMISSION_MISSING, or MFA_REQUIRED, unless the caller has the right."""
        if self.permission < permission <= self.withheld:
            raise mfa_required(self.owner)
        if self.permission < permission:
            raise permission_missing(permission.name, self.permission.name)


@dataclass(frozen=True, slots=True)
class Access:
    """Answer of an access check.

    Attributes:
        as_of: when it was asked for, by `time.monotonic()`: it was true at that moment or later.
    """

    caller: Caller | None
    repository: RepositoryAccess | None
    as_of: float = field(default_factory=time.monotonic, compare=False)

    def age(self) -> float:
        """Returns how many seconds ago it was certainly true."""
        return time.monotonic() - self.as_of


_NOT_CHECKED = Access(None, None)
_NO_SLOT = Slot()


class AccessResolver(Protocol):
    """Finds out who a credential belongs to and what it may do."""

    async def resolve(
        self,
        token: str | None,
        repository: str,
        max_age: float,
        address: str | None = None,
        *,
        is_open: bool = False,
    ) -> Access:
        """Checks, or takes an answer that is at most `max_age` seconds old.

        `address` is the caller's, for the record of uses. `is_open`: the call was let in with this token
        before, and goes on if it was replaced meanwhile. Raises UNAUTHENTICATED or NOT_FOUND.
        """


@dataclass(slots=True)
class Call:
    """What a handler knows about the RPC besides its request.

    Attributes:
        used: what it used and was not charged for yet.
        begun: when it began, by `time.monotonic()`.
        mutates: whether it changes its repository: see the option of its RPC.
        refusal: why the repository is out of the caller's reach; the call was let in because it may be a
            repetition of the one that took the right.
    """

    method: str
    request_id: str
    token: str | None = None
    peer_ip: str | None = None
    user_agent: str = ""
    access: Access = _NOT_CHECKED
    slot: Slot = _NO_SLOT
    used: Amounts = field(default_factory=Amounts)
    begun: float = field(default_factory=time.monotonic)
    mutates: bool = False
    refusal: DomainError | None = None

    @property
    def caller(self) -> Caller:
        """The authenticated caller."""
        if self.access.caller is None:
            raise unauthenticated()
        return self.access.caller

    @property
    def has_sudo(self) -> bool:
        """Whether the caller has proven its identity of late, or is the operator."""
        caller = self.caller
        return caller.is_operator or caller.sudo_seconds > self.access.age()

    def require_sudo(self) -> None:
        """Raises SUDO_REQUIRED unless the caller has sudo."""
        if not self.has_sudo:
            raise sudo_required()

    @property
    def caller_id(self) -> UUID | None:
        """The caller's account; None if anonymous."""
        return self.access.caller.user_id if self.access.caller else None

    @property
    def holder(self) -> object:
        """Who the bytes and calls count for: the account, or the address of an anonymous caller."""
        return self.caller_id or self.peer_ip

    @property
    def repository(self) -> RepositoryAccess:
        """The repository that the request names; the policy of the RPC guarantees it.

        Raises the refusal of a call that may be a repetition: whoever asks is about to do it anew.
        """
        if self.access.repository is None:
            if self.refusal is not None:
                raise self.refusal
            raise AssertionError(f"the policy of {self.method} names no repository")
        return self.access.repository

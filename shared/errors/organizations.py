"""Errors about organisations and who belongs to them."""

from __future__ import annotations

from collections.abc import Sequence

from shared.errors.catalog import DomainError, Reason, violations


def last_owner(organizations: Sequence[str]) -> DomainError:
    """The organisations would be left without an owner who can log in."""
    reason = Reason.ERROR_REASON_LAST_OWNER
    return DomainError(
        reason,
        f"{organizations[0]!r} would be left without an owner: make another member an owner first",
        metadata={"organization": organizations[0], "count": str(len(organizations))},
        detail=violations(reason, [(name, "has no other owner") for name in organizations]),
    )


def owns_repositories(owner: str, repositories: Sequence[str]) -> DomainError:
    """The owner cannot go while it owns repositories."""
    reason = Reason.ERROR_REASON_OWNS_REPOSITORIES
    more = f" and {len(repositories) - 1} more" if repositories[1:] else ""
    return DomainError(
        reason,
        f"{owner!r} owns the repository {repositories[0]!r}{more}: transfer or delete first",
        metadata={"owner": owner, "count": str(len(repositories))},
        detail=violations(reason, [(f"{owner}/{name}", "is owned by it") for name in repositories]),
    )


def invitation_closed(state: str) -> DomainError:
    """The invitation was accepted, declined or revoked, or it expired."""
    return DomainError(
        Reason.ERROR_REASON_INVITATION_CLOSED,
        f"the invitation is open no more: {state}",
        metadata={"state": state},
    )

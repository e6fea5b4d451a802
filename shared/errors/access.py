"""Errors about the caller and what the caller may see."""

from __future__ import annotations

from google.rpc import error_details_pb2 as details

from shared.errors.catalog import DomainError, Reason


def unauthenticated(
    message: str = "a valid credential is needed: send `authorization: Bearer <token>`",
) -> DomainError:
    """One answer for no credential and for every bad one."""
    return DomainError(Reason.ERROR_REASON_UNAUTHENTICATED, message)


def permission_missing(required: str, held: str = "none") -> DomainError:
    """The caller sees the resource but may not do this to it."""
    return DomainError(
        Reason.ERROR_REASON_PERMISSION_MISSING,
        f"this needs the permission {required}; you have {held}",
        metadata={"required": required, "held": held},
    )


def scope_missing(required: str) -> DomainError:
    """The API token was not given the scope."""
    return DomainError(
        Reason.ERROR_REASON_SCOPE_MISSING,
        f"this API token lacks the scope {required}",
        metadata={"required": required},
    )


def token_limited() -> DomainError:
    """The API token is limited to repositories, and the call is about its owner's account."""
    return DomainError(
        Reason.ERROR_REASON_TOKEN_LIMITED,
        "this API token is limited to repositories: it may not act for its owner's account",
    )


def not_found(kind: str, name: str) -> DomainError:
    """The resource is absent, or the caller may not see it: the answer is the same."""
    return DomainError(
        Reason.ERROR_REASON_NOT_FOUND,
        f"{kind} {name!r} not found",
        detail=details.ResourceInfo(resource_type=kind, resource_name=name),
    )


def name_taken(kind: str, name: str) -> DomainError:
    """The name belongs to another resource."""
    return DomainError(
        Reason.ERROR_REASON_NAME_TAKEN,
        f"{kind} {name!r} is taken",
        detail=details.ResourceInfo(resource_type=kind, resource_name=name),
    )


def wrong_cell(cell: int, own_cell: int) -> DomainError:
    """The repository is in another cell than this server's."""
    return DomainError(
        Reason.ERROR_REASON_WRONG_CELL,
        f"the repository is in cell {cell}, and this server holds cell {own_cell}: "
        "AccessService.LocateRepository says where to call",
        metadata={"cell": str(cell)},
    )

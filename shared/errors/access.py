"""Errors about the caller and what the caller may see."""

from __future__ import annotations

from google.rpc import error_details_pb2 as details

from shared.errors.catalog import DomainError, Reason


def unauthenticated(wrong_proof: str = "") -> DomainError:
    """One answer for no credential and for every bad one.

    `wrong_proof`: the sentence for what the request itself holds to prove an identity and does not;
    another credential would not help.
    """
    return DomainError(
        Reason.ERROR_REASON_UNAUTHENTICATED,
        wrong_proof or "a valid credential is needed: send `authorization: Bearer <token>`",
        metadata={"refused": "request"} if wrong_proof else {},
    )


def permission_missing(required: str, held: str = "none") -> DomainError:
    """The caller sees the resource but may not do this to it."""
    return DomainError(
        Reason.ERROR_REASON_PERMISSION_MISSING,
        f"this needs the permission {required}; you have {held}",
        metadata={"required": required, "held": held},
    )


def scope_missing(required: str, *, is_session: bool = False) -> DomainError:
    """The API token was not given the scope, or it is one that no session has."""
    return DomainError(
        Reason.ERROR_REASON_SCOPE_MISSING,
        f"no session has the scope {required}: only an API token of the operator does"
        if is_session
        else f"this API token lacks the scope {required}",
        metadata={"required": required},
    )


def token_limited() -> DomainError:
    """The API token is limited to repositories, and the call is about its owner's account."""
    return DomainError(
        Reason.ERROR_REASON_TOKEN_LIMITED,
        "this API token is limited to repositories: it may not act for its owner's account",
    )


def sudo_required() -> DomainError:
    """The call needs a recent proof of identity, and the credential has none."""
    return DomainError(
        Reason.ERROR_REASON_SUDO_REQUIRED,
        "this needs sudo: prove again who you are (an API token cannot)",
    )


# Why an organisation keeps an API token out, as the function token_refusal() names it.
_REFUSALS = {
    "longest_days": "it lives longer than the organisation allows",
    "allowed_scopes": "it has a scope that the organisation does not allow",
    "needs_approval": "nobody has approved it yet",
    "rejected": "it was rejected",
    "policy": "it is against its rules for tokens; ListTokens names the rule",
}


def token_refused(organization: str, rule: str) -> DomainError:
    """The organisation that owns the repository does not let the API token in."""
    return DomainError(
        Reason.ERROR_REASON_TOKEN_REFUSED,
        f"{organization} does not let this API token in: {_REFUSALS.get(rule, rule)}",
        metadata={"organization": organization, "rule": rule},
    )


def mfa_required(organization: str) -> DomainError:
    """The organisation gives rights only to accounts with a second factor."""
    return DomainError(
        Reason.ERROR_REASON_MFA_REQUIRED,
        f"{organization!r} requires a second factor: enrol one, and this works at once",
        metadata={"organization": organization},
    )


def mfa_not_enrolled() -> DomainError:
    """The account has no second factor, or none that waits to be confirmed."""
    return DomainError(
        Reason.ERROR_REASON_MFA_NOT_ENROLLED, "there is no second factor for this: enrol one first"
    )


def not_found(kind: str, name: str) -> DomainError:
    """The resource is absent, or the caller may not see it: the answer is the same.

    `name` is empty for what was named by a secret.
    """
    words = kind.replace("_", " ")
    return DomainError(
        Reason.ERROR_REASON_NOT_FOUND,
        f"{words} {name!r} not found" if name else f"{words} not found",
        detail=details.ResourceInfo(resource_type=kind, resource_name=name),
    )


def name_taken(kind: str, name: str, why: str = "is taken") -> DomainError:
    """The name belongs to another resource."""
    return DomainError(
        Reason.ERROR_REASON_NAME_TAKEN,
        f"{kind.replace('_', ' ')} {name!r} {why}",
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


def cells_differ(cell: int, own_cell: int) -> DomainError:
    """The repository would have to move into the cell of its new owner."""
    return DomainError(
        Reason.ERROR_REASON_CELLS_DIFFER,
        f"the new owner's repositories are in cell {cell}, and this one is in cell {own_cell}: "
        "repositories do not move between cells",
        metadata={"cell": str(cell), "own_cell": str(own_cell)},
    )

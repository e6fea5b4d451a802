"""Names that users and organisations share: what to say of one that cannot be had."""

from __future__ import annotations

from shared.errors import DomainError, name_taken

# What the trigger on users and organisations names that refuses such a name.
FORMER_NAME = "former_names_pkey"


def refuse_owner_name(kind: str, name: str, *, is_former: bool) -> DomainError:
    """Returns what to say of a name that another owner has, or had until a short while ago."""
    if is_former:
        why = "is what another owner was called, and leads there for up to 30 days"
        return name_taken(kind, name, why)
    return name_taken(kind, name)

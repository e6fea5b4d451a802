"""How accounts came to their rights, as messages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dits.auth.v1 import access_service_pb2 as pb
from dits.auth.v1.organization_service_pb2 import OrganizationRole

# By the path that access_grants() names.
_SOURCES: Mapping[str, pb.GrantSource.ValueType] = {
    "owner": pb.GRANT_SOURCE_OWNER,
    "member": pb.GRANT_SOURCE_ORGANIZATION_ROLE,
    "team": pb.GRANT_SOURCE_TEAM,
    "collaborator": pb.GRANT_SOURCE_COLLABORATOR,
}


def describe_grants(text: str) -> Iterator[pb.AccessGrant]:
    """Yields the grants of a row, which the database returns as JSON."""
    for grant in json.loads(text):
        yield _describe(grant)


def _describe(grant: Mapping[str, Any]) -> pb.AccessGrant:
    return pb.AccessGrant(
        source=_SOURCES[grant["path"]],
        permission=grant["level"],
        role=OrganizationRole.Value(
            f"ORGANIZATION_ROLE_{(grant['role'] or 'unspecified').upper()}"
        ),
        team_id=grant["team_id"] or "",
        team=grant["team"] or "",
    )

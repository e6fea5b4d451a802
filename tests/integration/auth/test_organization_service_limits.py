"""OrganizationService: how many names one may keep from others."""

from __future__ import annotations

from dits.auth.v1 import organization_service_pb2 as pb
from grpc import StatusCode

from tests.support.api import Api, refused
from tests.support.organizations import Studio


async def test_names_cannot_be_hoarded(api: Api) -> None:
    studio = await Studio.open(api, name="name0")
    owner = studio.people["owner"]
    for number in range(1, 11):
        await studio.update(owner, name=f"name{number}")
    with refused(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED"):
        await studio.update(owner, name="name11")
    assert (await studio.update(owner, name="name3")).name == "name3"
    await api.fetch(
        """WITH o AS (INSERT INTO organizations (name, display_name)
                      SELECT 'other' || n, '' FROM generate_series(1, 99) n RETURNING id)
           INSERT INTO organization_members (org_id, user_id, role) SELECT id, $1, 'owner' FROM o""",
        owner.id,
    )
    with refused(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_REACHED") as refusal:
        await api.organizations.CreateOrganization(
            pb.CreateOrganizationRequest(name="more"), metadata=owner.auth
        )
    assert refusal.metadata["limit"] == "100"

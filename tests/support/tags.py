"""What the tests of tags share: short calls of RefService in one repository."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from dits.repo.v1 import commit_service_pb2 as commit_pb
from dits.repo.v1 import ref_service_pb2 as pb
from dits.repo.v1.manifest_pb2 import Signer
from dits.repo.v1.ref_protection_pb2 import TagProtection

from tests.support.api import Account
from tests.support.branches import Branches

_times = itertools.count(1_700_000_000_000_000, 1_000_000)


def annotate(message: str = "The first cut.\n") -> pb.TagAnnotation:
    """What an annotated tag says."""
    tagger = Signer(name="Ada", email="ada@example.com", time_us=next(_times), offset_minutes=90)
    return pb.TagAnnotation(tagger=tagger, message=message)


def move_tag(
    tag: str, old: str, new: str, annotation: pb.TagAnnotation | None = None, *, force: bool = False
) -> commit_pb.RefUpdate:
    """The move of a tag in a push."""
    return commit_pb.RefUpdate(
        tag=tag, expected_head=old, new_head=new, force=force, annotation=annotation
    )


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags of a repository, as one account calls for them."""

    branches: Branches
    who: Account

    async def create(
        self, name: str, head: str, annotation: pb.TagAnnotation | None = None
    ) -> pb.Tag:
        """CreateTag."""
        request = pb.CreateTagRequest(
            repository=self.branches.repository.id, name=name, head=head, annotation=annotation
        )
        return (await self.branches.api.refs.CreateTag(request, metadata=self.who.auth)).tag

    async def get(self, name: str) -> pb.Tag:
        """GetTag."""
        request = pb.GetTagRequest(repository=self.branches.repository.id, name=name)
        return (await self.branches.api.refs.GetTag(request, metadata=self.who.auth)).tag

    async def list_all(self, prefix: str = "", size: int = 0) -> list[pb.Tag]:
        """ListTags, all pages."""
        request = pb.ListTagsRequest(
            repository=self.branches.repository.id, name_prefix=prefix, page_size=size
        )
        found: list[pb.Tag] = []
        while True:
            page = await self.branches.api.refs.ListTags(request, metadata=self.who.auth)
            found += page.tags
            request.page_token = page.next_page_token
            if not request.page_token:
                return found

    async def delete(self, name: str, expected: str, *, validate_only: bool = False) -> int:
        """DeleteTag; returns how many commits nothing would reach."""
        request = pb.DeleteTagRequest(
            repository=self.branches.repository.id,
            name=name,
            expected_head=expected,
            validate_only=validate_only,
        )
        answer = await self.branches.api.refs.DeleteTag(request, metadata=self.who.auth)
        return answer.unreached_commit_count

    async def protect(self, protection: TagProtection) -> TagProtection:
        """SetTagProtection."""
        request = pb.SetTagProtectionRequest(
            repository=self.branches.repository.id, protection=protection
        )
        answer = await self.branches.api.refs.SetTagProtection(request, metadata=self.who.auth)
        return answer.protection

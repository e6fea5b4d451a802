"""A call of each RPC that changes something of a repository."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from dits.chunk.v1 import chunk_service_pb2 as chunk
from dits.chunk.v1 import direct_transfer_service_pb2 as direct
from dits.chunk.v1 import placement_service_pb2 as placement
from dits.chunk.v1 import tier_service_pb2 as tier
from dits.common.v1.lock_fence_pb2 import LockFence
from dits.common.v1.permission_pb2 import Permission
from dits.lock.v1 import lock_service_pb2 as lock
from dits.repo.v1 import (
    asset_pb2,
    grant_service_pb2,
    merge_pb2,
    obliteration_service_pb2,
    ref_service_pb2,
    repository_service_pb2,
    transfer_service_pb2,
    webhook_service_pb2,
)
from dits.repo.v1.ref_protection_pb2 import BranchProtection, BranchRule, TagProtection
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from tests.support.api import Account
from tests.support.branches import Branches
from tests.support.chunks import Shelf, digest, some
from tests.support.obliterations import WHY, name
from tests.support.repositories import Holding
from tests.support.trees import push, save, update
from tests.support.webhooks import Hooks

Call = Callable[[], Awaitable[Any]]


@dataclass(slots=True)
class Scene:
    """A repository with something of each kind, which its owner may change.

    Attributes:
        other: an account that reads.
        source: another repository, with the chunk `data`, which this one has in the archive.
        head, side: commits of the branches main and side.
    """

    films: Holding
    other: Account
    source: Shelf
    data: bytes
    head: str
    side: str
    lock: Any
    webhook: Any
    delivery: Any

    @classmethod
    async def open(cls, films: Holding) -> Scene:
        """Makes everything that the calls are about."""
        api, auth, other = films.api, films.owner.auth, await films.api.account()
        source, data = Shelf(api, films.owner, await api.repository(films.owner)), some()
        await source.put(data)
        await Shelf(api, films.owner, films.repository).put(data)
        await api.fetch(
            """UPDATE chunk_refs SET storage_class = 'glacier', ref_count = 1, claimed_at = NULL
               WHERE repo_id = $1::uuid""",
            films.id,
        )
        head = await save(api, films.owner, films.repository, {"a": b"1"})
        branches = Branches(api, films.repository, films.owner)
        await branches.create("side", head)
        side = await branches.save("2", parent=head, branch="side")
        await api.grant(films.repository, other, "write")
        held = await api.locks.AcquireLocks(
            lock.AcquireLocksRequest(repository=films.id, paths=["held"]), metadata=auth
        )
        webhook = await Hooks(api, films.owner, {"repository": films.id}).create(active=False)
        ping = webhook_service_pb2.PingRequest(repository=films.id, webhook_id=webhook.id)
        delivery = (await api.webhooks.Ping(ping, metadata=auth)).delivery
        found = held.results[0].lock
        return cls(films, other, source, data, head, side, found, webhook, delivery)

    def list_calls(self) -> dict[str, Call]:
        """The calls by the names of their RPCs, `RefService/CreateBranch`."""
        films = self.films
        stubs = {type(each).__name__: each for each in vars(films.api).values()}
        calls: dict[str, Call] = {
            "CommitService/Push": lambda: push(
                films.api, films.owner, films.repository, [], [update("new", "", self.head)]
            ),
            "ChunkService/UploadChunks": lambda: Shelf(
                films.api, films.owner, films.repository
            ).put(some()),
        }
        for rpc, request in {
            **self._chunk_requests(),
            **self._lock_requests(),
            **self._ref_requests(),
            **self._repository_requests(),
            **self._webhook_requests(),
        }.items():
            service, _, method = rpc.partition("/")
            calls[rpc] = self._bind(getattr(stubs[f"{service}Stub"], method), request)
        return calls

    def _bind(self, method: Any, request: Message) -> Call:
        return lambda: method(request, metadata=self.films.owner.auth)

    def _chunk_requests(self) -> dict[str, Message]:
        repository, hashes = self.films.id, digest(self.data)
        return {
            "ChunkService/CopyChunks": chunk.CopyChunksRequest(
                repository=repository, source_repository=self.source.repo.id, hashes=hashes
            ),
            "DirectTransferService/CreatePackUpload": direct.CreatePackUploadRequest(
                repository=repository, byte_count=1
            ),
            "PlacementService/ReplicateChunks": placement.ReplicateChunksRequest(
                repository=repository
            ),
            "TierService/SetStorageClass": tier.SetStorageClassRequest(
                repository=repository, hashes=hashes, storage_class=tier.STORAGE_CLASS_STANDARD
            ),
            "TierService/RestoreChunks": tier.RestoreChunksRequest(
                repository=repository, hashes=hashes
            ),
        }

    def _lock_requests(self) -> dict[str, Message]:
        repository, held = self.films.id, self.lock
        fence = LockFence(lock_id=held.id, fence=held.fence)
        return {
            "LockService/AcquireLocks": lock.AcquireLocksRequest(
                repository=repository, paths=["new"]
            ),
            "LockService/RenewLocks": lock.RenewLocksRequest(repository=repository, locks=[fence]),
            "LockService/ForceReleaseLock": lock.ForceReleaseLockRequest(
                repository=repository, lock_id=held.id, reason="test"
            ),
            "LockService/TransferLock": lock.TransferLockRequest(
                repository=repository, lock=fence, new_holder=self.other.username
            ),
        }

    def _ref_requests(self) -> dict[str, Message]:
        pb, repository, head = ref_service_pb2, self.films.id, self.head
        return {
            "RefService/CreateBranch": pb.CreateBranchRequest(
                repository=repository, name="new", head=head
            ),
            "RefService/UpdateBranch": pb.UpdateBranchRequest(
                repository=repository, name="main", expected_head=head, new_head=self.side
            ),
            "RefService/DeleteBranch": pb.DeleteBranchRequest(
                repository=repository, name="side", expected_head=self.side
            ),
            "RefService/RenameBranch": pb.RenameBranchRequest(
                repository=repository, name="side", new_name="new"
            ),
            "RefService/SetBranchProtection": pb.SetBranchProtectionRequest(
                repository=repository, name="main", protection=BranchProtection(forbid_force=True)
            ),
            "RefService/SetBranchRule": pb.SetBranchRuleRequest(
                repository=repository,
                rule=BranchRule(pattern="r/*", protection=BranchProtection(forbid_force=True)),
            ),
            "RefService/CreateTag": pb.CreateTagRequest(
                repository=repository, name="v1", head=head
            ),
            "RefService/DeleteTag": pb.DeleteTagRequest(
                repository=repository, name="v0", expected_head=head
            ),
            "RefService/SetTagProtection": pb.SetTagProtectionRequest(
                repository=repository, protection=TagProtection(patterns=["v*"])
            ),
            "RefService/MergeBranches": merge_pb2.MergeBranchesRequest(
                repository=repository, target="main", expected_head=head, source="side"
            ),
        }

    def _repository_requests(self) -> dict[str, Message]:
        pb, repository, other = repository_service_pb2, self.films.id, self.other.username
        return {
            "GrantService/SetGrant": grant_service_pb2.SetGrantRequest(
                repository=repository, user=other, permission=Permission.PERMISSION_READ
            ),
            "GrantService/RemoveGrant": grant_service_pb2.RemoveGrantRequest(
                repository=repository, user=other
            ),
            "ObliterationService/ObliterateAsset": obliteration_service_pb2.ObliterateAssetRequest(
                repository=repository, path="a", hash=name(b"1"), reason=WHY
            ),
            "ObliterationService/LiftObliteration": (
                obliteration_service_pb2.LiftObliterationRequest(
                    repository=repository, path="a", hash=name(b"1")
                )
            ),
            "RepositoryService/UpdateRepository": pb.UpdateRepositoryRequest(
                repository=repository,
                values=pb.RepositoryValues(description="new"),
                update_mask=FieldMask(paths=["description"]),
            ),
            "RepositoryService/UpdateRepositorySettings": pb.UpdateRepositorySettingsRequest(
                repository=repository, update_mask=FieldMask(paths=["max_file_size_bytes"])
            ),
            "RepositoryService/DeleteRepository": pb.DeleteRepositoryRequest(repository=repository),
            "TransferService/RequestTransfer": transfer_service_pb2.RequestTransferRequest(
                repository=repository, new_owner=other
            ),
            "TreeService/UpdateAssetMetadata": asset_pb2.UpdateAssetMetadataRequest(
                repository=repository,
                hash=name(b"1"),
                mime_type="text/plain",
                update_mask=FieldMask(paths=["mime_type"]),
            ),
        }

    def _webhook_requests(self) -> dict[str, Message]:
        pb, repository, webhook_id = webhook_service_pb2, self.films.id, self.webhook.id
        return {
            "WebhookService/CreateWebhook": pb.CreateWebhookRequest(
                repository=repository, url="https://new.example/", events=["*"]
            ),
            "WebhookService/UpdateWebhook": pb.UpdateWebhookRequest(
                repository=repository,
                webhook_id=webhook_id,
                url="https://new.example/",
                update_mask=FieldMask(paths=["url"]),
            ),
            "WebhookService/Ping": pb.PingRequest(repository=repository, webhook_id=webhook_id),
            "WebhookService/RotateSecret": pb.RotateSecretRequest(
                repository=repository, webhook_id=webhook_id
            ),
            "WebhookService/Redeliver": pb.RedeliverRequest(
                repository=repository, delivery_id=self.delivery.id
            ),
            "WebhookService/DeleteWebhook": pb.DeleteWebhookRequest(
                repository=repository, webhook_id=webhook_id
            ),
        }

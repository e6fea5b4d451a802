"""Requests, checked: what the RPCs that change locks hand to the domain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from dits.lock.v1 import lock_service_pb2 as pb

from services.lock.locks import rules
from shared.rpc import validation


@dataclass(frozen=True, slots=True)
class AcquireRequest:
    """Which locks to acquire.

    Attributes:
        base_commit: the commit that the caller works from; None = not given.
        branch: the branch to compare it with; empty = the default branch.
        steal: ids of the locks that the new ones may replace.
    """

    paths: list[str]
    lock_type: str
    ttl: timedelta
    reason: str
    is_atomic: bool
    release_on_push: bool
    base_commit: str | None
    branch: str
    steal: list[str]

    @classmethod
    def parse(cls, request: pb.AcquireLocksRequest) -> AcquireRequest:
        """Returns the request, or raises INVALID_FIELD or BATCH_TOO_LARGE."""
        base = request.base_commit
        return cls(
            paths=rules.parse_paths(request.paths),
            lock_type=rules.parse_lock_type(request.type),
            ttl=rules.parse_ttl(request.ttl, given=request.HasField("ttl")),
            reason=rules.parse_reason(request.reason),
            is_atomic=rules.parse_is_atomic(request.batch_mode),
            release_on_push=request.release_on_push,
            base_commit=validation.digest("base_commit", base) if base else None,
            branch=validation.branch("branch", request.branch) if request.branch else "",
            steal=rules.parse_lock_ids(
                "steal_lock_ids", request.steal_lock_ids, most=rules.MAX_STOLEN, least=0
            ),
        )


@dataclass(frozen=True, slots=True)
class RenewRequest:
    """Which locks to renew; `fences` belong to `lock_ids` one by one."""

    lock_ids: list[str]
    fences: list[int]
    ttl: timedelta
    is_atomic: bool

    @classmethod
    def parse(cls, request: pb.RenewLocksRequest) -> RenewRequest:
        """Returns the request, or raises INVALID_FIELD or BATCH_TOO_LARGE."""
        return cls(
            lock_ids=rules.parse_lock_ids("locks", [lock.lock_id for lock in request.locks]),
            fences=[
                rules.parse_fence(f"locks[{i}]", lock.fence) for i, lock in enumerate(request.locks)
            ],
            ttl=rules.parse_ttl(request.ttl, given=request.HasField("ttl")),
            is_atomic=rules.parse_is_atomic(request.batch_mode),
        )


@dataclass(frozen=True, slots=True)
class ForceReleaseRequest:
    """Which lock to end, and why."""

    lock_id: UUID
    reason: str

    @classmethod
    def parse(cls, request: pb.ForceReleaseLockRequest) -> ForceReleaseRequest:
        """Returns the request, or raises INVALID_FIELD."""
        return cls(
            lock_id=validation.uuid("lock_id", request.lock_id),
            reason=rules.parse_reason(request.reason, required=True),
        )


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """Which lock to transfer, and to whom: a username in lower case."""

    lock_id: UUID
    fence: int
    new_holder: str

    @classmethod
    def parse(cls, request: pb.TransferLockRequest) -> TransferRequest:
        """Returns the request, or raises INVALID_FIELD."""
        return cls(
            lock_id=validation.uuid("lock.lock_id", request.lock.lock_id),
            fence=rules.parse_fence("lock.fence", request.lock.fence),
            new_holder=validation.username("new_holder", request.new_holder).lower(),
        )

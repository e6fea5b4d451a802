"""A stub for each gRPC service of a suite."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from dits.auth.v1.access_service_pb2_grpc import AccessServiceStub
from dits.auth.v1.account_service_pb2_grpc import AccountServiceStub
from dits.auth.v1.audit_service_pb2_grpc import AuditServiceStub
from dits.auth.v1.invitation_service_pb2_grpc import InvitationServiceStub
from dits.auth.v1.key_service_pb2_grpc import KeyServiceStub
from dits.auth.v1.mfa_service_pb2_grpc import MfaServiceStub
from dits.auth.v1.notification_service_pb2_grpc import NotificationServiceStub
from dits.auth.v1.organization_service_pb2_grpc import OrganizationServiceStub
from dits.auth.v1.organization_token_service_pb2_grpc import OrganizationTokenServiceStub
from dits.auth.v1.session_service_pb2_grpc import SessionServiceStub
from dits.auth.v1.team_service_pb2_grpc import TeamServiceStub
from dits.auth.v1.token_service_pb2_grpc import TokenServiceStub
from dits.chunk.v1.chunk_service_pb2_grpc import ChunkServiceStub
from dits.chunk.v1.direct_transfer_service_pb2_grpc import DirectTransferServiceStub
from dits.chunk.v1.maintenance_service_pb2_grpc import MaintenanceServiceStub
from dits.chunk.v1.placement_service_pb2_grpc import PlacementServiceStub
from dits.chunk.v1.tier_service_pb2_grpc import TierServiceStub
from dits.common.v1.job_service_pb2_grpc import JobServiceStub
from dits.lock.v1.lock_service_pb2_grpc import LockServiceStub
from dits.repo.v1.commit_service_pb2_grpc import CommitServiceStub
from dits.repo.v1.event_service_pb2_grpc import EventServiceStub
from dits.repo.v1.grant_service_pb2_grpc import GrantServiceStub
from dits.repo.v1.obliteration_service_pb2_grpc import ObliterationServiceStub
from dits.repo.v1.ref_service_pb2_grpc import RefServiceStub
from dits.repo.v1.repository_service_pb2_grpc import RepositoryServiceStub
from dits.repo.v1.transfer_service_pb2_grpc import TransferServiceStub
from dits.repo.v1.tree_service_pb2_grpc import TreeServiceStub
from dits.repo.v1.usage_service_pb2_grpc import UsageServiceStub
from dits.repo.v1.webhook_service_pb2_grpc import WebhookServiceStub


class Stubs:
    """The stubs, by what their services are about."""

    def __init__(self, channels: Mapping[str, grpc.aio.Channel]) -> None:
        auth, repo = channels["auth"], channels["repo"]
        self.access = AccessServiceStub(auth)
        self.accounts = AccountServiceStub(auth)
        self.audit = AuditServiceStub(auth)
        self.keys = KeyServiceStub(auth)
        self.invitations = InvitationServiceStub(auth)
        self.mfa = MfaServiceStub(auth)
        self.notifications = NotificationServiceStub(auth)
        self.organizations = OrganizationServiceStub(auth)
        self.organization_tokens = OrganizationTokenServiceStub(auth)
        self.sessions = SessionServiceStub(auth)
        self.teams = TeamServiceStub(auth)
        self.tokens = TokenServiceStub(auth)
        self.repositories = RepositoryServiceStub(repo)
        self.events = EventServiceStub(repo)
        self.grants = GrantServiceStub(repo)
        self.obliterations = ObliterationServiceStub(repo)
        self.refs = RefServiceStub(repo)
        self.commits = CommitServiceStub(repo)
        self.transfers = TransferServiceStub(repo)
        self.trees = TreeServiceStub(repo)
        self.usage = UsageServiceStub(repo)
        self.webhooks = WebhookServiceStub(repo)
        self.chunks = ChunkServiceStub(channels["chunk"])
        self.maintenance = MaintenanceServiceStub(channels["chunk"])
        self.direct = DirectTransferServiceStub(channels["chunk"])
        self.tiers = TierServiceStub(channels["chunk"])
        self.placement = PlacementServiceStub(channels["chunk"])
        self.locks = LockServiceStub(channels["lock"])
        self.jobs = {name: JobServiceStub(channel) for name, channel in channels.items()}

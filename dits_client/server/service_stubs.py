"""The stubs of the services of a server; each is made, and its module loaded, when it is first used."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING

from dits_client.server.channels import Channels
from dits_client.server.endpoints import Endpoints
from dits_client.server.late_channel import LateChannel

if TYPE_CHECKING:
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
    from dits.chunk.v1.maintenance_service_pb2_grpc import MaintenanceServiceStub
    from dits.repo.v1.event_service_pb2_grpc import EventServiceStub
    from dits.repo.v1.repository_service_pb2_grpc import RepositoryServiceStub
    from dits.repo.v1.transfer_service_pb2_grpc import TransferServiceStub
    from dits.repo.v1.usage_service_pb2_grpc import UsageServiceStub


class ServiceStubs(ABC):
    """Stubs that use the channels of a client."""

    endpoints: Endpoints
    channels: Channels

    @property
    @abstractmethod
    def services(self) -> Endpoints:
        """The addresses of the services for calls about no single repository."""

    @cached_property
    def access(self) -> "AccessServiceStub":
        """What a credential may do."""
        from dits.auth.v1.access_service_pb2_grpc import AccessServiceStub

        return AccessServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def accounts(self) -> "AccountServiceStub":
        """Accounts."""
        from dits.auth.v1.account_service_pb2_grpc import AccountServiceStub

        return AccountServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def sessions(self) -> "SessionServiceStub":
        """Sessions."""
        from dits.auth.v1.session_service_pb2_grpc import SessionServiceStub

        return SessionServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def tokens(self) -> "TokenServiceStub":
        """API tokens."""
        from dits.auth.v1.token_service_pb2_grpc import TokenServiceStub

        return TokenServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def keys(self) -> "KeyServiceStub":
        """The caller's keys."""
        from dits.auth.v1.key_service_pb2_grpc import KeyServiceStub

        return KeyServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def audit(self) -> "AuditServiceStub":
        """The audit log."""
        from dits.auth.v1.audit_service_pb2_grpc import AuditServiceStub

        return AuditServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def mfa(self) -> "MfaServiceStub":
        """The caller's second factor."""
        from dits.auth.v1.mfa_service_pb2_grpc import MfaServiceStub

        return MfaServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def notifications(self) -> "NotificationServiceStub":
        """The caller's inbox."""
        from dits.auth.v1.notification_service_pb2_grpc import NotificationServiceStub

        return NotificationServiceStub(LateChannel(lambda: self.channels.get(self.endpoints.auth)))

    @cached_property
    def organizations(self) -> "OrganizationServiceStub":
        """Organisations and their members."""
        from dits.auth.v1.organization_service_pb2_grpc import OrganizationServiceStub

        return OrganizationServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def organization_tokens(self) -> "OrganizationTokenServiceStub":
        """API tokens that reach organisations."""
        from dits.auth.v1.organization_token_service_pb2_grpc import OrganizationTokenServiceStub

        return OrganizationTokenServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def invitations(self) -> "InvitationServiceStub":
        """Invitations into organisations."""
        from dits.auth.v1.invitation_service_pb2_grpc import InvitationServiceStub

        return InvitationServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def teams(self) -> "TeamServiceStub":
        """Teams of organisations."""
        from dits.auth.v1.team_service_pb2_grpc import TeamServiceStub

        return TeamServiceStub(self.channels.get(self.endpoints.auth))

    @cached_property
    def repositories(self) -> "RepositoryServiceStub":
        """The repositories that the caller may use."""
        from dits.repo.v1.repository_service_pb2_grpc import RepositoryServiceStub

        return RepositoryServiceStub(self.channels.get(self.services.repo))

    @cached_property
    def maintenance(self) -> "MaintenanceServiceStub":
        """What operators do with chunks."""
        from dits.chunk.v1.maintenance_service_pb2_grpc import MaintenanceServiceStub

        return MaintenanceServiceStub(self.channels.get(self.services.chunk))

    @cached_property
    def events(self) -> "EventServiceStub":
        """What happens."""
        from dits.repo.v1.event_service_pb2_grpc import EventServiceStub

        return EventServiceStub(LateChannel(lambda: self.channels.get(self.services.repo)))

    @cached_property
    def transfers(self) -> "TransferServiceStub":
        """Repositories on their way to another owner."""
        from dits.repo.v1.transfer_service_pb2_grpc import TransferServiceStub

        return TransferServiceStub(self.channels.get(self.services.repo))

    @cached_property
    def usage(self) -> "UsageServiceStub":
        """The usage of the caller and of organisations."""
        from dits.repo.v1.usage_service_pb2_grpc import UsageServiceStub

        return UsageServiceStub(self.channels.get(self.services.repo))

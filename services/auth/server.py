"""Wiring of the auth service."""

from __future__ import annotations

from functools import partial
from types import ModuleType

from dits.auth.v1 import (
    access_service_pb2,
    account_service_pb2,
    audit_service_pb2,
    invitation_service_pb2,
    key_service_pb2,
    mfa_service_pb2,
    notification_service_pb2,
    organization_service_pb2,
    organization_token_service_pb2,
    session_service_pb2,
    team_service_pb2,
    token_service_pb2,
)
from dits.common.v1.job_pb2 import JobType, PurgeNotificationsPayload, SendDigestsPayload

from services.auth.access.decisions import LocalAccess
from services.auth.accounts.link_requests import LinkSender
from services.auth.accounts.password_changes import PasswordChanges
from services.auth.accounts.statuses import CHECK_SECONDS, end_suspensions
from services.auth.audit_log.listing import AuditListing
from services.auth.audit_log.scopes import AuditScopes
from services.auth.background.credential_uses import STORE_SECONDS, CredentialUseStore
from services.auth.background.ended_credentials import SCHEDULE as PURGE_CREDENTIALS
from services.auth.background.ended_credentials import CredentialPurge
from services.auth.background.expiring_tokens import SCHEDULE as NOTIFY_EXPIRING_TOKENS
from services.auth.background.expiring_tokens import ExpiryNotifier
from services.auth.background.login_throttles import SCHEDULE as PURGE_LOGIN_THROTTLES
from services.auth.background.login_throttles import purge_login_throttles
from services.auth.credentials.challenges import Challenges
from services.auth.credentials.passwords import Hasher
from services.auth.credentials.sealed_secrets import COUNT_BY_KEY
from services.auth.mail.send_mail import MailSender
from services.auth.notifications.consumer import CONSUMER, GATHER_SECONDS, NotificationConsumer
from services.auth.notifications.digests import DigestSender
from services.auth.notifications.followers import FollowerNotifier
from services.auth.notifications.inbox_watch import InboxSignal, InboxWatch
from services.auth.notifications.retention import purge_notifications
from services.auth.rpc.access_service import AccessService
from services.auth.rpc.account_service import AccountService
from services.auth.rpc.audit_service import AuditService
from services.auth.rpc.invitation_service import InvitationService
from services.auth.rpc.key_service import KeyService
from services.auth.rpc.mfa_service import MfaService
from services.auth.rpc.notification_service import NotificationService
from services.auth.rpc.organization_service import OrganizationService
from services.auth.rpc.organization_token_service import OrganizationTokenService
from services.auth.rpc.session_service import SessionService
from services.auth.rpc.team_service import TeamService
from services.auth.rpc.token_service import TokenService
from shared.db.pool import Database, Databases
from shared.jobs.background import Background
from shared.jobs.running_job import Handler
from shared.jobs.schedule import Schedule
from shared.outbox.change_signal import ChangeSignal
from shared.outbox.consumer import EventConsumer
from shared.records.audit_chain import AuditSealer
from shared.records.idempotency import IdempotentWrites
from shared.records.sealed_columns import report_other_keys
from shared.runtime.background import BackgroundTask
from shared.runtime.server_key import ServerKey
from shared.server import Runtime, ServiceServer

NEEDS: tuple[str, ...] = ()

# How many registrations hash their passwords at once, besides the logins.
REGISTRATION_SLOTS = 1

SCHEDULES = (
    PURGE_LOGIN_THROTTLES,
    PURGE_CREDENTIALS,
    NOTIFY_EXPIRING_TOKENS,
    Schedule("purge notifications", "37 3 * * *", PurgeNotificationsPayload()),
    Schedule("daily digests", "0 7 * * *", SendDigestsPayload(period="daily")),
    Schedule("weekly digests", "0 7 * * 1", SendDigestsPayload(period="weekly")),
)


async def build(runtime: Runtime) -> ServiceServer:
    """The auth service, ready to start."""
    database = await runtime.connect("auth")
    await report_other_keys(database, runtime.key, COUNT_BY_KEY)
    access = LocalAccess(database)
    uses = CredentialUseStore(database, access.uses)
    servicers = _make_servicers(runtime, database, access)
    return ServiceServer(
        "auth",
        runtime,
        database,
        access,
        [(file.DESCRIPTOR.services_by_name[name], it) for name, (file, it) in servicers.items()],
        background=Background(
            tasks=[
                *_consume_events(runtime, database),
                BackgroundTask("store uses of credentials", uses.store, STORE_SECONDS),
                AuditSealer(database).task(),
                BackgroundTask(
                    "end suspensions", partial(end_suspensions, database), CHECK_SECONDS
                ),
            ],
            jobs=_list_jobs(runtime),
            schedules=SCHEDULES,
        ),
    )


def _list_jobs(runtime: Runtime) -> dict[JobType.ValueType, Handler]:
    """Returns the handlers of the service's jobs."""
    settings, key = runtime.settings, runtime.key
    return {
        JobType.JOB_TYPE_PURGE_LOGIN_THROTTLES: purge_login_throttles().handle,
        JobType.JOB_TYPE_PURGE_CREDENTIALS: CredentialPurge().handle,
        JobType.JOB_TYPE_PURGE_NOTIFICATIONS: purge_notifications(settings).handle,
        JobType.JOB_TYPE_NOTIFY_EXPIRING_TOKENS: ExpiryNotifier(key).handle,
        JobType.JOB_TYPE_NOTIFY_FOLLOWERS: FollowerNotifier(key).handle,
        JobType.JOB_TYPE_SEND_ACCOUNT_LINK: LinkSender(key).handle,
        JobType.JOB_TYPE_SEND_DIGESTS: DigestSender(key).handle,
        JobType.JOB_TYPE_SEND_MAIL: MailSender(settings, key).handle,
    }


def _make_servicers(
    runtime: Runtime, database: Database, access: LocalAccess
) -> dict[str, tuple[ModuleType, object]]:
    """Returns the gRPC services by name, each with the file of its proto."""
    settings, key = runtime.settings, runtime.key
    writes = IdempotentWrites(database, key)
    hasher = Hasher(settings.hashing_slots)
    accounts = AccountService(
        database,
        writes,
        Hasher(REGISTRATION_SLOTS),
        PasswordChanges(database, writes, hasher, key),
        key,
        is_open=settings.registration_open,
        needs_verification=settings.verified_logins,
    )
    challenges = Challenges(database, key)
    sessions = SessionService(database, hasher, key, challenges, access.uses)
    audit = AuditService(AuditListing(database), AuditScopes(database, access), key)
    watch = InboxWatch(database, InboxSignal(runtime.listener))
    notifications = NotificationService(database, key, watch)
    return {
        "AccountService": (account_service_pb2, accounts),
        "SessionService": (session_service_pb2, sessions),
        "TokenService": (token_service_pb2, TokenService(database, writes, key, access)),
        "AccessService": (access_service_pb2, AccessService(database, access, settings, key)),
        "KeyService": (key_service_pb2, KeyService(database, writes, key, challenges)),
        "AuditService": (audit_service_pb2, audit),
        "MfaService": (mfa_service_pb2, MfaService(database, writes, key)),
        "NotificationService": (notification_service_pb2, notifications),
        **_make_organization_servicers(database, writes, key),
    }


def _make_organization_servicers(
    database: Database, writes: IdempotentWrites, key: ServerKey
) -> dict[str, tuple[ModuleType, object]]:
    """Returns those that are about organisations."""
    return {
        "InvitationService": (invitation_service_pb2, InvitationService(database, writes, key)),
        "TeamService": (team_service_pb2, TeamService(database, writes, key)),
        "OrganizationTokenService": (
            organization_token_service_pb2,
            OrganizationTokenService(database, key),
        ),
        "OrganizationService": (
            organization_service_pb2,
            OrganizationService(database, writes, key),
        ),
    }


def _consume_events(runtime: Runtime, database: Database) -> list[BackgroundTask]:
    """Returns the tasks that turn events into notifications."""
    databases = Databases(database)
    signal = ChangeSignal(databases)
    signal.receive_hints(runtime.listener)
    handle = NotificationConsumer(runtime.key).handle
    consumer = EventConsumer(
        CONSUMER, databases, handle, signal=signal, gather_seconds=GATHER_SECONDS
    )
    return [signal.task(), consumer.task()]

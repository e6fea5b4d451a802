"""Wiring of the auth service."""

from __future__ import annotations

from dits.auth.v1 import (
    access_service_pb2,
    account_service_pb2,
    audit_service_pb2,
    session_service_pb2,
    token_service_pb2,
)

from services.auth.access.decisions import LocalAccess
from services.auth.audit_log.listing import AuditListing
from services.auth.audit_log.scopes import AuditScopes
from services.auth.background.credential_uses import STORE_SECONDS, CredentialUseStore
from services.auth.background.throttle_purge import PURGE_SECONDS, ThrottlePurge
from services.auth.credentials.passwords import Hasher
from services.auth.rpc.access_service import AccessService
from services.auth.rpc.account_service import AccountService
from services.auth.rpc.audit_service import AuditService
from services.auth.rpc.session_service import SessionService
from services.auth.rpc.token_service import TokenService
from shared.db.pool import Database
from shared.records.audit_chain import AuditSealer
from shared.records.idempotency import IdempotentWrites
from shared.runtime.background import BackgroundTask
from shared.server import Runtime, ServiceServer

NEEDS: tuple[str, ...] = ()

# How many registrations hash their passwords at once, besides the logins.
REGISTRATION_SLOTS = 1


async def build(runtime: Runtime) -> ServiceServer:
    """The auth service, ready to start."""
    settings = runtime.settings
    database = await Database.connect(runtime.dsn, service="auth", size=settings.pool_size)
    access = LocalAccess(database)
    uses = CredentialUseStore(database, access.uses)
    purge = ThrottlePurge(database)
    writes = IdempotentWrites(database, runtime.key)
    accounts = AccountService(
        database, writes, Hasher(REGISTRATION_SLOTS), is_open=settings.registration_open
    )
    sessions = SessionService(database, Hasher(settings.hashing_slots), runtime.key)
    audit = AuditService(AuditListing(database), AuditScopes(database, access), runtime.key)
    files = {
        "AccountService": (account_service_pb2, accounts),
        "SessionService": (session_service_pb2, sessions),
        "TokenService": (token_service_pb2, TokenService(database, writes, runtime.key, access)),
        "AccessService": (access_service_pb2, AccessService(access, settings)),
        "AuditService": (audit_service_pb2, audit),
    }
    servicers = [
        (file.DESCRIPTOR.services_by_name[name], servicer)
        for name, (file, servicer) in files.items()
    ]
    return ServiceServer(
        "auth",
        runtime,
        database,
        access,
        servicers,
        background=[
            BackgroundTask("store uses of credentials", uses.store, STORE_SECONDS),
            BackgroundTask("purge counts of attempts", purge.purge, PURGE_SECONDS),
            AuditSealer(database).task(),
        ],
    )

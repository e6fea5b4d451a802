"""The edges of the request chain: metadata on the way in, statuses and log entries on the way out."""

from __future__ import annotations

import errno
import re
import secrets
from functools import lru_cache
from typing import Any, NoReturn

import asyncpg
import grpc
import structlog

from shared.db.pool import UNREACHABLE
from shared.errors import DomainError, dependency_unavailable, internal, storage_full
from shared.rpc.call import Call
from shared.rpc.peer_address import PeerAddresses
from shared.rpc.policy import Policy
from shared.rpc.validation import plain_text

log = structlog.get_logger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def translate(error: Exception) -> DomainError:
    """What an exception means to the caller."""
    if isinstance(error, DomainError):
        return error
    if isinstance(error, asyncpg.DiskFullError) or (
        isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    ):
        log.error("storage full", exc_info=error)
        return storage_full()
    # What takes too long (statement_timeout) is cancelled: the database has too much to do, or too little
    # memory.
    away = (*UNREACHABLE, asyncpg.QueryCanceledError, asyncpg.InsufficientResourcesError)
    if isinstance(error, away):
        log.warning("dependency failed", exc_info=error)
        return dependency_unavailable("database")
    log.error("a defect", exc_info=error)
    return internal()


async def abort(
    context: Context, failure: DomainError, trailer: tuple[tuple[str, str], ...]
) -> NoReturn:
    """Ends the RPC with the failure's status and details."""
    details = ("grpc-status-details-bin", failure.status().SerializeToString())
    await context.abort(failure.code, failure.message, (*trailer, details))


def forget_traceback(error: grpc.aio.AbortError) -> None:
    """Lets go of what the end of a call holds.

    gRPC keeps the error with the call, and its frames keep the call: garbage in a cycle, with all of the
    request. Frames that it passes from now on must not hold the call either.
    """
    error.__traceback__ = error.__context__ = None


def new_call(path: str, context: Context, addresses: PeerAddresses) -> Call:
    """Reads the metadata that every call may carry."""
    call = Call(method=path, request_id="")
    forwarded_for: list[str] = []
    for key, value in context.invocation_metadata() or ():
        if not isinstance(value, str):
            continue
        if key == "authorization":
            # Of two credentials neither is the right one.
            call.token = _token(value) if call.token is None else ""
        elif key == "x-request-id" and _REQUEST_ID.fullmatch(value):
            call.request_id = value
        elif key == "user-agent":
            call.user_agent = _user_agent(value)
        elif key == "x-forwarded-for":
            forwarded_for.append(value)
    call.request_id = call.request_id or secrets.token_hex(16)
    call.peer_ip = addresses.find(context.peer(), forwarded_for)
    return call


@lru_cache(maxsize=1_000)
def _user_agent(value: str) -> str:
    """The text that is stored and logged; callers repeat it with every call."""
    return plain_text(value, 255)


def _token(value: str) -> str:
    """The token of a credential; one of another scheme is a bad credential, not an anonymous call."""
    scheme, _, token = value.partition(" ")
    return token.strip(" ") if scheme.lower() == "bearer" else ""


def log_call(
    call: Call, policy: Policy, outcome: str, failure: DomainError | None, seconds: float
) -> None:
    """One entry per call."""
    write = log.debug if policy.quiet else log.info
    write(
        "call",
        method=call.method,
        code=outcome,
        ms=round(seconds * 1000, 2),
        caller=call.access.caller.username if call.access.caller else None,
        repository=str(call.access.repository.id) if call.access.repository else None,
        peer=call.peer_ip,
        error=failure.message if failure else None,
    )

"""What the errors of an S3 server mean."""

from __future__ import annotations

import errno
import os
import re

import structlog

from shared.errors import DomainError, dependency_unavailable, store_refuses

log = structlog.get_logger(__name__)

# Statuses and codes of servers that have no room left: of the standard, Ceph, MinIO, SeaweedFS.
_FULL = (
    "No space left",
    "507 ",
    "QuotaExceeded",
    "StorageFull",
    "InsufficientStorage",
    "no free volumes",
)
# The second form is that of one object of a deletion of many.
_CODE = re.compile("<Code>([A-Za-z0-9]{1,64})</Code>|[(]code: ([A-Za-z0-9]{1,64})[)]")
# Answers to lists come as errors of another type than those to objects.
_REFUSED = re.compile("status code: (401|403) ")
# Codes that come with other statuses: of keys that have ended, and of one object of many.
_REFUSALS = frozenset({"AccessDenied", "ExpiredToken", "InvalidToken"})


def is_beyond_end(error: Exception) -> bool:
    """Returns whether a range begins at the end of the object or behind it."""
    return "InvalidRange" in str(error) or "416 Range Not Satisfiable" in str(error)


def is_bucket_missing(error: Exception) -> bool:
    """Returns whether it is the bucket that is not there."""
    return "NoSuchBucket" in str(error)


def is_unconditional(error: Exception) -> bool:
    """Returns whether the server does not know `If-None-Match`."""
    return "NotImplemented" in str(error) or "501 Not Implemented" in str(error)


def report_failure(error: Exception, bucket: str) -> DomainError | OSError:
    """Logs why a store cannot be used; returns what is raised.

    OSError if it is full, STORE_REFUSES if the server lacks a right or has wrong keys, else an outage.
    """
    if any(sign in str(error) for sign in _FULL):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    # What follows is the source of the error once more.
    cause = str(error).partition("\n\nDebug source:")[0]
    found = _CODE.search(cause)
    refused = _REFUSED.search(cause)
    # Answers to HEAD have no code.
    code = (found[1] or found[2]) if found else refused[1] if refused else ""
    if refused or code in _REFUSALS:
        log.error("object store refuses a request", bucket=bucket, code=code, cause=cause)
        return store_refuses(bucket, code)
    log.error("object store failed", bucket=bucket, kind=type(error).__name__, cause=cause)
    return dependency_unavailable("object store")

"""One attempt at a job: calls the handler, and turns what comes of it into an ending."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import structlog
from google.protobuf import json_format

from shared.errors import DomainError
from shared.jobs.catalog import NAMES
from shared.jobs.endings import Ending
from shared.jobs.queue import decode_payload
from shared.jobs.running_job import (
    Handler,
    JobCancelled,
    PermanentFailure,
    RetryLater,
    RunningJob,
    encode_progress,
)
from shared.runtime import metrics
from shared.runtime.background import PASSING

log = structlog.get_logger(__name__)

# How often a job looks whether the one that it waits for has ended.
GIVE_WAY = timedelta(seconds=1)

_UNREACHABLE = "the database or another service did not answer"
_NO_PAYLOAD = "the payload is not of the job's type"
_DEFECT = "a defect of the server; the id of the job finds it in the log"


async def attempt_job(job: RunningJob, handler: Handler) -> Ending:
    """Returns how the attempt has ended. Cancelled by its worker, it gives the job back."""
    begun = time.perf_counter()
    try:
        with structlog.contextvars.bound_contextvars(job=str(job.id), type=NAMES[job.type]):
            return await _attempt(job, handler)
    except asyncio.CancelledError:
        return Ending(job, "release")
    finally:
        metrics.JOB_SECONDS.labels(NAMES[job.type]).observe(time.perf_counter() - begun)


async def _attempt(job: RunningJob, handler: Handler) -> Ending:
    try:
        payload = decode_payload(job.type, job.payload_text)
        if job.spec.is_alone and await job.has_rival():
            return Ending(job, "release", delay=GIVE_WAY)
        async with asyncio.timeout(job.spec.longest.total_seconds()):
            done = await handler(job, payload)
    except JobCancelled:
        return Ending(job, "cancelled")
    except (PermanentFailure, json_format.ParseError) as error:
        is_known = isinstance(error, PermanentFailure)
        return Ending(job, "failed", str(error) if is_known else _NO_PAYLOAD)
    except RetryLater as error:
        return _retry(job, str(error), error.delay)
    except Exception as error:  # noqa: BLE001  nothing that a handler raises may end the worker
        return _retry(job, _explain(error))
    return Ending(job, "completed", result=encode_progress(done) if done is not None else None)


def _explain(error: Exception) -> str:
    """Returns what people are told of an error that the handler did not mean; the log has more."""
    if isinstance(error, DomainError):
        return error.message
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, PASSING):
        log.warning("a job was put off", cause=repr(error))
        return _UNREACHABLE
    log.error("a defect", task="job", exc_info=error)
    return _DEFECT


def _retry(job: RunningJob, error: str, delay: timedelta | None = None) -> Ending:
    """Another attempt after the delay, or the end if this was the last one."""
    if job.is_last_attempt:
        return Ending(job, "failed", error)
    return Ending(
        job, "retry", error, delay=job.spec.delay(job.attempt) if delay is None else delay
    )

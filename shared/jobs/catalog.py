"""The closed catalog of job types, and the queues they wait in.

To add a type: a value of JobType, the message of its payload, the field of Job.payload that has its name,
and an entry here. The service that works on the queue passes a handler for it to its ServiceServer.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from dits.common.v1 import job_pb2 as pb
from dits.common.v1.job_pb2 import JobType
from google.protobuf.message import Message

# Worked on by every service, each in its own database: what the tables that all share need.
SHARED_QUEUE = "shared"

_PREFIX = "JOB_TYPE_"


@dataclass(frozen=True, slots=True)
class Exponential:
    """Delays that double from `first` to `most`, each shortened by up to a half by chance."""

    first: timedelta
    most: timedelta

    def delay(self, attempt: int) -> timedelta:
        """Returns how long to wait after the failure of an attempt; the first is 1."""
        # Beyond this it has long reached the most, and a float would overflow.
        longest = min(self.first * 2.0 ** min(attempt - 1, 40), self.most)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What is true of all jobs of a type.

    Attributes:
        queue: where they wait.
        payload: the message of their payload.
        max_attempts: how often one may begin before it is a dead letter.
        backoff: how long to wait after each failure; of fixed delays, the last one counts on.
        lease: how long a worker that is not heard of keeps one. It renews it three times as often.
        longest: how long an attempt may take.
        is_alone: whether those of one repository are done one after the other.
    """

    queue: str
    payload: type[Message]
    max_attempts: int = 5
    backoff: Sequence[timedelta] | Exponential = Exponential(
        timedelta(seconds=10), timedelta(hours=1)
    )
    lease: timedelta = timedelta(seconds=30)
    longest: timedelta = timedelta(hours=1)
    is_alone: bool = False

    def delay(self, attempt: int) -> timedelta:
        """Returns how long to wait after the failure of an attempt; the first is 1."""
        if isinstance(self.backoff, Exponential):
            return self.backoff.delay(attempt)
        return self.backoff[min(attempt, len(self.backoff)) - 1]


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue.

    Attributes:
        services: whose workers work on it, each in the database of the service.
        slots: how many jobs of it one process has at once.
    """

    services: tuple[str, ...]
    slots: int


QUEUES: dict[str, Queue] = {
    "auth": Queue(("auth",), 4),
    # So many connections to the mail server.
    "mail": Queue(("auth",), 4),
    "repo": Queue(("repo",), 4),
    # Each waits for receivers most of the time.
    "webhooks": Queue(("repo",), 64),
    "chunk": Queue(("chunk",), 4),
    "restores": Queue(("chunk",), 4),
    SHARED_QUEUE: Queue(("auth", "repo", "chunk", "lock"), 1),
}

JOBS: dict[JobType.ValueType, JobSpec] = {
    JobType.JOB_TYPE_PURGE_EVENTS: JobSpec(SHARED_QUEUE, pb.PurgeEventsPayload),
    JobType.JOB_TYPE_PURGE_REQUEST_IDS: JobSpec(SHARED_QUEUE, pb.PurgeRequestIdsPayload),
    JobType.JOB_TYPE_PURGE_JOBS: JobSpec(SHARED_QUEUE, pb.PurgeJobsPayload),
    JobType.JOB_TYPE_MAINTAIN_PARTITIONS: JobSpec(SHARED_QUEUE, pb.MaintainPartitionsPayload),
    JobType.JOB_TYPE_PURGE_LOGIN_THROTTLES: JobSpec("auth", pb.PurgeLoginThrottlesPayload),
    JobType.JOB_TYPE_SEND_MAIL: JobSpec(
        "mail",
        pb.SendMailPayload,
        # About two days, as mail servers try it themselves.
        max_attempts=20,
        backoff=Exponential(timedelta(seconds=30), timedelta(hours=4)),
        longest=timedelta(minutes=10),
    ),
    JobType.JOB_TYPE_SEND_DIGESTS: JobSpec("auth", pb.SendDigestsPayload),
    JobType.JOB_TYPE_NOTIFY_FOLLOWERS: JobSpec("auth", pb.NotifyFollowersPayload),
    JobType.JOB_TYPE_SEND_ACCOUNT_LINK: JobSpec("auth", pb.SendAccountLinkPayload),
    JobType.JOB_TYPE_NOTIFY_EXPIRING_TOKENS: JobSpec("auth", pb.NotifyExpiringTokensPayload),
    JobType.JOB_TYPE_PURGE_NOTIFICATIONS: JobSpec("auth", pb.PurgeNotificationsPayload),
    JobType.JOB_TYPE_PURGE_CREDENTIALS: JobSpec("auth", pb.PurgeCredentialsPayload),
    JobType.JOB_TYPE_RECOUNT_STATISTICS: JobSpec(
        "repo", pb.RecountStatisticsPayload, longest=timedelta(hours=12), is_alone=True
    ),
    JobType.JOB_TYPE_REVERIFY_SIGNATURES: JobSpec(
        "repo", pb.ReverifySignaturesPayload, longest=timedelta(hours=12)
    ),
    JobType.JOB_TYPE_PURGE_REPOSITORIES: JobSpec(
        "repo", pb.PurgeRepositoriesPayload, longest=timedelta(hours=12)
    ),
    JobType.JOB_TYPE_RELEASE_HISTORY: JobSpec(
        "repo", pb.ReleaseHistoryPayload, longest=timedelta(hours=12)
    ),
    JobType.JOB_TYPE_MEASURE_USAGE: JobSpec(
        "repo", pb.MeasureUsagePayload, longest=timedelta(hours=6)
    ),
    JobType.JOB_TYPE_DELIVER_WEBHOOK: JobSpec("webhooks", pb.DeliverWebhookPayload),
    JobType.JOB_TYPE_RESUME_WEBHOOKS: JobSpec("repo", pb.ResumeWebhooksPayload),
    JobType.JOB_TYPE_PURGE_WEBHOOK_DELIVERIES: JobSpec("repo", pb.PurgeWebhookDeliveriesPayload),
    JobType.JOB_TYPE_COLLECT_GARBAGE: JobSpec(
        "chunk", pb.CollectGarbagePayload, longest=timedelta(hours=12)
    ),
    JobType.JOB_TYPE_COMPACT_PACKS: JobSpec(
        "chunk", pb.CompactPacksPayload, longest=timedelta(hours=12)
    ),
    # All chunks may be many.
    JobType.JOB_TYPE_SCRUB_CHUNKS: JobSpec(
        "chunk", pb.ScrubChunksPayload, longest=timedelta(days=7)
    ),
    JobType.JOB_TYPE_CHECK_INVENTORY: JobSpec(
        "chunk", pb.CheckInventoryPayload, longest=timedelta(hours=12)
    ),
    JobType.JOB_TYPE_ERASE_CHUNKS: JobSpec(
        "chunk", pb.EraseChunksPayload, longest=timedelta(hours=12), is_alone=True
    ),
    JobType.JOB_TYPE_APPLY_LIFECYCLE: JobSpec(
        "chunk", pb.ApplyLifecyclePayload, longest=timedelta(hours=12)
    ),
    # An archive takes hours, in which it looks now and then.
    JobType.JOB_TYPE_RESTORE_CHUNKS: JobSpec(
        "restores",
        pb.RestoreChunksPayload,
        max_attempts=1000,
        backoff=Exponential(timedelta(seconds=10), timedelta(minutes=10)),
        longest=timedelta(hours=12),
    ),
    JobType.JOB_TYPE_REPLICATE_CHUNKS: JobSpec(
        "chunk", pb.ReplicateChunksPayload, longest=timedelta(days=7)
    ),
    JobType.JOB_TYPE_CHECK_PLACEMENT: JobSpec(
        "chunk", pb.CheckPlacementPayload, longest=timedelta(hours=12), is_alone=True
    ),
    JobType.JOB_TYPE_REPAIR_PACK: JobSpec("chunk", pb.RepairPackPayload),
}

# The names under which the database knows them: `purge_events`. Also the field of Job.payload.
NAMES: dict[JobType.ValueType, str] = {
    value: name.removeprefix(_PREFIX).lower()
    for name, value in JobType.items()
    if value != JobType.JOB_TYPE_UNSPECIFIED
}
TYPES = {name: job_type for job_type, name in NAMES.items()}
PAYLOAD_TYPES = {spec.payload: job_type for job_type, spec in JOBS.items()}


def queues_of(service: str) -> list[str]:
    """Returns the names of the queues that a service works on."""
    return [name for name, queue in QUEUES.items() if service in queue.services]


def types_of(queues: Sequence[str]) -> set[JobType.ValueType]:
    """Returns the types of jobs that wait in some queues."""
    return {job_type for job_type, spec in JOBS.items() if spec.queue in queues}

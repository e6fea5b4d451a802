"""What a service does in the background, besides answering calls."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from dits.common.v1.job_pb2 import JobType

from shared.db.pool import Database
from shared.jobs.catalog import queues_of, types_of
from shared.jobs.retention import SHARED_SCHEDULES, list_shared_jobs
from shared.jobs.running_job import Handler
from shared.jobs.schedule import Schedule
from shared.jobs.worker import JobWorker
from shared.runtime.background import BackgroundTask
from shared.runtime.config import Settings


@dataclass(frozen=True, slots=True)
class Background:
    """What a service does without being called.

    Attributes:
        tasks: loops of each process that serves.
        jobs: the handlers of all types of jobs that wait in the queues of the service.
        schedules: of such jobs.
    """

    tasks: Sequence[BackgroundTask] = ()
    jobs: Mapping[JobType.ValueType, Handler] = field(default_factory=dict)
    schedules: Sequence[Schedule] = ()

    def make_worker(
        self, service: str, database: Database, queues: Collection[str], settings: Settings
    ) -> JobWorker | None:
        """Returns what works on those of the queues that belong to a service; None if none does.

        Raises ValueError unless there is a handler for each type of job of the service, and no other.
        """
        own = queues_of(service)
        handlers = {**list_shared_jobs(settings), **self.jobs}
        if handlers.keys() != types_of(own):
            wrong = map(JobType.Name, handlers.keys() ^ types_of(own))
            raise ValueError(f"{service}: missing or foreign handlers: {', '.join(wrong)}")
        chosen = [queue for queue in own if queue in queues]
        if not chosen:
            return None
        return JobWorker(database, handlers, chosen, [*SHARED_SCHEDULES, *self.schedules])

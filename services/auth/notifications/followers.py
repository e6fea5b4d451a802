"""Tells the followers of branches of a push.

They may be any number: the first are told with the event, the others by jobs, some in each transaction.
"""

from __future__ import annotations

import json
from functools import partial
from uuid import UUID

from dits.auth.v1.notification_service_pb2 import NotificationType
from dits.common.v1.event_pb2 import PushPayload
from dits.common.v1.job_pb2 import JobProgress, NotifyFollowersPayload
from google.protobuf import json_format

from services.auth.notifications import audience, texts
from services.auth.notifications.audience import UNKNOWN_ACTOR
from services.auth.notifications.catalog import Draft
from services.auth.notifications.delivery import deliver
from services.auth.notifications.mails import enqueue_mails
from shared.db.pool import Connection, Row
from shared.jobs.queue import JobRequest, enqueue_all
from shared.jobs.running_job import RunningJob
from shared.outbox.stored_event import StoredEvent
from shared.runtime.server_key import ServerKey

# Of the branches that one job is for; well below MAX_PAYLOAD_BYTES.
MAX_BRANCH_BYTES = 48 << 10


async def notify_first_followers(connection: Connection, event: StoredEvent) -> list[Row]:
    """Tells the first followers, and enqueues jobs for the others; returns what is mailed at once."""
    if event.repository_id is None:
        return []
    push = json_format.Parse(event.payload, PushPayload(), ignore_unknown_fields=True)
    payload = NotifyFollowersPayload(
        event_id=str(event.id),
        repository_id=str(event.repository_id),
        actor_id=str(event.actor_id or ""),
        branches=[branch.branch for branch in push.branches if branch.after],
        new_commit_count=push.new_commit_count,
    )
    told, mailed = await _notify_next(connection, payload, None)
    if len(told) == audience.BATCH:
        payload.after = str(max(told))
        requests = [JobRequest(part, repository_id=event.repository_id) for part in _split(payload)]
        await enqueue_all(connection, requests)
    return mailed


def _split(payload: NotifyFollowersPayload) -> list[NotifyFollowersPayload]:
    """Returns payloads that jobs can have, each with some of the branches.

    Who follows branches of several is told of those in the first one that is done.
    """
    parts: list[NotifyFollowersPayload] = []
    room = 0
    for branch in payload.branches:
        # As the job keeps it: a letter that is not ASCII takes six bytes and more.
        size = len(json.dumps(branch)) + 2
        if size > room:
            parts.append(NotifyFollowersPayload())
            parts[-1].CopyFrom(payload)
            del parts[-1].branches[:]
            room = MAX_BRANCH_BYTES
        parts[-1].branches.append(branch)
        room -= size
    return parts


class FollowerNotifier:
    """The handler of these jobs."""

    def __init__(self, key: ServerKey) -> None:
        self._key = key

    async def handle(self, job: RunningJob, payload: NotifyFollowersPayload) -> JobProgress:
        """Tells the followers who are left; another attempt passes those over who have been told."""
        done, after = 0, UUID(payload.after)
        while True:
            work = partial(self._notify_page, payload=payload, after=after)
            told = await job.database.transaction(work)
            if not told:
                return JobProgress(done=done)
            done, after = done + len(told), max(told)
            await job.report_progress(done)

    async def _notify_page(
        self, connection: Connection, payload: NotifyFollowersPayload, after: UUID
    ) -> list[UUID]:
        told, mailed = await _notify_next(connection, payload, after)
        await enqueue_mails(connection, self._key, mailed)
        return told


async def _notify_next(
    connection: Connection, payload: NotifyFollowersPayload, after: UUID | None
) -> tuple[list[UUID], list[Row]]:
    """Tells the next followers after a user; returns who they are, and what is mailed at once."""
    repository_id = UUID(payload.repository_id)
    followers = await audience.read_followers(connection, repository_id, payload.branches, after)
    if not followers:
        return [], []
    actor_id = UUID(payload.actor_id) if payload.actor_id else None
    names = await audience.read_names(connection, {repository_id}, set(), {actor_id})
    where = names.repositories.get(repository_id)
    if where is None:
        return [], []
    who = names.usernames.get(actor_id, UNKNOWN_ACTOR) if actor_id else UNKNOWN_ACTOR
    drafts = [
        _compose(payload, user_id, branches, where, who)
        for user_id, branches in followers.items()
        if user_id != actor_id
    ]
    return list(followers), await deliver(connection, drafts)


def _compose(
    payload: NotifyFollowersPayload, user_id: UUID, branches: list[str], where: str, who: str
) -> Draft:
    title, message = texts.describe_push(who, branches, where, payload.new_commit_count)
    return Draft(
        user_id=user_id,
        type=NotificationType.NOTIFICATION_TYPE_PUSH,
        source_id=UUID(payload.event_id),
        repository_id=UUID(payload.repository_id),
        title=title,
        message=message,
        link=texts.link_branch(where, branches[0]),
    )

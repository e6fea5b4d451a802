"""What a push tells those whom its commits mention."""

from __future__ import annotations

import uuid
from uuid import UUID

from dits.auth.v1.notification_service_pb2 import NotificationType
from dits.common.v1.event_pb2 import PushPayload
from google.protobuf import json_format

from services.auth.logins import fold_login
from services.auth.notifications import audience, texts
from services.auth.notifications.catalog import Draft
from shared.db.pool import Connection
from shared.outbox.stored_event import StoredEvent


async def compose_mentions(
    connection: Connection, event: StoredEvent, where: str, who: str
) -> list[Draft]:
    """Returns what is told to the users whom the commits mention, except who pushed or wrote them."""
    payload = json_format.Parse(event.payload, PushPayload(), ignore_unknown_fields=True)
    names = [name for mention in payload.mentions for name in mention.usernames]
    users = await audience.find_mentioned(connection, names)
    drafts = []
    for mention in payload.mentions:
        author = fold_login(mention.author_email)
        title, message = texts.describe_mention(who, where, mention.commit, mention.title)
        for name in mention.usernames:
            user_id, email_key = users.get(name.lower(), (event.actor_id, ""))
            if user_id is not None and user_id != event.actor_id and email_key != author:
                drafts.append(
                    Draft(
                        user_id=user_id,
                        type=NotificationType.NOTIFICATION_TYPE_MENTION,
                        source_id=_commit_id(event, mention.commit),
                        repository_id=event.repository_id,
                        title=title,
                        message=message,
                        link=texts.link_commit(where, mention.commit),
                    )
                )
    return drafts


def _commit_id(event: StoredEvent, commit: str) -> UUID:
    """Returns what names a commit of a repository, whichever push brings it."""
    return uuid.uuid5(event.repository_id or UUID(int=0), commit)

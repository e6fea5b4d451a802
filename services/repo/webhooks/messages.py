"""Webhooks and deliveries as messages of the API."""

from __future__ import annotations

import json
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from dits.common.v1.event_pb2 import Event, EventType, WebhookPayload
from dits.repo.v1 import webhook_service_pb2 as pb
from google.protobuf import json_format

from services.repo.webhooks.deliveries import Shown
from shared.db.pool import Row
from shared.records.events import TYPES
from shared.rpc.call import Caller

_STATES = {
    "pending": pb.DELIVERY_STATE_PENDING,
    "succeeded": pb.DELIVERY_STATE_SUCCEEDED,
    "failed": pb.DELIVERY_STATE_FAILED,
}


def describe_webhook(row: Row) -> pb.Webhook:
    """Returns the message of a webhook."""
    return pb.Webhook(
        id=str(row["id"]),
        repository_id=str(row["repo_id"] or ""),
        organization_id=str(row["org_id"] or ""),
        url=row["url"],
        events=row["events"],
        active=row["active"],
        creator_id=str(row["created_by"] or ""),
        create_time=row["created_at"],
        update_time=row["updated_at"],
        failing_since=row["failing_since"],
        disable_time=row["disabled_at"],
        previous_secret_expire_time=row["previous_secret_until"],
    )


def describe_delivery(row: Row) -> pb.Delivery:
    """Returns the message of a delivery, without its body and attempts."""
    return pb.Delivery(
        id=str(row["delivery_id"]),
        webhook_id=str(row["webhook_id"]),
        event_id=str(row["event_id"]),
        event_type=TYPES.get(row["event"], EventType.EVENT_TYPE_UNSPECIFIED),
        state=_STATES[row["state"]],
        attempt_count=row["attempt_count"],
        last_status=row["last_status"],
        create_time=row["created_at"],
        next_attempt_time=row["next_attempt_at"],
        requester_id=str(row["requested_by"] or ""),
    )


def describe_shown(shown: Shown) -> pb.Delivery:
    """Returns the message of a delivery with its body and attempts."""
    message = describe_delivery(shown.row)
    message.body = shown.body
    message.attempts.extend(map(_describe_attempt, shown.attempts))
    return message


def _describe_attempt(row: Row) -> pb.DeliveryAttempt:
    message = pb.DeliveryAttempt(
        number=row["attempt"],
        state=_STATES[row["state"]],
        start_time=row["started_at"],
        request_headers=[
            pb.HttpHeader(name=name, value=value)
            for name, value in json.loads(row["request_headers"] or "{}").items()
        ],
        status=row["response_status"],
        response_headers=[
            pb.HttpHeader(name=name, value=value)
            for name, value in json.loads(row["response_headers"] or "[]")
        ],
        response_body=row["response_body"],
        error=row["error"],
    )
    if row["duration_ms"] is not None:
        message.duration.FromMilliseconds(row["duration_ms"])
    return message


def describe_ping(webhook: Row, caller: Caller) -> tuple[UUID, str]:
    """Returns the id and the JSON of a new `webhook.ping` to a webhook."""
    event_id = uuid4()
    event = Event(
        id=str(event_id),
        type=EventType.EVENT_TYPE_WEBHOOK_PING,
        repository_id=str(webhook["repo_id"] or ""),
        organization_id=str(webhook["org_id"] or ""),
        actor_id=str(caller.user_id),
        actor=caller.username,
        webhook=WebhookPayload(
            webhook_id=str(webhook["id"]),
            host=urlsplit(webhook["url"]).hostname,
            creator_id=str(webhook["created_by"] or ""),
        ),
    )
    event.time.GetCurrentTime()
    return event_id, json_format.MessageToJson(event, preserving_proto_field_name=True, indent=None)

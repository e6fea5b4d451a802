"""What requests about webhooks ask for. Each function raises INVALID_FIELD or BATCH_TOO_LARGE."""

from __future__ import annotations

from datetime import timedelta

from dits.repo.v1 import webhook_service_pb2 as pb

from services.repo.webhooks.addresses import AllowedNetworks
from services.repo.webhooks.management import WebhookChange
from services.repo.webhooks.urls import parse_url
from shared.errors import invalid_field
from shared.outbox.patterns import parse_patterns
from shared.rpc import validation

DEFAULT_OVERLAP = timedelta(days=1)
LONGEST_OVERLAP = timedelta(days=7)
_FIELDS = frozenset({"url", "events", "active"})


def parse_new_webhook(request: pb.CreateWebhookRequest, allowed: AllowedNetworks) -> WebhookChange:
    """Returns the values of a new webhook."""
    if request.request_id:
        validation.uuid("request_id", request.request_id)
    parse_url(request.url, allowed)
    return WebhookChange(
        url=request.url,
        events=parse_patterns("events", request.events, least=1),
        active=request.active or not request.HasField("active"),
    )


def parse_change(request: pb.UpdateWebhookRequest, allowed: AllowedNetworks) -> WebhookChange:
    """Returns the values that the mask names."""
    mask = set(request.update_mask.paths)
    if not mask or not mask <= _FIELDS:
        raise invalid_field(
            "update_mask", f"must name at least one of {', '.join(sorted(_FIELDS))}"
        )
    if "url" in mask:
        parse_url(request.url, allowed)
    return WebhookChange(
        url=request.url if "url" in mask else None,
        events=parse_patterns("events", request.events, least=1) if "events" in mask else None,
        active=request.active if "active" in mask else None,
    )


def parse_overlap(request: pb.RotateSecretRequest) -> timedelta:
    """Returns how long the secret before stays valid."""
    if not request.HasField("overlap"):
        return DEFAULT_OVERLAP
    try:
        overlap = request.overlap.ToTimedelta()
    except (ValueError, OverflowError):
        raise invalid_field("overlap", "is not a duration") from None
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise invalid_field("overlap", f"must be 0 to {LONGEST_OVERLAP.days} days")
    return overlap

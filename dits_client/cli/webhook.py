"""`dits webhook`: where the server sends events to."""

import time
import uuid
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any

from dits.common.v1.event_pb2 import EventType
from dits.repo.v1 import webhook_service_pb2 as pb
from dits.repo.v1.webhook_service_pb2_grpc import WebhookServiceStub
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from dits_client.cli.answers import record
from dits_client.cli.logins import complete_name
from dits_client.cli.prompts import read_secret
from dits_client.cli.session import connect, enter_session
from dits_client.cli.table import format_time, name_value, tell_if_empty
from dits_client.cli.workspace_paths import open_workspace
from dits_client.errors import ClientError, UsageError
from dits_client.server.client import Client
from dits_client.server.repository import RepositoryClient
from dits_client.workspace.state import USUAL_ACCOUNT

PAGE = 100
# How long a ping is waited for: the server gives up a receiver after ten seconds.
PING_SECONDS = 15.0
POLL_SECONDS = 0.2


class _Owner:
    """The repository or organisation whose webhooks a command is about."""

    def __init__(
        self, caller: Client | RepositoryClient, stub: WebhookServiceStub, names: dict[str, str]
    ) -> None:
        self._caller = caller
        self._stub = stub
        self._names = names

    def call(self, method: str, request: Callable[..., Any], **fields: Any) -> Any:
        """Return the response of a call of WebhookService."""
        return self._caller.call(getattr(self._stub, method), request(**self._names, **fields))

    def list_deliveries(self, webhook_id: str, count: int) -> Iterator[pb.Delivery]:
        """Yield deliveries, newest first."""
        request = pb.ListDeliveriesRequest(
            **self._names, webhook_id=webhook_id, page_size=max(1, min(count, PAGE))
        )
        pages = self._caller.list_pages(self._stub.ListDeliveries, request)
        return islice((found for page in pages for found in page.deliveries), count)


@contextmanager
def _open_owner(arguments: Namespace) -> Iterator[_Owner]:
    """Connect to the owner: by default the repository that the folder follows.

    The token of a login may not manage an organisation, so the user enters the password again.
    """
    at, name = USUAL_ACCOUNT, arguments.repository
    if not name and not arguments.organization:
        state = open_workspace().state
        at, name = state.server_account, state.address
    with connect(at) as (client, login), ExitStack() as stack:
        if not arguments.organization:
            if arguments.repository:
                name = complete_name(name, client, login)
            repository = RepositoryClient(client, name)
            yield _Owner(repository, repository.webhooks, {"repository": repository.name})
            return
        if login.token_id:
            client = enter_session(stack, client, login)
        stub = WebhookServiceStub(client.channels.get(client.services.repo))
        yield _Owner(client, stub, {"organization": arguments.organization})


def handle_create(arguments: Namespace) -> None:
    """Create a webhook, and show its secret this once."""
    secret = read_secret("Secret: ") if arguments.secret_stdin else ""
    with _open_owner(arguments) as owner:
        made = owner.call(
            "CreateWebhook",
            pb.CreateWebhookRequest,
            request_id=str(uuid.uuid4()),
            url=arguments.url,
            events=arguments.event or ["*"],
            secret=secret,
            active=not arguments.inactive,
        )
    record(made)
    print(f"Created {made.webhook.id}.")
    if not secret:
        print(f"Its secret, which is not shown again: {made.secret}")


def handle_list(arguments: Namespace) -> None:
    """List webhooks: id, state, URL and events."""
    with _open_owner(arguments) as owner:
        found = owner.call("ListWebhooks", pb.ListWebhooksRequest).webhooks
    for webhook in tell_if_empty(found, "No webhooks.", as_json=arguments.json):
        record(webhook)
        print(f"{webhook.id}  {_name_state(webhook):8}  {webhook.url}  {','.join(webhook.events)}")


def handle_show(arguments: Namespace) -> None:
    """Show a webhook."""
    with _open_owner(arguments) as owner:
        found = owner.call("GetWebhook", pb.GetWebhookRequest, webhook_id=arguments.id).webhook
    record(found)
    print(f"id       {found.id}\nurl      {found.url}\nevents   {', '.join(found.events)}")
    print(f"state    {_name_state(found)}\ncreated  {format_time(found.create_time)}")
    if found.HasField("failing_since"):
        print(f"failing  since {format_time(found.failing_since)}")
    if found.HasField("previous_secret_expire_time"):
        print(f"secrets  two until {format_time(found.previous_secret_expire_time)}")


def handle_update(arguments: Namespace) -> None:
    """Change a webhook."""
    changes = {"url": arguments.url, "events": arguments.event, "active": arguments.active}
    given = {name: value for name, value in changes.items() if value is not None}
    if not given:
        raise UsageError("nothing to change: use --url, --event, --on or --off")
    with _open_owner(arguments) as owner:
        changed = owner.call(
            "UpdateWebhook",
            pb.UpdateWebhookRequest,
            webhook_id=arguments.id,
            update_mask=FieldMask(paths=list(given)),
            **given,
        )
    record(changed)
    print(f"Changed {arguments.id}.")


def handle_delete(arguments: Namespace) -> None:
    """Delete a webhook and its deliveries."""
    with _open_owner(arguments) as owner:
        owner.call("DeleteWebhook", pb.DeleteWebhookRequest, webhook_id=arguments.id)
    print(f"Deleted {arguments.id}.")


def handle_rotate(arguments: Namespace) -> None:
    """Give a webhook a new secret, and show it this once."""
    secret = read_secret("Secret: ") if arguments.secret_stdin else ""
    overlap = None if arguments.overlap is None else Duration(seconds=arguments.overlap)
    with _open_owner(arguments) as owner:
        made = owner.call(
            "RotateSecret",
            pb.RotateSecretRequest,
            request_id=str(uuid.uuid4()),
            webhook_id=arguments.id,
            secret=secret,
            overlap=overlap,
        )
    record(made)
    if made.webhook.HasField("previous_secret_expire_time"):
        until = format_time(made.webhook.previous_secret_expire_time)
        print(f"The secret before stays valid until {until}.")
    if not secret:
        print(f"The new secret, which is not shown again: {made.secret}")


def handle_ping(arguments: Namespace) -> None:
    """Send a ping, and wait for what becomes of it."""
    with _open_owner(arguments) as owner:
        delivery = owner.call(
            "Ping", pb.PingRequest, request_id=str(uuid.uuid4()), webhook_id=arguments.id
        ).delivery
        end = time.monotonic() + PING_SECONDS
        while delivery.state == pb.DELIVERY_STATE_PENDING and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
            request = {"delivery_id": delivery.id}
            delivery = owner.call("GetDelivery", pb.GetDeliveryRequest, **request).delivery
    if delivery.state == pb.DELIVERY_STATE_PENDING:
        raise ClientError(f"the server has not sent it yet: dits webhook delivery {delivery.id}")
    attempt = delivery.attempts[-1]
    if attempt.error:
        raise ClientError(attempt.error)
    record(delivery)
    print(f"The receiver answered {attempt.status} after {_seconds(attempt):.2f} s.")


def handle_deliveries(arguments: Namespace) -> None:
    """List deliveries: id, time, event, state, attempts and the last HTTP status."""
    with _open_owner(arguments) as owner:
        listed = owner.list_deliveries(arguments.id, max(arguments.limit, 0))
        for found in tell_if_empty(listed, "No deliveries.", as_json=arguments.json):
            record(found)
            status = f"  HTTP {found.last_status}" if found.last_status else ""
            print(
                f"{found.id}  {format_time(found.create_time)}  {_name_event(found):20}  "
                f"{_name_delivery_state(found.state)}  attempts: {found.attempt_count}{status}"
            )


def handle_delivery(arguments: Namespace) -> None:
    """Show a delivery: its body, and each attempt with the answer."""
    with _open_owner(arguments) as owner:
        found = owner.call("GetDelivery", pb.GetDeliveryRequest, delivery_id=arguments.id).delivery
    record(found)
    print(f"{_name_event(found)}  {found.event_id}\n{found.body}")
    for attempt in found.attempts:
        told = attempt.error or f"HTTP {attempt.status}"
        print(
            f"{attempt.number}  {format_time(attempt.start_time)}  {_seconds(attempt):.2f} s  {told}"
        )
        if attempt.response_body:
            print("\n".join(f"   {line}" for line in _printable(attempt.response_body)))
    if found.HasField("next_attempt_time"):
        print(f"next attempt at {format_time(found.next_attempt_time)}")


def handle_redeliver(arguments: Namespace) -> None:
    """Send the event of a delivery again."""
    with _open_owner(arguments) as owner:
        made = owner.call(
            "Redeliver", pb.RedeliverRequest, request_id=str(uuid.uuid4()), delivery_id=arguments.id
        )
    record(made)
    print(f"Sending it again: {made.delivery.id}.")


def _name_state(webhook: pb.Webhook) -> str:
    if webhook.HasField("disable_time"):
        return "disabled"
    return "on" if webhook.active else "off"


def _name_delivery_state(state: pb.DeliveryState.ValueType) -> str:
    return name_value(pb.DeliveryState, state, "DELIVERY_STATE_")


def _name_event(delivery: pb.Delivery) -> str:
    name = name_value(EventType, delivery.event_type, "EVENT_TYPE_")
    return name.replace("_", ".", 1)


def _printable(text: str) -> Iterator[str]:
    """Yield the lines of a foreign text without what a terminal obeys."""
    for line in text.splitlines():
        yield "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)


def _seconds(attempt: pb.DeliveryAttempt) -> float:
    return attempt.duration.ToTimedelta().total_seconds()

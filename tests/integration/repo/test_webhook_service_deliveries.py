"""Events on their way to receivers: matched, signed, sent, answered, shown, sent again."""

from __future__ import annotations

from pathlib import Path

import pytest
from dits.common.v1.event_pb2 import Event, EventType
from dits.repo.v1 import webhook_service_pb2 as pb
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from shared.runtime.config import Settings
from tests.support import receivers
from tests.support.api import Api
from tests.support.authority import Authority
from tests.support.branches import Branches
from tests.support.receivers import HttpReceiver, Received, answer
from tests.support.webhooks import SECRET, Hooks, is_genuine, names_of

OFF = FieldMask(paths=["active"])


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhook_allow": ("127.0.0.1",)})


def parse_event(request: Received) -> Event:
    return json_format.Parse(request.body, Event())


async def test_a_push_is_told(api: Api) -> None:
    branches = await Branches.open(api)
    hooks = Hooks(api, branches.who, {"repository": branches.repository.id})
    async with HttpReceiver(answer(202, b"thanks", "X-Y: z\r\n")) as receiver:
        webhook = await hooks.create(receiver.url, "push", "branch.*")
        await hooks.create(f"{receiver.url}&other", "lock.*", "webhook.*")
        await hooks.create(f"{receiver.url}&off", active=False)
        head = await branches.save("1")
        await branches.create("side", head)
        requests = await receiver.wait_for(2)
        deliveries = await hooks.wait_for_state(pb.DELIVERY_STATE_SUCCEEDED, 2, webhook.id)
    assert sorted(names_of(requests)) == ["branch.created", "push"]
    assert [delivery.event_type for delivery in deliveries] == [
        EventType.EVENT_TYPE_BRANCH_CREATED,
        EventType.EVENT_TYPE_PUSH,
    ]
    [request] = [one for one in requests if one.headers["x-dits-event"] == "push"]
    shown = await hooks.get_delivery(request.headers["x-dits-delivery"])
    assert is_genuine(request.headers, request.body)
    assert not is_genuine(request.headers, request.body + b" ")
    assert not is_genuine({**request.headers, "x-dits-timestamp": "1"}, request.body)
    event = parse_event(request)
    assert event.type == EventType.EVENT_TYPE_PUSH
    assert event.id == request.headers["x-dits-event-id"] == shown.event_id
    assert (event.actor, event.actor_id) == (branches.who.username, str(branches.who.id))
    assert (event.repository_id, event.organization_id) == (branches.repository.id, "")
    assert event.push.branches[0].after == head
    assert shown.body.encode() == request.body
    [attempt] = shown.attempts
    assert (attempt.number, attempt.status, attempt.response_body) == (1, 202, "thanks")
    assert pb.HttpHeader(name="x-y", value="z") in attempt.response_headers
    sent = {header.name: header.value for header in attempt.request_headers}
    assert sent["x-dits-signature"] == request.headers["x-dits-signature"]
    assert request.headers["x-dits-webhook"] == webhook.id
    assert (shown.last_status, shown.attempt_count, shown.requester_id) == (202, 1, "")


async def test_events_go_to_whom_they_concern(api: Api) -> None:
    organization, repository = await Hooks.of_organization(api)
    own = Hooks(api, organization.who, {"repository": repository})
    elsewhere = await Hooks.of_repository(api)
    async with HttpReceiver() as of_all, HttpReceiver() as of_one, HttpReceiver() as of_other:
        await organization.create(of_all.url)
        await own.create(of_one.url, "branch.deleted")
        await elsewhere.create(of_other.url)
        await own.happen(3)
        await elsewhere.happen()
        # What is older than a webhook is not for it.
        await own.create(f"{of_one.url}&late", "branch.created")
        assert sorted(names_of(await of_all.wait_for(6))) == sorted(
            ["branch.created", "branch.deleted"] * 3
        )
        assert set(names_of(await of_one.wait_for(3))) == {"branch.deleted"}
        others = await of_other.wait_for(2)
        ids = {event.repository_id for event in map(parse_event, others)}
        assert ids == {elsewhere.names["repository"]}
        assert (len(of_all.requests), len(of_one.requests)) == (6, 3)


async def test_https_with_a_certificate(api: Api, tmp_path: Path) -> None:
    """127.0.0.1 is not in the certificate, so nothing is sent; TLS itself is tested with the sender."""
    hooks = await Hooks.of_repository(api)
    tls = Authority.make(tmp_path).certify("ci.example")
    async with HttpReceiver(tls=tls) as receiver:
        webhook = await hooks.create(receiver.url)
        ping = (await hooks.call("Ping", webhook_id=webhook.id)).delivery
        shown = await hooks.wait_for_delivery(ping.id)
        assert shown.state == pb.DELIVERY_STATE_FAILED
        assert shown.attempts[0].error.startswith("The certificate is not valid: ")
        assert not receiver.requests


async def test_both_secrets_sign(api: Api) -> None:
    hooks = await Hooks.of_repository(api)
    async with HttpReceiver() as receiver:
        webhook = await hooks.create(receiver.url)
        fields = {"webhook_id": webhook.id, "overlap": Duration(seconds=60)}
        second = (await hooks.call("RotateSecret", **fields)).secret
        await hooks.call("Ping", webhook_id=webhook.id)
        [request] = await receiver.wait_for(1)
        assert request.headers["x-dits-signature"].count("sha256=") == 2
        assert is_genuine(request.headers, request.body, SECRET)
        assert is_genuine(request.headers, request.body, second)
        third = (await hooks.call("RotateSecret", webhook_id=webhook.id)).secret
        await api.fetch("UPDATE webhooks SET previous_secret_until = now()")
        await hooks.call("Ping", webhook_id=webhook.id)
        _, request = await receiver.wait_for(2)
        assert is_genuine(request.headers, request.body, third)
        assert not is_genuine(request.headers, request.body, second)


async def test_pings(api: Api) -> None:
    hooks = await Hooks.of_repository(api)
    async with HttpReceiver(receivers.answer_in_turn(answer(), answer(500))) as receiver:
        webhook = await hooks.create(receiver.url, "push", active=False)
        ping = (await hooks.call("Ping", webhook_id=webhook.id)).delivery
        assert (ping.state, ping.event_type) == (
            pb.DELIVERY_STATE_PENDING,
            EventType.EVENT_TYPE_WEBHOOK_PING,
        )
        assert ping.requester_id == str(hooks.who.id)
        [request] = await receiver.wait_for(1)
        event = parse_event(request)
        assert (event.id, event.actor) == (ping.event_id, hooks.who.username)
        assert (event.webhook.webhook_id, event.webhook.host) == (webhook.id, "127.0.0.1")
        shown = await hooks.wait_for_delivery(ping.id)
        assert shown.state == pb.DELIVERY_STATE_SUCCEEDED
        ping = (await hooks.call("Ping", webhook_id=webhook.id)).delivery
        shown = await hooks.wait_for_delivery(ping.id)
        assert (shown.state, shown.last_status) == (pb.DELIVERY_STATE_FAILED, 500)
        assert not shown.HasField("next_attempt_time")


async def test_a_delivery_is_sent_again(api: Api) -> None:
    hooks = await Hooks.of_repository(api)
    async with HttpReceiver() as receiver:
        webhook = await hooks.create(receiver.url, "branch.created")
        await hooks.happen()
        [first] = await receiver.wait_for(1)
        fields = {"active": False, "webhook_id": webhook.id, "update_mask": OFF}
        await hooks.call("UpdateWebhook", **fields)
        delivery_id = first.headers["x-dits-delivery"]
        request = {"delivery_id": delivery_id, "request_id": webhook.id}
        again = (await hooks.call("Redeliver", **request)).delivery
        assert (await hooks.call("Redeliver", **request)).delivery == again
        _, second = await receiver.wait_for(2)
        await hooks.wait_for_delivery(again.id, state=pb.DELIVERY_STATE_SUCCEEDED)
        assert len(receiver.requests) == 2
    assert second.body == first.body
    assert second.headers["x-dits-event-id"] == first.headers["x-dits-event-id"]
    assert second.headers["x-dits-delivery"] == again.id != delivery_id
    listed = await hooks.list_deliveries(webhook.id)
    assert [delivery.id for delivery in listed] == [again.id, delivery_id]

"""`dits ssh-key`."""

import uuid
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from dits.auth.v1 import key_service_pb2 as pb
from google.protobuf.json_format import MessageToJson

from dits_client.cli.answers import record
from dits_client.cli.session import connect, connect_with_password
from dits_client.cli.ssh_signing import SigningKey, find_keys, read_key
from dits_client.cli.table import format_time, tell_if_empty
from dits_client.errors import ClientError
from dits_client.server.client import Client
from dits_client.terminal import escape_text, quote_text


def handle_add(arguments: Namespace) -> None:
    """Add a key to the account; it signs a challenge first."""
    key = read_key(Path(arguments.file).expanduser()) if arguments.file else _first_key()
    with connect_with_password() as client:
        challenge = client.call(client.keys.CreateKeyChallenge, pb.CreateKeyChallengeRequest())
        request = pb.AddSshKeyRequest(
            request_id=str(uuid.uuid4()),
            name=arguments.name or key.comment[:255] or key.public.key_type,
            public_key=key.public.line,
            challenge=challenge.challenge,
            signature=key.sign(challenge.challenge.encode(), challenge.namespace),
        )
        added = client.call(client.keys.AddSshKey, request).key
    record(added)
    print(escape_text(f"Added {added.fingerprint} ({added.name})."))


def handle_list(arguments: Namespace) -> None:
    """List the keys of the account, newest first."""
    with connect() as (client, _):
        keys = list(_list_keys(client))
    if arguments.json:
        for key in keys:
            print(MessageToJson(key, preserving_proto_field_name=True, indent=None))
        return
    for key in tell_if_empty(keys, "No keys.", as_json=arguments.json):
        used = "never used"
        if key.HasField("last_use_time"):
            used = f"used {format_time(key.last_use_time)}"
        added = f"added {key.create_time.ToDatetime().date()}"
        parts = (key.fingerprint, key.key_type, added, used, key.name)
        print(escape_text("  ".join(parts)))


def handle_remove(arguments: Namespace) -> None:
    """Delete a key of the account, by its name, fingerprint or id."""
    with connect_with_password() as client:
        named = [
            key
            for key in _list_keys(client)
            if arguments.key in (key.id, key.fingerprint, key.name)
        ]
        if len(named) != 1:
            many = f"{len(named)} keys are called so: give a fingerprint"
            raise ClientError(many if named else f"you have no key {quote_text(arguments.key)}")
        client.call(client.keys.DeleteSshKey, pb.DeleteSshKeyRequest(key_id=named[0].id))
    print(escape_text(f"Removed {named[0].fingerprint} ({named[0].name})."))


def _first_key() -> SigningKey:
    key = next(find_keys(), None)
    if key is None:
        raise ClientError("no SSH key was found: name a file, or make a key with ssh-keygen")
    return key


def _list_keys(client: Client) -> Iterator[pb.SshKey]:
    pages = client.list_pages(client.keys.ListSshKeys, pb.ListSshKeysRequest(page_size=1000))
    return (key for page in pages for key in page.keys)

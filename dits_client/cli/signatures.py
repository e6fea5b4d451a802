"""Signatures of commits and tags: which key makes them, and what is said of them."""

from pathlib import Path

from dits.auth.v1.key_service_pb2 import ListSshKeysRequest
from dits.repo.v1.signature_pb2 import Signature, SignatureVerdict

from dits_client.cli.ssh_signing import SigningKey, find_keys, read_key
from dits_client.cli.table import name_value
from dits_client.errors import ClientError
from dits_client.server.client import Client


def choose_key(client: Client, file: str | None) -> SigningKey:
    """Return the key of a file, or the user's first one that the account has. Raises ClientError."""
    if file:
        return read_key(Path(file).expanduser())
    pages = client.list_pages(client.keys.ListSshKeys, ListSshKeysRequest())
    known = {key.fingerprint for page in pages for key in page.keys}
    for key in find_keys():
        if key.public.fingerprint in known:
            return key
    raise ClientError(
        "no SSH key here is one of your account: add one with `dits ssh-key add`, or name one with --key"
    )


def describe_signature(signature: Signature) -> str:
    """Return what the server says of a signature: `good signature by SHA256:…`."""
    name = name_value(SignatureVerdict, signature.verdict, "SIGNATURE_VERDICT_")
    word = name.replace("_", " ")
    verdict = f"{word} signature" if word in ("good", "bad") else f"signature not good: {word},"
    return f"{verdict} by {signature.key_fingerprint}"

"""`dits token`: the user's API tokens, and those that somebody has found."""

import uuid
from argparse import Namespace
from datetime import UTC, datetime, timedelta

from dits.auth.v1 import token_service_pb2 as pb

from dits_client.cli.logins import find_endpoints
from dits_client.cli.prompts import read_secret
from dits_client.cli.session import connect, connect_with_rights
from dits_client.cli.table import format_time, print_json, print_table
from dits_client.errors import ClientError
from dits_client.server.client import Client
from dits_client.terminal import escape_text, quote_text


def handle_create(arguments: Namespace) -> None:
    """Make a token and print its secret."""
    request = pb.CreateTokenRequest(
        request_id=str(uuid.uuid4()),
        name=arguments.name,
        scopes=arguments.scope,
        repositories=arguments.repository,
    )
    if arguments.days is not None:
        request.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=arguments.days))
    with connect_with_rights() as client:
        made = client.call(client.tokens.CreateToken, request)
    if arguments.json:
        print_json([made])
    else:
        print(made.secret)


def handle_list(arguments: Namespace) -> None:
    """List the user's live tokens, newest first."""
    with connect() as (client, _):
        found = _list_tokens(client)
    if arguments.json:
        print_json(found)
        return
    headings = ("ID", "NAME", "SCOPES", "REPOSITORIES", "ENDS", "USED", "FROM", "REFUSED BY")
    print_table(headings, map(_describe, found), "No tokens.")


def handle_rename(arguments: Namespace) -> None:
    """Give a token another name."""
    with connect_with_rights() as client:
        token = _find_token(client, arguments.token)
        request = pb.RenameTokenRequest(token_id=token.id, name=arguments.name)
        client.call(client.tokens.RenameToken, request)
    print(escape_text(f"{token.name} is called {arguments.name} now."))


def handle_revoke(arguments: Namespace) -> None:
    """End a token."""
    with connect_with_rights() as client:
        token = _find_token(client, arguments.token)
        client.call(client.tokens.RevokeToken, pb.RevokeTokenRequest(token_id=token.id))
    print(escape_text(f"{token.name} was ended."))


def handle_report(arguments: Namespace) -> None:
    """End the token or session of a secret, and have its owner notified."""
    endpoints = find_endpoints(arguments.server)
    secret = read_secret("Secret that was found: ")
    with Client(endpoints) as client:
        request = pb.ReportLeakedTokenRequest(secret=secret)
        client.call(client.tokens.ReportLeakedToken, request)
    print(f"If {endpoints.name} knew it, it works no more, and its owner is told.")


def _list_tokens(client: Client) -> list[pb.ApiToken]:
    pages = client.list_pages(client.tokens.ListTokens, pb.ListTokensRequest(page_size=1000))
    return [token for page in pages for token in page.tokens]


def _find_token(client: Client, named: str) -> pb.ApiToken:
    """Return the token of an id or name. Raise ClientError if there is none, or more than one."""
    found = [token for token in _list_tokens(client) if named in (token.id, token.name)]
    if len(found) != 1:
        many = f"{len(found)} tokens are called so: give an id"
        raise ClientError(many if found else f"you have no token {quote_text(named)}")
    return found[0]


def _describe(token: pb.ApiToken) -> tuple[str, ...]:
    count = len(token.repository_ids)
    return (
        token.id,
        token.name,
        " ".join(token.scopes),
        str(count) if count else "all",
        format_time(token.expire_time) if token.HasField("expire_time") else "never",
        format_time(token.last_use_time) if token.HasField("last_use_time") else "never",
        token.last_use_network,
        " ".join(f"{each.organization} ({each.rule})" for each in token.refusals),
    )

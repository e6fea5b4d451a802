"""Who commits."""

from dits.auth.v1.account_service_pb2 import GetMeRequest

from dits_client.push.report import Author
from dits_client.server.client import Client


def complete_author(client: Client, author: Author | None) -> Author:
    """Return the author; the caller where that says nobody."""
    if author is not None and (author.name or author.email):
        return author
    user = client.call(client.accounts.GetMe, GetMeRequest()).user
    return Author(user.name or user.username, user.email, author.sign_commit if author else None)

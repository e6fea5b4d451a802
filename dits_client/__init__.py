"""The reference client of dits: a library and the `dits` command.

    client = Client(Endpoints.parse("localhost"), token)
    report = push(folder, client, "ada/film", message="First cut")
    report = clone(client, "ada/film", folder)

Importing the package is cheap; the names are loaded when they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dits_client.clone import CheckoutReport, clone, pull
    from dits_client.config import Endpoints
    from dits_client.connection import Client
    from dits_client.errors import ClientError, RemoteError
    from dits_client.push import PushReport, push

_HOMES = {
    "CheckoutReport": "clone",
    "Client": "connection",
    "ClientError": "errors",
    "Endpoints": "config",
    "PushReport": "push",
    "RemoteError": "errors",
    "clone": "clone",
    "pull": "clone",
    "push": "push",
}

__all__ = [
    "CheckoutReport",
    "Client",
    "ClientError",
    "Endpoints",
    "PushReport",
    "RemoteError",
    "clone",
    "pull",
    "push",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(f"dits_client.{_HOMES[name]}"), name)

"""A channel whose failed calls say which service they were made to, and where."""

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc

# The attribute of a failed call.
_SERVICE = "dits_service"


class CalledService(NamedTuple):
    """The service of a call, and its address."""

    # auth, repo, chunk or lock; empty = it is none of these.
    name: str
    # `host:port`
    address: str


UNKNOWN_SERVICE = CalledService("", "")


def find_service(call: object) -> CalledService:
    """Return the service that a failed call, or a stream, was made to."""
    found: CalledService = getattr(call, _SERVICE, UNKNOWN_SERVICE)
    return found


class NamedChannel(grpc.Channel):
    """Passes each call on to a channel."""

    def __init__(self, channel: grpc.Channel, address: str) -> None:
        self._channel = channel
        self._address = address

    def unary_unary(self, method: str, *args: Any, **options: Any) -> Any:
        """Return a method with one request and one response."""
        return self._name(method, self._channel.unary_unary(method, *args, **options))

    def unary_stream(self, method: str, *args: Any, **options: Any) -> Any:
        """Return a method with one request and many responses."""
        return self._name(method, self._channel.unary_stream(method, *args, **options))

    def stream_unary(self, method: str, *args: Any, **options: Any) -> Any:
        """Return a method with many requests and one response."""
        return self._name(method, self._channel.stream_unary(method, *args, **options))

    def stream_stream(self, method: str, *args: Any, **options: Any) -> Any:
        """Return a method with many requests and many responses."""
        return self._name(method, self._channel.stream_stream(method, *args, **options))

    def subscribe(self, *args: Any, **options: Any) -> None:
        """Watch the channel."""
        self._channel.subscribe(*args, **options)

    def unsubscribe(self, *args: Any, **options: Any) -> None:
        """Watch the channel no more."""
        self._channel.unsubscribe(*args, **options)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def __enter__(self) -> "NamedChannel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _name(self, method: str, inner: Callable[..., Any]) -> "_NamedMethod":
        # "/dits.chunk.v1.ChunkService/UploadChunks"
        package = method.removeprefix("/").split(".")
        name = package[1] if package[0] == "dits" else ""
        return _NamedMethod(inner, CalledService(name, self._address))


class _NamedMethod:
    """A method whose calls carry the service."""

    def __init__(self, inner: Any, service: CalledService) -> None:
        self._inner = inner
        self._service = service

    def __call__(self, *args: Any, **options: Any) -> Any:
        try:
            made = self._inner(*args, **options)
        except grpc.RpcError as error:
            setattr(error, _SERVICE, self._service)
            raise
        return self._note(made)

    def future(self, *args: Any, **options: Any) -> Any:
        """Start a call; its result comes later."""
        return self._note(self._inner.future(*args, **options))

    def _note(self, made: Any) -> Any:
        """Note the service at a call that is under way; what else there is are responses."""
        if isinstance(made, grpc.Call):
            setattr(made, _SERVICE, self._service)
        return made

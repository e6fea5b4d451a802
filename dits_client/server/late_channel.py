"""A channel that looks its address up at each call: a repository may move between two calls."""

from collections.abc import Callable
from typing import Any

import grpc


class LateChannel(grpc.Channel):
    """Passes each call on to the channel that `find` returns at that moment."""

    def __init__(self, find: Callable[[], grpc.Channel]) -> None:
        self._find = find

    def unary_unary(self, *args: Any, **options: Any) -> Any:
        """Return a method with one request and one response."""
        return _LateMethod(lambda: self._find().unary_unary(*args, **options))

    def unary_stream(self, *args: Any, **options: Any) -> Any:
        """Return a method with one request and many responses."""
        return _LateMethod(lambda: self._find().unary_stream(*args, **options))

    def stream_unary(self, *args: Any, **options: Any) -> Any:
        """Return a method with many requests and one response."""
        return _LateMethod(lambda: self._find().stream_unary(*args, **options))

    def stream_stream(self, *args: Any, **options: Any) -> Any:
        """Return a method with many requests and many responses."""
        return _LateMethod(lambda: self._find().stream_stream(*args, **options))

    def subscribe(self, *args: Any, **options: Any) -> None:
        """Watch the channel of this moment."""
        self._find().subscribe(*args, **options)

    def unsubscribe(self, *args: Any, **options: Any) -> None:
        """Watch the channel of this moment no more."""
        self._find().unsubscribe(*args, **options)

    def close(self) -> None:
        """Do nothing: the channels belong to the client."""

    def __enter__(self) -> "LateChannel":
        return self

    def __exit__(self, *_: object) -> None:
        return None


class _LateMethod:
    """A method that is made anew for each call."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._make()(*args, **options)

    def future(self, *args: Any, **options: Any) -> Any:
        """Start a call; its result comes later."""
        return self._make().future(*args, **options)

"""JSON in requests: names and values of all kinds, the wild ones not even JSON."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from google.protobuf.struct_pb2 import Struct


def make_struct(rng: Random, text: Callable[[], str], *, wild: bool) -> Struct:
    """Some JSON."""
    values: list[Any] = [None, True, text(), 1.5, [], {}, ["x", {"y": 1}]]
    if wild:
        values += [float("nan"), float("-inf"), "\0", "x" * 20_000, [[[]]] * 500]
    struct = Struct()
    struct.update({text(): rng.choice(values) for _ in range(3)})
    return struct

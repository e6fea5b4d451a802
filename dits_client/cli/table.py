"""Tables and JSON that list commands print."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from dits_client.terminal import escape_text

Item = TypeVar("Item")


def print_json(messages: Iterable[Message]) -> None:
    """Print a line of JSON for each message."""
    for message in messages:
        print(MessageToJson(message, preserving_proto_field_name=True, indent=None))


def format_time(moment: Timestamp) -> str:
    """Return a time for people, to the minute."""
    # Not by strftime, which writes the year 1 with one digit.
    return moment.ToDatetime().isoformat(" ", "minutes") + " UTC"


def name_value(enum: Any, value: int, prefix: str) -> str:
    """Return the name of an enum's value for people; of one that only a newer server knows, its number."""
    known = value in enum.values()
    return str(enum.Name(value)).removeprefix(prefix).lower() if known else str(value)


def tell_if_empty(found: Iterable[Item], sentence: str, *, as_json: bool) -> Iterator[Item]:
    """Yield what a command lists; if there is nothing, tell people so, but no program that reads JSON."""
    is_empty = True
    for item in found:
        is_empty = False
        yield item
    if is_empty and not as_json:
        print(sentence, file=sys.stderr)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """Print rows in columns, under their headings; if there are none, `empty` on stderr."""
    lines = [
        [escape_text(cell) for cell in row] for row in tell_if_empty(rows, empty, as_json=False)
    ]
    if not lines:
        return
    widths = [max(map(len, column)) for column in zip(headings, *lines, strict=True)]
    for line in (headings, *lines):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())

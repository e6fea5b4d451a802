"""Tables and JSON that list commands print."""

from collections.abc import Iterable, Sequence

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from dits_client.cli.text import escape_text


def print_json(messages: Iterable[Message]) -> None:
    """Print a line of JSON for each message."""
    for message in messages:
        print(MessageToJson(message, preserving_proto_field_name=True, indent=None))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns, under their headings; nothing if there are no rows."""
    lines = [[escape_text(cell) for cell in row] for row in rows]
    if not lines:
        return
    widths = [max(map(len, column)) for column in zip(headings, *lines, strict=True)]
    for line in (headings, *lines):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())

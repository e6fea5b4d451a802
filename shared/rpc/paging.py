"""Pages: sizes, and sealed tokens that say where the next page begins.

A token is sealed for the method, the caller and all filters of the request, so it can neither be read nor
forged nor carried over to another listing. Queries are keyset queries: a page begins after a row, never at
a count of rows.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any, TypeVar

from google.protobuf.message import Message

from shared.errors import invalid_field, invalid_page_token
from shared.rpc.call import Call
from shared.runtime.server_key import ServerKey

DEFAULT_SIZE = 50
MAX_SIZE = 1000
# Of the rows of one page; a message has 4 MiB at most.
PAGE_BYTES = 3 << 20
# What a row takes besides its texts, and a value that is no text: an id is shown as 36 characters.
ROW_BYTES = 200
VALUE_BYTES = 40

Item = TypeVar("Item")


class Page:
    """One page of a listing that is being answered.

    Attributes:
        size: how many rows the response may hold; fetch `size + 1`.
        after: the position that the page token carries; None = from the beginning.
    """

    def __init__(self, key: ServerKey, request: Message, call: Call) -> None:
        asked: Any = request
        if asked.page_size < 0:
            raise invalid_field("page_size", "must not be negative")
        self.size = min(asked.page_size or DEFAULT_SIZE, MAX_SIZE)
        self._key = key
        self._binding = _binding(request, call)
        self.after = self._open(asked.page_token) if asked.page_token else None

    def answer(
        self,
        rows: Sequence[Item],
        position: Callable[[Item], tuple[str | int, ...]],
        measure: Callable[[Item], int] | None = None,
    ) -> tuple[Sequence[Item], str]:
        """Returns the rows of this page, out of up to `size + 1`, and the token of the next.

        `position` is the sort key of a row. `measure` says how many bytes of a message a row takes, if not
        what `measure_row` says: the page ends before PAGE_BYTES, but has one row at least. The token is
        empty after the last page.
        """
        shown = rows[: self.size]
        shown = shown[: count_fitting(map(measure or measure_row, shown))]
        return shown, self.token(*position(shown[-1])) if len(rows) > len(shown) else ""

    def token(self, *position: str | int) -> str:
        """Returns the token of the page after `position`, the sort key of the last row."""
        payload = json.dumps(position, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._key.seal(payload, self._binding)).decode()

    def _open(self, token: str) -> list[Any]:
        try:
            sealed = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise invalid_page_token() from None
        payload = self._key.unseal(sealed, self._binding)
        if payload is None:
            raise invalid_page_token()
        position: list[Any] = json.loads(payload)
        return position


def measure_row(row: Any) -> int:
    """Returns how many bytes the message takes at most that shows a row of a query, or an entry of a tree.

    A message that shows more than its row, or shows it twice, needs a measure of its own.
    """
    if isinstance(row, Message):
        return ROW_BYTES + row.ByteSize()
    return ROW_BYTES + sum(map(_measure_value, row.values()))


def _measure_value(value: object) -> int:
    if isinstance(value, str):
        # Nothing else has a loop over characters here: a page has up to MAX_SIZE rows.
        return len(value) if value.isascii() else len(value.encode())
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, list):
        return sum(map(_measure_value, value))
    return VALUE_BYTES


def count_fitting(sizes: Iterable[int]) -> int:
    """Returns how many of the first rows fit into one message, at least one."""
    return max(1, sum(1 for total in accumulate(sizes) if total <= PAGE_BYTES))


def _binding(request: Message, call: Call) -> bytes:
    """What a token is sealed for: method, caller, repository and filters."""
    filters: Any = type(request)()
    filters.CopyFrom(request)
    filters.page_token = ""
    filters.page_size = 0
    text: bytes = filters.SerializeToString(deterministic=True)
    return b"\0".join((b"page", call.method.encode(), str(call.caller_id).encode(), text))

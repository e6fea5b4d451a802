"""Object stores: where packs lie. An object is written once, read in ranges, and deleted."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple, Protocol, TypeVar

Result = TypeVar("Result")

_KEY = re.compile("([0-9]+)/([0-9a-z]{2,128})")
# The object that holds the id of the store: its name is no key.
ID_NAME = "dits-store"
_OWNER_NAME = "dits-owner-"
# The hottest first.
STORAGE_CLASSES = ("standard", "infrequent", "glacier", "deep_archive")
ARCHIVES = frozenset({"glacier", "deep_archive"})


class BlobMissing(Exception):  # noqa: N818  an expected outcome
    """The store has no such object."""


class BlobFrozen(Exception):  # noqa: N818  an expected outcome
    """The object lies in an archive, and has to be restored before it is read."""


class SignedRequest(NamedTuple):
    """A request to a store that its holder may do: method, URL, and the headers that it must have."""

    method: str
    url: str
    headers: Mapping[str, str]


class BlobWriter(Protocol):
    """Writes one object, which no reader sees before it is sealed."""

    async def write_parts(self, parts: Sequence[bytes | memoryview]) -> None:
        """Appends bytes. Raises OSError ENOSPC when the store is full."""

    async def seal(self) -> None:
        """Makes the object durable and visible; returns when it is both. Raises like write_parts."""

    async def discard(self) -> None:
        """Gives the object up and frees its space; a sealed one stays."""


class BlobStore(Protocol):
    """One bucket of a store, in one region.

    A key is `<cell>/<name>`: the number of a cell, and lower-case letters and digits. Cells may share a
    bucket: the objects of one are those whose keys begin with its number and a slash. Every method
    raises ValueError if a key has another form, and DEPENDENCY_UNAVAILABLE if the store does not answer
    or is not the one that it should be: nothing is missing then.

    Attributes:
        bucket, region: its names in the database.
        storage_class: of the chunks in it; only an archive class has objects that have to be restored.
        location: where it is, for people.
        expected_id: the id that it must have; None = any.
    """

    bucket: str
    region: str
    storage_class: str
    location: str
    expected_id: str | None

    def open_writer(self, key: str) -> BlobWriter:
        """Begins an object, which exists from the first write on; a key is used once."""

    async def read_ranges(
        self,
        key: str,
        ranges: Sequence[tuple[int, int]],
        use: Callable[[list[memoryview]], Result],
    ) -> Result:
        """Returns what `use` makes of the bytes at each (offset, length), fewer at the object's end.

        `use` runs in a thread, if possible in the one that has read them. Raises BlobMissing, and
        BlobFrozen if it has to be restored first.
        """

    def sign_request(
        self, method: str, key: str, headers: Mapping[str, str], lasting: timedelta
    ) -> SignedRequest | None:
        """Returns a request for an object that whoever has it may do for so long.

        `headers` have names in lower case. None = others cannot do requests to this store.
        """

    async def begin_restore(self, key: str, keep: timedelta) -> None:
        """Asks for an object to be made readable, and to stay so for `keep`; one that is stays longer.

        Does nothing where all objects are readable. Raises BlobMissing.
        """

    async def is_restored(self, key: str) -> bool:
        """Returns whether an object can be read, if it is there."""

    async def measure_object(self, key: str) -> int | None:
        """Returns the bytes of a sealed object; None if there is none."""

    async def find_time(self, key: str) -> float | None:
        """Returns when a sealed object was made, by the store's clock: seconds since 1970, or None."""

    def list_objects(self, cell: int) -> AsyncGenerator[list[str], None]:
        """Yields the keys of all objects of a cell, sealed or not, some at a time.

        Objects that come or go meanwhile may be missed.
        """

    async def delete_object(self, key: str) -> None:
        """Removes an object, sealed or not. Succeeds if it is gone already."""

    async def read_id(self) -> str | None:
        """Returns the id of the store; None if nobody has made one here."""

    async def create(self, store_id: str) -> str:
        """Makes what a store needs, and gives it the id unless it has one; returns the one that it has."""

    async def read_owner(self, cell: int) -> str | None:
        """Returns what says which database may delete the objects of a cell; None if nothing does."""

    async def write_owner(self, cell: int, text: str, *, is_first: bool) -> None:
        """Says durably which database may delete the objects of a cell.

        `is_first`: unless something says it already.
        """


def is_archive(storage_class: str) -> bool:
    """Returns whether what lies in a class has to be restored before it is read."""
    return storage_class in ARCHIVES


def find_writable(stores: Mapping[str, BlobStore], bucket: str) -> BlobStore:
    """Returns where chunks of a bucket are written again, by compaction or healing: `stores` by buckets.

    Those of an archive are hot then: a new object there could not be read by whoever has restored them.
    The job of the policies brings them back.
    """
    store = stores[bucket]
    return stores[store.region] if is_archive(store.storage_class) else store


def split_key(key: str) -> tuple[str, str]:
    """Returns the cell and the name of a key. Raises ValueError if it has another form."""
    match = _KEY.fullmatch(key)
    if match is None:
        raise ValueError(f"{key!r} is not the key of an object")
    cell, name = match.groups()
    return cell, name


def owner_name(cell: int) -> str:
    """Returns the name of the object that says which database may delete the objects of a cell: no key."""
    return f"{_OWNER_NAME}{cell}"


def is_key(text: str) -> bool:
    """Returns whether a text has the form of a key."""
    return _KEY.fullmatch(text) is not None


def join_ranges(ranges: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Yields runs of (offset, length) ranges in which each begins where the one before ends."""
    run: list[tuple[int, int]] = []
    for item in ranges:
        if run and item[0] != sum(run[-1]):
            yield run
            run = []
        run.append(item)
    if run:
        yield run

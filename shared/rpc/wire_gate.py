"""Bounds what a message becomes, and what reading it costs, before it is parsed.

Two bytes on the wire can become an object of fifty: a message of 17 MiB may ask for half a gigabyte. The
gate walks the field headers of the raw bytes, skips what they enclose, and counts the elements that would
become objects: messages, and strings or bytes of repeated fields.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from shared.errors import batch_too_large

# Below it nothing that the bytes could become is large.
FREE_BYTES = 64 << 10
MAX_ELEMENTS = 131_072
# Fields of any kind to each element: numbers take no memory of their own, but time.
_FIELDS_EACH = 8

_VARINT, _DELIMITED = 0, 2
# A number has ten bytes at most.
_MAX_SHIFT = 63
# Bytes of the wire types of fixed size.
_FIXED = {1: 8, 5: 4}
# Field number -> the fields of the message that it holds; None = a repeated string or bytes.
_Fields: TypeAlias = "dict[int, _Fields | None]"


def require_bounded(data: bytes, message_type: Descriptor, most: int = MAX_ELEMENTS) -> None:
    """Raises BATCH_TOO_LARGE if parsing the bytes would make more than `most` elements."""
    found = count_elements(data, message_type, most)
    if found > most:
        raise batch_too_large("message elements", most, found)


def count_elements(data: bytes, message_type: Descriptor, most: int) -> int:
    """Returns how many elements the bytes hold; stops at `most` + 1.

    A message of more fields than any honest one counts as one of too many elements. Bytes that are no
    message of the type end the count early: the parser refuses them.
    """
    counted, fields_left = 0, _FIELDS_EACH * most
    left: list[tuple[int, int, _Fields]] = [(0, len(data), _fields(message_type))]
    try:
        while left:
            at, end, fields = left.pop()
            while at < end:
                tag, at = read_varint(data, at)
                fields_left -= 1
                if fields_left < 0:
                    return most + 1
                kind = tag & 7
                if kind != _DELIMITED:
                    at = read_varint(data, at)[1] if kind == _VARINT else at + _FIXED.get(kind, 0)
                    continue
                length, at = read_varint(data, at)
                if tag >> 3 in fields:
                    counted += 1
                    if counted > most:
                        return counted
                    if inner := fields[tag >> 3]:
                        left.append((at, min(at + length, end), inner))
                at += length
    except IndexError:
        return counted
    return counted


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at a position, and the position behind it. Raises IndexError if there is none."""
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte, at
    value, shift = byte & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > _MAX_SHIFT:
            raise IndexError


@lru_cache(maxsize=512)
def _fields(message_type: Descriptor) -> _Fields:
    """The fields of a type whose elements count."""
    known: dict[str, _Fields] = {}
    return _described(message_type, known)


def _described(message_type: Descriptor, known: dict[str, _Fields]) -> _Fields:
    if message_type.full_name in known:
        return known[message_type.full_name]
    fields: _Fields = {}
    known[message_type.full_name] = fields
    for field in message_type.fields:
        if field.message_type is not None:
            fields[field.number] = _described(field.message_type, known)
        elif field.is_repeated and field.type in (
            FieldDescriptor.TYPE_STRING,
            FieldDescriptor.TYPE_BYTES,
        ):
            fields[field.number] = None
    return fields

"""The encoding of SSH (RFC 4251, section 5), read strictly to the last byte. Pure."""

import base64
import binascii

from shared.formats.canonical import FormatError


class WireReader:
    """Reads the parts of a blob, from its beginning to its end.

    Attributes:
        field: what errors say that the blob is.
    """

    def __init__(self, field: str, blob: bytes) -> None:
        self.field = field
        self._blob = blob
        self._at = 0

    def read_bytes(self, count: int) -> bytes:
        """Return the next bytes. Raises FormatError if there are fewer."""
        part = self._blob[self._at : self._at + count]
        if len(part) != count:
            raise self.error("is cut off")
        self._at += count
        return part

    def read_uint32(self) -> int:
        """Return the next number of four bytes."""
        return int.from_bytes(self.read_bytes(4), "big")

    def read_string(self, most: int) -> bytes:
        """Return the next string. Raises FormatError if it has more than `most` bytes."""
        count = self.read_uint32()
        if count > most:
            raise self.error(f"has a part of {count} bytes, more than {most}")
        return self.read_bytes(count)

    def read_mpint(self, most: int) -> int:
        """Return the next number, which is positive and in its shortest form, of at most `most` bytes."""
        # A number whose first bit is set has a zero byte before it.
        digits = self.read_string(most + 1)
        if not digits or digits[0] & 0x80 or (digits[0] == 0 and digits[1:2] < b"\x80"):
            raise self.error("has a number that is not positive and in its shortest form")
        return int.from_bytes(digits, "big")

    def read_end(self) -> None:
        """Raise FormatError if anything is left."""
        if self._at != len(self._blob):
            raise self.error("has bytes behind its end")

    def error(self, description: str) -> FormatError:
        """Return an error of the blob."""
        return FormatError(self.field, description)


def write_string(part: bytes) -> bytes:
    """Return a string of SSH: its length in four bytes, then itself."""
    return len(part).to_bytes(4, "big") + part


def decode_base64(field: str, text: str) -> bytes:
    """Return the bytes of base64 in its one canonical form. Raises FormatError."""
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise FormatError(field, "is not base64") from None
    # The last digit has bits that say nothing.
    if base64.b64encode(blob).decode() != text:
        raise FormatError(field, "is not base64 in its canonical form")
    return blob

"""Which characters text may hold that people read later, in a list, a log or a terminal. Pure."""

import re
import unicodedata

# Controls and lone surrogates: PostgreSQL refuses NUL and surrogates, terminals obey the others.
_CONTROLS = r"\x00-\x1f\x7f-\x9f\ud800-\udfff"
# What breaks lines, or shows characters in another order than that in which they stand.
_DISGUISES = r"\u2028\u2029\u202a-\u202e\u2066-\u2069"
# Letters, marks and symbols that are drawn as nothing: those that Unicode says to ignore by default, and
# two with an empty shape. Others without one are spaces and controls by their category.
_SHAPELESS = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0x1D159),
            *range(0x180B, 0x1810),
            *range(0xFE00, 0xFE10),
            *range(0xE0100, 0xE01F0),
        ),
    )
)
_NOT_IN_LINE = re.compile(f"[{_CONTROLS}{_DISGUISES}]")
_NOT_IN_PROSE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]|\r(?!\n)")


def fold_case(value: str) -> str:
    """Return the spelling that stands for all spellings of a name: Unicode's caseless form, composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", value).casefold())


def find_line_fault(value: str) -> str:
    """Return why the text cannot be a name, or another text of one line; empty if it can."""
    # Nearly all names; half a million of them are checked in one push.
    if value.isprintable():
        return ""
    return _describe_match(_NOT_IN_LINE.search(value))


def find_prose_fault(value: str) -> str:
    """Return why the text cannot be a message; empty if it can. Line ends and tabs may be in it."""
    if value.isprintable():
        return ""
    return _describe_match(_NOT_IN_PROSE.search(value))


def is_blank(value: str) -> bool:
    """Return whether nothing of the text can be seen: spaces, and characters without a shape."""
    return all(_is_shapeless(char) or unicodedata.category(char)[0] == "Z" for char in value)


def list_looks(value: str) -> tuple[str, ...]:
    """Return the text in composed form and, if that differs, what of it can be seen."""
    if value.isascii():
        return (value,)
    seen = "".join(char for char in value if not _is_shapeless(char)).strip()
    return tuple(dict.fromkeys(unicodedata.normalize("NFC", text) for text in (value, seen)))


def _is_shapeless(char: str) -> bool:
    return char in _SHAPELESS or unicodedata.category(char)[0] == "C"


def escape_controls(value: str) -> str:
    r"""Return the text with `\xNN` or `\uNNNN` in the place of what may not stand in a line."""
    if value.isprintable():
        return value
    return _NOT_IN_LINE.sub(lambda match: ascii(match[0])[1:-1], value)


def _describe_match(match: re.Match[str] | None) -> str:
    return f"must not contain the character U+{ord(match[0]):04X}" if match else ""

"""Which characters text may hold that people read later, in a list, a log or a terminal. Pure."""

import re

# Controls and lone surrogates: PostgreSQL refuses NUL and surrogates, terminals obey the others.
_CONTROLS = r"\x00-\x1f\x7f-\x9f\ud800-\udfff"
# What breaks lines, or shows characters in another order than that in which they stand.
_DISGUISES = r"\u2028\u2029\u202a-\u202e\u2066-\u2069"
_NOT_IN_LINE = re.compile(f"[{_CONTROLS}{_DISGUISES}]")
_NOT_IN_PROSE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]|\r(?!\n)")


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


def escape_controls(value: str) -> str:
    r"""Return the text with `\xNN` or `\uNNNN` in the place of what may not stand in a line."""
    if value.isprintable():
        return value
    return _NOT_IN_LINE.sub(lambda match: ascii(match[0])[1:-1], value)


def _describe_match(match: re.Match[str] | None) -> str:
    return f"must not contain the character U+{ord(match[0]):04X}" if match else ""

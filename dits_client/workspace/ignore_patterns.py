"""Patterns of a `.gitignore` as expressions of RE2, which match in time linear in the path.

They match bytes, as Git does: `?` is one byte, and of a character that has more it matches a part.
"""

import string
from collections.abc import Callable

# Behind the path of a directory; no name has it.
DIRECTORY_MARK = b"\0"
_ANY, _ANY_BUT_SLASH = b"[^\\0]*", b"[^/\\0]*"
_SPECIAL = b"*?[\\"
# What no set matches.
_SLASH, _MARK = ord("/"), 0


def _collect(holds: Callable[[str], bool]) -> frozenset[int]:
    return frozenset(code for code in range(128) if holds(chr(code)))


_CLASSES = {
    b"alnum": _collect(str.isalnum),
    b"alpha": _collect(str.isalpha),
    b"blank": _collect(lambda char: char in " \t"),
    b"cntrl": _collect(lambda char: char < " " or char == "\x7f"),
    b"digit": _collect(str.isdigit),
    b"graph": _collect(lambda char: "!" <= char <= "~"),
    b"lower": _collect(str.islower),
    b"print": _collect(lambda char: " " <= char <= "~"),
    b"punct": _collect(lambda char: char in string.punctuation),
    b"space": _collect(lambda char: char in " \t\n\r\v\f"),
    b"upper": _collect(str.isupper),
    b"xdigit": _collect(lambda char: char in string.hexdigits),
}


def translate_pattern(pattern: bytes) -> bytes | None:
    """Return the expression for a pattern without `!`; None = it matches nothing.

    It matches whole paths; those of directories end with the mark.
    """
    end = b"\\0?"
    if pattern.endswith(b"/"):
        pattern, end = pattern[:-1], b"\\0"
    # One without a slash matches a name, at any depth.
    is_name = b"/" not in pattern
    start = b"(?:" + _ANY + b"/)?" if is_name else b""
    inner = _translate(pattern.removeprefix(b"/"), is_name=is_name)
    return None if inner is None else start + b"(?:" + inner + b")" + end


def _translate(pattern: bytes, *, is_name: bool) -> bytes | None:
    """Return the expression for the globs of a pattern; None = they match nothing."""
    if not pattern:
        return None
    # Git takes off what has no special sign: two stars behind it are at a beginning, too.
    plain = next((at for at, code in enumerate(pattern) if code in _SPECIAL), len(pattern))
    parts, at = [], 0
    while at < len(pattern):
        sign = pattern[at : at + 1]
        if sign == b"*":
            part, at = _translate_stars(pattern, at, is_first=at == plain and not is_name)
        elif sign == b"?":
            part, at = b"[^/\\0]", at + 1
        elif sign == b"[":
            found = _translate_set(pattern, at + 1)
            if found is None:
                return None
            part, at = found
        else:
            at += sign == b"\\"
            if at == len(pattern):
                return None
            part, at = b"\\x%02x" % pattern[at], at + 1
        parts.append(part)
    return b"".join(parts)


def _translate_stars(pattern: bytes, at: int, *, is_first: bool) -> tuple[bytes, int]:
    """Return the expression for one star or more, and where the rest begins."""
    after = at
    while pattern[after : after + 1] == b"*":
        after += 1
    rest = pattern[after:]
    is_apart = is_first or pattern[at - 1] == _SLASH
    if after - at == 1 or not is_apart or not (not rest or rest.startswith((b"/", b"\\/"))):
        return _ANY_BUT_SLASH, after
    if rest.startswith(b"/"):
        return b"(?:" + _ANY + b"/)?", after + 1
    return _ANY, after


def _translate_set(pattern: bytes, at: int) -> tuple[bytes, int] | None:
    """Return the expression for `[…]` and where the rest begins; None = it has no end."""
    is_negated = pattern[at : at + 1] in (b"!", b"^")
    at += is_negated
    members, previous, is_first = set[int](), -1, True
    while is_first or pattern[at : at + 1] != b"]":
        found = _read_member(pattern, at, previous)
        if found is None:
            return None
        more, previous, at = found
        members |= more
        is_first = False
    chosen = set(range(256)) - members if is_negated else members
    listed = b"".join(b"\\x%02x" % code for code in sorted(chosen - {_SLASH, _MARK}))
    # An empty class is none in RE2.
    return (b"[" + listed + b"]" if listed else b"[^\\x00-\\xff]"), at + 1


def _read_member(
    pattern: bytes, at: int, previous: int
) -> tuple[frozenset[int] | set[int], int, int] | None:
    """Return what is added to a set, what a range may start with (-1 = nothing), and where the rest is.

    None = the set has no end, or names a class that there is not.
    """
    if pattern[at : at + 2] == b"[:":
        end = pattern.find(b"]", at + 2)
        if end < 0 or (pattern[end - 1] == ord(":") and end > at + 2):
            members = _CLASSES.get(pattern[at + 2 : end - 1]) if end >= 0 else None
            return None if members is None else (members, -1, end + 1)
    is_range = (
        pattern[at : at + 1] == b"-"
        and previous >= 0
        and pattern[at + 1 : at + 2] not in (b"", b"]")
    )
    at += is_range
    at += pattern[at : at + 1] == b"\\"
    if at >= len(pattern):
        return None
    code = pattern[at]
    return (set(range(previous, code + 1)), -1, at + 1) if is_range else ({code}, code, at + 1)

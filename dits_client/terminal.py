"""Texts for a terminal: those of others as it may show them, and numbers."""


def escape_text(text: str) -> str:
    """Return the text without what a terminal could take for a command."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def format_count(number: int, noun: str) -> str:
    """Return a number of things for a sentence: `1 file`, `1,200 files`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def quote_text(text: str) -> str:
    """Return a name or path for a sentence: in quotes, on one line."""
    return f'"{escape_text(text)}"'


def escape_lines(text: str) -> str:
    """Return the text without such signs, except the ends of its lines."""
    return "\n".join(map(escape_text, text.split("\n")))

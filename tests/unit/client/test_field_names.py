"""No sentence about a field of a request shows people the field's name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dits_client.server.field_names import describe_field
from shared.errors import request

ROOT = Path(__file__).parents[3]
FIELD = re.compile(r"\b[a-z]+_[a-z_]+\b(?!`)")


def find_sentences() -> Iterator[str]:
    """What the services say of fields, as far as it is written beside the field's name."""
    for top in ("services", "shared"):
        for path in (ROOT / top).rglob("*.py"):
            for call in ast.walk(ast.parse(path.read_text())):
                is_call = isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
                if is_call and call.func.id in ("invalid_field", "FormatError"):  # type: ignore[attr-defined]
                    parts = [_read(argument) for argument in call.args[:2]]  # type: ignore[attr-defined]
                    if len(parts) == 2 and all(parts):
                        field = re.sub(r"(?<!\[)7", "x", parts[0])
                        yield f"{field}: {parts[1]}"


def _read(node: ast.expr) -> str:
    """A text, with 7 for what is put into it; empty = it is not written here."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join("7" if isinstance(x, ast.FormattedValue) else _read(x) for x in node.values)
    return ""


SENTENCES = sorted(set(find_sentences()))


def test_there_are_some() -> None:
    assert len(SENTENCES) > 100


@pytest.mark.parametrize("text", SENTENCES)
def test_a_sentence_has_no_name_of_a_field(text: str) -> None:
    told = describe_field(text)
    field, _, description = text.partition(": ")
    assert not told.startswith(f"{field}:")
    # Other fields that a description names are not known to people, either.
    assert not FIELD.search(told)
    assert told.replace("_", " ").endswith(description[-10:].replace("_", " "))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "revision: names a branch and a tag: say refs/heads/x",
            "the revision names a branch and a tag: say refs/heads/x",
        ),
        ("settings.min_regions: must not be negative", "the min regions must not be negative"),
        ("ttl: must be 10 seconds to 7 days", "the duration must be 10 seconds to 7 days"),
        ("paths[2]: has a slash", "the paths, number 3, has a slash"),
        ("a/b: is a path", "a/b: is a path"),
        ("nothing is wrong", "nothing is wrong"),
    ],
)
def test_people_are_told_in_words(text: str, told: str) -> None:
    assert describe_field(text) == told


def test_errors_of_requests() -> None:
    told = [
        describe_field(error.message)
        for error in (
            request.invalid_field("new_name", "must be another name"),
            request.batch_too_large("lock_ids", 9, 10),
            request.request_id_reused(),
        )
    ]
    assert told == [
        "the new name must be another name",
        "too many lock ids: at most 9 in one call, got 10",
        "the request id was used before with another body",
    ]

"""The loader of named queries: parameters by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.db.sql import Queries, Statement


def test_names_are_numbered_in_the_order_of_their_first_use() -> None:
    statement = Statement.parse("SELECT :b::text[], :a, :b WHERE x=:c")
    assert statement.text == "SELECT $1::text[], $2, $1 WHERE x=$3"
    assert statement.parameters == ("b", "a", "c")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT $1::text[], $2 :: bigint",
        "SELECT 'at :noon', 'it''s :late', $1",
        'SELECT "a:b" FROM t',
        "SELECT 1 -- see :that\n",
        "SELECT /* :this\n:too */ 1",
        "SELECT $$ :body $$, $tag$ :body $$ $1 $tag$",
        "SELECT a[1:n], a[f(1):n]",
        "SELECT f(name => 1), f(name := 1)",
    ],
)
def test_other_colons_are_no_parameters(text: str) -> None:
    assert Statement.parse(text) == Statement(text, ())


def test_values_are_bound_by_name() -> None:
    statement = Statement.parse("SELECT :first, :second, :first")
    assert statement.bind(second=2, first=None) == ("SELECT $1, $2, $1", None, 2)


@pytest.mark.parametrize("values", [{"first": 1}, {"first": 1, "second": 2, "third": 3}])
def test_every_name_has_one_value(values: dict[str, int]) -> None:
    with pytest.raises(TypeError, match=r"second|third"):
        Statement.parse("SELECT :first, :second").bind(**values)


def test_names_and_numbers_are_not_mixed() -> None:
    with pytest.raises(ValueError, match="all named or all numbered"):
        Statement.parse("SELECT :first, $1")


def test_a_file_gives_texts_and_bound_statements(tmp_path: Path) -> None:
    file = tmp_path / "things.sql"
    file.write_text(
        "-- name: one\n-- One.\nSELECT $1;\n\n-- name: many\n-- Many.\nSELECT :a, :b;\n"
    )
    queries = Queries(file)
    assert queries.one.endswith("SELECT $1")
    text, *arguments = queries.bind.many(b=2, a=1)
    assert text.endswith("SELECT $1, $2")
    assert arguments == [1, 2]
    with pytest.raises(AttributeError, match=r"use Q\.bind\.many"):
        _ = queries.many
    with pytest.raises(AttributeError, match="no query none"):
        _ = queries.bind.none

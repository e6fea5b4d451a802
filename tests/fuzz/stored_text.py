"""What calls have left in the database: text that a terminal would obey is in none of its columns."""

from __future__ import annotations

from tests.support.api import Api

_COLUMNS = """
    SELECT table_name AS relation, column_name AS name
    FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
      AND data_type IN ('text', 'character varying', 'json', 'jsonb', 'ARRAY', 'USER-DEFINED')
"""
# Of all text, and of what is no prose.
_CONTROLS = r"[\u0001-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]"
_LINES_AND_DISGUISES = r"[\u000a\u000d\u2028\u2029\u202a-\u202e\u2066-\u2069]"
_PROSE = {"message", "description", "reason"}


async def find_unwanted_text(api: Api) -> list[str]:
    """Returns the columns that hold some, with an example."""
    found = []
    for column in await api.fetch(_COLUMNS):
        relation, name = column["relation"], column["name"]
        pattern = _CONTROLS if name in _PROSE else f"{_CONTROLS}|{_LINES_AND_DISGUISES}"
        value = await api.value(
            f'SELECT "{name}"::text FROM "{relation}" WHERE "{name}"::text ~ $1 LIMIT 1', pattern
        )
        if value is not None:
            found.append(f"{relation}.{name}: {value[:100]!r}")
    return found

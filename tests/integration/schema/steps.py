"""The migrations of this program, some of them, or more."""

from __future__ import annotations

from dataclasses import replace

from migrations.files import Files, Step, discover

FILES = discover()


def first(count: int) -> Files:
    """The first steps, without the functions, which fit the schema after the last one."""
    return Files(FILES.steps[:count])


def edited(version: int) -> Files:
    """All files, of which one step has another text than databases know."""
    steps = list(FILES.steps)
    steps[version - 1] = replace(steps[version - 1], checksum="sha256:other")
    return replace(FILES, steps=tuple(steps))


def next_step(sql: str) -> Files:
    """All files and one step more."""
    number = len(FILES.steps) + 1
    step = Step.parse(f"{number:04}_next.sql", f"-- Next\n{sql}")
    return replace(FILES, steps=(*FILES.steps, step))

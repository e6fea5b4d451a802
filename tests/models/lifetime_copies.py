"""The actors that bring the chunk into another region, and let it leave one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from tests.models.lifetime import CHUNK, DEAD, FRESH, GOOD, NONE, OPEN, SEALED, Row, World
from tests.models.lifetime_actors import Turn

# What replication would lock if it looked at the collection alone: uploads do not wait for it.
SHARED_CHUNK: Row = ("shared chunk", 0)


def replicate(turn: Turn) -> Iterator[tuple[str, World]]:
    """Copies the chunk into a pack of another region."""
    world, _, actor, _ = turn
    key, pack, chunk = actor.key, ("pack", actor.key), world.chunk
    old = cast("int", turn.place[1])
    match turn.place[0]:
        case "idle" if chunk is not None and world.packs[key] == FRESH and world.copy is None:
            after = world.put("packs", key, OPEN)
            yield "announces", turn.go("copy", read=chunk.pack, world=after)
        case "copy" if world.objects[old] == GOOD:
            after = world.put("objects", key, GOOD).put("forms", key, world.forms[old])
            yield "copies", turn.go("begin", read=old, world=after)
        case "copy":
            yield "cannot copy", turn.end(world, DEAD)
        case "begin" if turn.is_free(pack):
            if world.packs[key] == OPEN:
                yield "holds its pack", turn.go("hold", pack, read=old)
            else:
                yield "finds no pack", turn.end(world.enqueue(key), DEAD)
        case "hold" | "commit":
            yield from _place(turn, pack)


def _place(turn: Turn, pack: Row) -> Iterator[tuple[str, World]]:
    """Notes the copy if the chunk is there, and stored as it was."""
    world, _, actor, broken = turn
    key, chunk = actor.key, world.chunk
    row = SHARED_CHUNK if broken == "copy under a weak lock" else CHUNK
    if turn.place[0] == "hold" and broken == "copy without a lock":
        yield "goes on", turn.go("commit", pack, read=chunk is not None)
    elif turn.place[0] == "hold" and turn.is_free(row):
        is_right = chunk is not None and world.forms[chunk.pack] == world.forms[key]
        if broken == "copy without looking again":
            is_right = chunk is not None
        yield "holds the chunk", turn.go("commit", pack, row, read=is_right)
    elif turn.place[0] == "commit" and turn.place[1]:
        after = world.put("packs", key, SEALED).put("live", key, 1)
        yield "commits", turn.end(after._replace(copy=key), DEAD)
    elif turn.place[0] == "commit":
        yield "commits nothing", turn.end(world.put("packs", key, NONE).enqueue(key), DEAD)


def leave(turn: Turn) -> Iterator[tuple[str, World]]:
    """Makes the copy the home: the region where it was is left."""
    world, chunk = turn.world, turn.world.chunk
    copy = world.copy if turn.place[0] == "idle" else cast("int | None", turn.place[1])
    if turn.place[0] == "idle" and chunk is not None and copy is not None:
        if turn.broken == "leave without a lock":
            yield "sees the copy", turn.go("work", read=copy)
        elif turn.is_free(CHUNK):
            yield "holds the chunk", turn.go("work", CHUNK, read=None if chunk.lost else copy)
    elif turn.place[0] == "work":
        if chunk is None or copy is None:
            yield "leaves nothing", turn.end(world, DEAD)
        elif turn.is_free(("pack", chunk.pack)):
            after = world._replace(chunk=chunk._replace(pack=copy), copy=None)
            if turn.broken != "leave without counting":
                after = after.drop_live(chunk.pack)
            yield "commits", turn.end(after, DEAD)

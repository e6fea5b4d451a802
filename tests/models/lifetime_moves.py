"""The actors that move the chunk: compaction, and the tiers; and one that reads it meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from tests.models.lifetime import (
    ABSENT,
    ALARMED,
    CHUNK,
    DEAD,
    FRESH,
    GOOD,
    NONE,
    OPEN,
    SEALED,
    World,
)
from tests.models.lifetime_actors import Turn


def compact(turn: Turn) -> Iterator[tuple[str, World]]:
    """Moves the chunk into a new pack, where hot ones lie."""
    world = turn.world
    if turn.place[0] != "idle":
        yield from _move(turn)
    elif world.chunk is not None and world.packs[turn.actor.key] == FRESH:
        yield _announce(turn, world.cold)


def cool(turn: Turn) -> Iterator[tuple[str, World]]:
    """Moves the chunk into the archive, where every repository wants it that has it."""
    world, key = turn.world, turn.actor.key
    if turn.place[0] != "idle":
        yield from _move(turn, is_cooling=True)
    elif world.chunk is not None and world.packs[key] == FRESH and _is_cold_for_all(world):
        yield _announce(turn, world.cold | {key})


def age(turn: Turn) -> Iterator[tuple[str, World]]:
    """The repository wants a chunk colder that it refers to: nobody has read it for long."""
    world, number = turn.world, turn.actor.repository
    ref = world.refs[number]
    if ref and ref.uses and not ref.is_cold and turn.is_free(("ref", number)):
        yield "marks it", turn.end(world.put("refs", number, ref._replace(is_cold=True)))


def warm(turn: Turn) -> Iterator[tuple[str, World]]:
    """Makes the chunk hot again for the repository: first its bytes, then the reference."""
    world = turn.world
    ref, chunk = world.refs[turn.actor.repository], world.chunk
    if turn.place[0] == "idle":
        if ref and ref.is_cold and chunk:
            is_announced = chunk.pack in world.cold and not _is_hasty(turn)
            yield _announce(turn, world.cold) if is_announced else ("begins", turn.go("finish"))
    elif turn.place[0] == "finish":
        if turn.is_free(CHUNK):
            yield "holds the chunk", turn.go("warm", CHUNK)
    elif turn.place[0] == "warm":
        yield from _warm_reference(turn)
    else:
        for what, after in _move(turn):
            is_over = after.actors[turn.me] == DEAD and what != "cannot copy"
            yield what, turn.go("finish", world=after) if is_over else after


def _warm_reference(turn: Turn) -> Iterator[tuple[str, World]]:
    """The repository has the chunk hot, if it lies where hot ones do."""
    world, number = turn.world, turn.actor.repository
    ref, chunk = world.refs[number], world.chunk
    if ref is None or chunk is None:
        yield "finds nothing", turn.end(world, DEAD)
    elif chunk.pack in world.cold and not _is_hasty(turn):
        yield "leaves it to another attempt", turn.end(world, DEAD)
    elif turn.is_free(("ref", number)):
        warmed = world.put("refs", number, ref._replace(is_cold=False))
        yield "commits", turn.end(warmed, DEAD)


def read(turn: Turn) -> Iterator[tuple[str, World]]:
    """Reads the chunk where its row says; looks again if it is not there."""
    world = turn.world
    ref, chunk = world.refs[turn.actor.repository], world.chunk
    is_readable = ref is not None and not ref.is_cold and chunk is not None
    if turn.place[0] == "idle":
        if is_readable and chunk:
            yield "looks", turn.go("get", read=chunk.pack)
        return
    seen = cast("int", turn.place[1])
    if turn.place[0] == "get":
        if world.objects[seen] != ABSENT:
            yield "gets it", turn.end(world, DEAD)
        elif turn.broken == "read without looking again":
            yield "finds nothing", turn.end(world, ALARMED)
        else:
            yield "finds nothing", turn.go("look again", read=seen)
    elif not is_readable or chunk is None:
        yield "is told that it is gone, or archived", turn.end(world, DEAD)
    elif chunk.pack == seen:
        yield "finds it unmoved", turn.end(world, ALARMED)
    else:
        yield "looks again", turn.go("get", read=chunk.pack)


def _announce(turn: Turn, cold: frozenset[int]) -> tuple[str, World]:
    """Opens the new pack, which lies in the archive if its key is in `cold`."""
    chunk = turn.world.chunk
    after = turn.world.put("packs", turn.actor.key, OPEN)._replace(cold=cold)
    return "announces", turn.go("copy", read=chunk and chunk.pack, world=after)


def _move(turn: Turn, *, is_cooling: bool = False) -> Iterator[tuple[str, World]]:
    """Copies the chunk into the new pack, and makes that its place."""
    world, _, actor, broken = turn
    key, pack = actor.key, ("pack", actor.key)
    old = cast("int", turn.place[1])
    match turn.place[0]:
        case "copy" if world.objects[old] == GOOD:
            after = world.put("objects", key, GOOD).put("forms", key, world.forms[old])
            if is_cooling and broken == "erase before the switch":
                after = after.put("objects", old, ABSENT)
            yield "copies", turn.go("begin", read=old, world=after)
        case "copy":
            yield "cannot copy", turn.end(world, DEAD)
        case "begin" if turn.is_free(pack):
            is_open = world.packs[key] == OPEN
            yield (
                ("holds its pack", turn.go("hold", pack, read=old))
                if is_open
                else ("finds no pack", turn.end(world.enqueue(key), DEAD))
            )
        case "hold" if turn.is_free(CHUNK):
            yield "holds the chunk", turn.go("commit", pack, CHUNK, read=old)
        case "commit":
            yield from _switch(turn, old, is_cooling=is_cooling)


def _switch(turn: Turn, old: int, *, is_cooling: bool) -> Iterator[tuple[str, World]]:
    """The chunk lies in the new pack, if it still lies in the old one, and nobody wants it hotter."""
    world, _, actor, broken = turn
    key, chunk = actor.key, world.chunk
    is_there = chunk is not None and (chunk.pack == old or broken == "move without looking again")
    if is_cooling and broken != "cool without asking who wants it hotter":
        is_there = is_there and _is_cold_for_all(world)
    if chunk is None or not is_there:
        yield "commits nothing", turn.end(world.put("packs", key, NONE).enqueue(key), DEAD)
    elif turn.is_free(("pack", old)):
        after = world._replace(chunk=chunk._replace(pack=key, lost=False))
        if not is_cooling or broken != "cool without counting":
            after = after.drop_live(old)
        yield "commits", turn.end(after.put("packs", key, SEALED).put("live", key, 1), DEAD)


def _is_cold_for_all(world: World) -> bool:
    """Whether no repository that has the chunk wants it hot."""
    return all(ref.is_cold for ref in world.refs if ref)


def _is_hasty(turn: Turn) -> bool:
    return turn.broken == "warm the reference first"

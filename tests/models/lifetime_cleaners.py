"""The actors that delete, move and verify; and the whole model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from tests.models.explorer import Step
from tests.models.lifetime import (
    ABSENT,
    CHUNK,
    DEAD,
    GOOD,
    IDLE,
    NONE,
    OPEN,
    SEALED,
    Actor,
    World,
    environment,
)
from tests.models.lifetime_actors import (
    USERS,
    Turn,
    delete,
    look,
    purge,
    push,
    release,
    sweep,
    upload,
)
from tests.models.lifetime_copies import SHARED_CHUNK, leave, replicate
from tests.models.lifetime_moves import age, compact, cool, read, warm


def collect(turn: Turn) -> Iterator[tuple[str, World]]:
    """Deletes the chunk when its grace has ended."""
    world, _, _, broken = turn
    chunk = world.chunk
    is_dead = chunk is not None and chunk.refs == 0 and chunk.due
    if turn.place[0] == "idle" and is_dead:
        yield "sees a dead chunk", turn.go("hold")
    elif turn.place[0] == "hold":
        if not turn.is_free(SHARED_CHUNK):
            yield "skips it", turn.end(world)
        elif broken == "collect without a lock":
            yield "goes on", turn.go("work")
        elif not turn.is_free(CHUNK) or not (is_dead or broken == "collect without looking again"):
            yield "skips it", turn.end(world)
        else:
            yield "holds the chunk", turn.go("work", CHUNK)
    elif turn.place[0] == "work":
        if chunk is None:
            yield "finds nothing", turn.end(world)
        elif turn.is_free(("pack", chunk.pack)):
            after = (world if broken == "collect forgets copies" else world.drop_copy())._replace(
                chunk=None
            )
            if broken == "collect without counting":
                yield "commits", turn.end(after)
            else:
                yield "commits", turn.end(after.drop_live(chunk.pack))


def sweep_packs(turn: Turn) -> Iterator[tuple[str, World]]:
    """Gives up packs that are open."""
    for key, state in enumerate(turn.world.packs):
        is_free = turn.is_free(("pack", key)) or turn.broken == "give up packs that are locked"
        if state == OPEN and is_free:
            after = turn.world.put("packs", key, NONE).enqueue(key)
            yield f"gives up pack {key}", turn.end(after)


def reap(turn: Turn) -> Iterator[tuple[str, World]]:
    """Deletes queued objects, and then their entries."""
    world = turn.world
    if turn.place[0] == "idle":
        for entry in sorted(world.queue):
            if world.packs[entry[0]] not in (OPEN, SEALED):
                yield f"sees object {entry[0]}", turn.go("delete", read=entry)
        return
    entry = cast("tuple[int, int]", turn.place[1])
    if turn.place[0] == "delete":
        after = world.put("objects", entry[0], ABSENT)
        yield f"deletes object {entry[0]}", turn.go("forget", read=entry, world=after)
    else:
        yield "forgets it", turn.end(world._replace(queue=world.queue - {entry}))


def check_inventory(turn: Turn) -> Iterator[tuple[str, World]]:
    """Queues objects that no pack names."""
    world = turn.world
    stored = frozenset(key for key, kept in enumerate(world.objects) if kept != ABSENT)
    named = frozenset(key for key, state in enumerate(world.packs) if state in (OPEN, SEALED))
    is_reversed = turn.broken == "look up packs before listing"
    if turn.place[0] == "idle":
        yield "lists", turn.go("compare", read=named if is_reversed else stored)
        return
    seen = cast("frozenset[int]", turn.place[1])
    unknown = stored - seen if is_reversed else seen - named
    for key in sorted(unknown - {queued for queued, _ in world.queue}):
        world = world.enqueue(key)
    yield "queues", turn.end(world)


def scrub(turn: Turn) -> Iterator[tuple[str, World]]:
    """Notes that the chunk has no good copy."""
    world, chunk = turn.world, turn.world.chunk
    if turn.place[0] == "idle":
        if chunk is not None and not chunk.lost and world.objects[chunk.pack] != GOOD:
            yield "finds damage", turn.go("mark", read=chunk.pack)
    elif turn.is_free(CHUNK):
        is_there = chunk is not None and chunk.pack == turn.place[1]
        if chunk is not None and (is_there or turn.broken == "mark without looking again"):
            yield "marks it", turn.end(world._replace(chunk=chunk._replace(lost=True)))
        else:
            yield "finds it gone", turn.end(world)


PROGRAMS: dict[str, Callable[[Turn], Iterator[tuple[str, World]]]] = {
    "upload": upload,
    "push": push,
    "release": release,
    "look": look,
    "delete": delete,
    "purge": purge,
    "sweep": sweep,
    "collect": collect,
    "sweep packs": sweep_packs,
    "reap": reap,
    "inventory": check_inventory,
    "compact": compact,
    "scrub": scrub,
    "replicate": replicate,
    "leave": leave,
    "age": age,
    "cool": cool,
    "warm": warm,
    "read": read,
}


# They write a pack, whose key is used once; or end with their work.
ONCE = ("compact", "replicate", "leave", "cool", "warm")
CLEANERS = ("sweep", "collect", "sweep packs", "reap", "inventory")


def clean(turn: Turn) -> Iterator[tuple[str, World]]:
    """Does what the five cleaners do, one after the other: fewer states than with each of them."""
    world, me, actor, broken = turn
    if turn.place == IDLE:
        for kind in CLEANERS:
            for what, after in PROGRAMS[kind](turn):
                yield f"{kind}: {what}", _rename(after, me, kind)
        return
    kind, _, name = turn.place[0].partition(": ")
    inner = world.put("actors", me, (name, *turn.place[1:]))
    for what, after in PROGRAMS[kind](Turn(inner, me, actor, broken)):
        yield f"{kind}: {what}", _rename(after, me, kind)


def _rename(world: World, me: int, kind: str) -> World:
    place = world.actors[me]
    return (
        world
        if place in (IDLE, DEAD)
        else world.put("actors", me, (f"{kind}: {place[0]}", *place[1:]))
    )


PROGRAMS["clean"] = clean


class Lifetime:
    """The model with some actors, of which one may be broken."""

    def __init__(self, actors: tuple[Actor, ...], broken: str = "") -> None:
        self._actors = actors
        self._broken = broken

    def steps(self, world: World) -> Iterator[Step[World]]:
        """Yields what can happen next."""
        yield from environment(world)
        for me, actor in enumerate(self._actors):
            is_background = actor.kind not in USERS
            if world.actors[me] != DEAD:
                turn = Turn(world, me, actor, self._broken)
                for what, after in PROGRAMS[actor.kind](turn):
                    yield f"{actor.kind} {actor.repository} {what}", after, is_background
                if world.actors[me] != IDLE:
                    place = IDLE if is_background and actor.kind not in ONCE else DEAD
                    crashed = world.put("actors", me, place)
                    yield f"{actor.kind} {actor.repository} crashes", crashed, True

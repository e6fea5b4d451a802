"""The actors of the model of a chunk's life. Each can be broken in a way that the model has to notice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

from tests.models.lifetime import (
    CHUNK,
    DEAD,
    DELETED,
    GONE,
    GOOD,
    IDLE,
    NONE,
    OPEN,
    SEALED,
    Actor,
    Chunk,
    Place,
    Ref,
    Row,
    World,
    is_locked,
)

USERS = ("upload", "push", "release", "look", "delete", "read")


class Turn(NamedTuple):
    """One actor's look at the world.

    Attributes:
        broken: the name of what is left out or done wrong; empty = nothing.
    """

    world: World
    me: int
    actor: Actor
    broken: str

    @property
    def place(self) -> Place:
        """Where the actor is."""
        return self.world.actors[self.me]

    def is_free(self, *rows: Row) -> bool:
        """Whether nobody else has locked any of the rows."""
        return not any(is_locked(self.world, self.me, row) for row in rows)

    def go(self, name: str, *rows: Row, read: object = None, world: World | None = None) -> World:
        """Returns the world with the actor at another place, holding the rows."""
        return (world or self.world).put("actors", self.me, (name, read, frozenset(rows)))

    def end(self, world: World, place: Place = IDLE) -> World:
        """Returns the world after the actor's commit."""
        return world.put("actors", self.me, place)


def upload(turn: Turn) -> Iterator[tuple[str, World]]:
    """Announces a pack, writes it, and makes it the place of the chunk."""
    world, _, actor, broken = turn
    key, repository, pack = actor.key, ("repository", actor.repository), ("pack", actor.key)
    match turn.place[0]:
        case "idle":
            yield "announces", turn.go("write", world=world.put("packs", key, OPEN))
        case "write":
            yield "writes", turn.go("begin", world=world.put("objects", key, GOOD))
        case "begin" if turn.is_free(repository, pack):
            yield "gives up", turn.go("abandon")
            yield _begin_commit(turn)
        case "hold" if turn.is_free(CHUNK):
            seen = (world.chunk, world.refs[actor.repository])
            if broken == "finalize in the locking statement":
                seen = cast("tuple[Chunk | None, Ref | None]", turn.place[1])
            yield "holds the chunk", turn.go("commit", repository, pack, CHUNK, read=seen)
        case "commit":
            for after in _finalize(turn):
                yield "commits", turn.end(after, DEAD)
                yield "commits unheard", turn.go("begin", world=after)
        case "abandon" if turn.is_free(pack):
            yield "abandons", turn.end(_abandon(world, key, broken), DEAD)


def _begin_commit(turn: Turn) -> tuple[str, World]:
    """U1 and U2."""
    world, _, actor, broken = turn
    repository, pack = ("repository", actor.repository), ("pack", actor.key)
    if world.uses[actor.repository] < 0 and broken != "upload to a deleted repository":
        return "finds no repository", turn.go("abandon")
    if world.packs[actor.key] == SEALED:
        return "finds its pack sealed", turn.end(world, DEAD)
    if world.packs[actor.key] != OPEN and broken != "finalize without looking":
        return "finds no pack", turn.go("abandon")
    seen = (world.chunk, world.refs[actor.repository])
    return "holds its pack", turn.go("hold", repository, pack, read=seen)


def _finalize(turn: Turn) -> Iterator[World]:
    """U3 to U7."""
    world, _, actor, broken = turn
    key = actor.key
    chunk, ref = cast("tuple[Chunk | None, Ref | None]", turn.place[1])
    named = 1
    if chunk is None:
        chunk, ref = Chunk(1, key), Ref(0)
    else:
        if ref is None:
            chunk, ref = chunk._replace(refs=chunk.refs + 1, due=False), Ref(0)
        elif ref.uses == 0:
            ref = Ref(0)
        ref = ref._replace(is_cold=False)
        named = 0
        is_archived = chunk.pack in world.cold and broken != "upload leaves bytes in the archive"
        if chunk.lost or is_archived:
            copies = [] if world.copy is None else [world.copy]
            if not turn.is_free(*(("pack", each) for each in (chunk.pack, *copies))):
                return
            is_other = any(world.forms[each] != world.forms[key] for each in copies)
            if (chunk.lost or is_other) and broken != "repair keeps copies":
                world = world.drop_copy()
            world = world.drop_live(chunk.pack) if broken != "repair without counting" else world
            chunk, named = chunk._replace(pack=key, lost=False), 1
    world = world._replace(chunk=chunk).put("refs", actor.repository, ref)
    if named:
        yield world.put("packs", key, SEALED).put("live", key, 1)
    else:
        yield world.put("packs", key, NONE).enqueue(key)


def _abandon(world: World, key: int, broken: str) -> World:
    if world.packs[key] == OPEN:
        return world.put("packs", key, NONE).enqueue(key)
    if world.packs[key] == SEALED and broken != "abandon what is not open":
        return world
    return world.enqueue(key)


def push(turn: Turn) -> Iterator[tuple[str, World]]:
    """Refers to the chunk, if the repository has it."""
    world, _, actor, broken = turn
    number, repository = actor.repository, ("repository", actor.repository)
    ref = ("ref", number)
    if turn.place[0] == "idle" and world.uses[number] == 0 and turn.is_free(repository):
        if broken == "push without a lock" and world.refs[number] is not None:
            yield "sees its claim", turn.go("commit", repository)
        elif turn.is_free(ref):
            if world.refs[number] is None:
                yield "is refused", turn.end(world, DEAD)
            else:
                yield "holds its claim", turn.go("commit", repository, ref)
    elif turn.place[0] == "commit":
        row = world.refs[number]
        after = world.put("refs", number, _use(row, row.uses + 1)) if row else world
        yield "commits", turn.end(after.put("uses", number, 1), DEAD)


def release(turn: Turn) -> Iterator[tuple[str, World]]:
    """Takes the last reference back: it is a claim again."""
    world, number = turn.world, turn.actor.repository
    rows = ("repository", number), ("ref", number)
    if turn.place[0] == "idle" and world.uses[number] > 0 and turn.is_free(*rows):
        yield "holds its reference", turn.go("commit", *rows)
    elif turn.place[0] == "commit":
        row = cast("Ref", world.refs[number])
        after = world.put("refs", number, _use(row, 0)).put("uses", number, 0)
        yield "commits", turn.end(after, DEAD)


def look(turn: Turn) -> Iterator[tuple[str, World]]:
    """Asks for the chunk, which renews its claim."""
    world, number = turn.world, turn.actor.repository
    ref = world.refs[number]
    if ref is not None and ref.uses == 0 and ref.ended and turn.is_free(("ref", number)):
        yield "renews the claim", turn.end(world.put("refs", number, _use(ref, 0)))


def _use(ref: Ref, uses: int) -> Ref:
    """The row with another ref_count, and a claim with a new lease if that is 0."""
    return ref._replace(uses=uses, ended=False)


def delete(turn: Turn) -> Iterator[tuple[str, World]]:
    """Deletes a repository."""
    number = turn.actor.repository
    is_free = turn.is_free(("repository", number)) or turn.broken == "delete without waiting"
    if turn.place[0] == "idle" and is_free:
        yield "commits", turn.end(turn.world.put("uses", number, DELETED), DEAD)


def purge(turn: Turn) -> Iterator[tuple[str, World]]:
    """Drops what a deleted repository refers to."""
    world, number = turn.world, turn.actor.repository
    if turn.place[0] == "idle":
        if world.uses[number] == DELETED and world.refs[number] is None:
            yield "drops the row", turn.end(world.put("uses", number, GONE))
        elif world.uses[number] == DELETED and turn.is_free(CHUNK):
            yield "holds the chunk", turn.go("work", CHUNK)
    elif turn.is_free(("ref", number)):
        gone = [number] if world.refs[number] is not None else []
        yield "commits", turn.end(_drop_refs(world, gone))


def sweep(turn: Turn) -> Iterator[tuple[str, World]]:
    """Drops claims whose lease has ended."""
    world, _, _, broken = turn
    ended = [n for n, ref in enumerate(world.refs) if ref and ref.uses == 0 and ref.ended]
    if turn.place[0] == "idle":
        if ended and broken == "sweep without the chunk's lock":
            yield "sees a claim", turn.go("work", read=tuple(ended))
        elif ended and turn.is_free(CHUNK):
            yield "holds the chunk", turn.go("work", CHUNK, read=tuple(ended))
    elif broken == "sweep without looking again":
        seen = cast("tuple[int, ...]", turn.place[1])
        yield "commits", turn.end(_drop_refs(world, [n for n in seen if world.refs[n]]))
    elif broken == "sweep without the chunk's lock" and world.chunk is None:
        yield "finds nothing", turn.end(world)
    else:
        gone = [n for n in ended if turn.is_free(("ref", n))]
        if broken == "sweep counts chunks":
            after = _drop_refs(world, gone)
            if len(gone) > 1 and after.chunk:
                after = after._replace(chunk=after.chunk._replace(refs=after.chunk.refs + 1))
            yield "commits", turn.end(after)
        else:
            yield "commits", turn.end(_drop_refs(world, gone))


def _drop_refs(world: World, gone: Sequence[int]) -> World:
    for number in gone:
        world = world.put("refs", number, None)
    chunk = world.chunk
    if chunk is None:
        return world
    return world._replace(chunk=chunk._replace(refs=chunk.refs - len(gone)))

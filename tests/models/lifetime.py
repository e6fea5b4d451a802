"""A model of one chunk: uploads, claims, references, packs, objects, and everything that cleans up.

A transaction is two or three steps: it takes its locks, and commits what it does. Rows that it has locked
cannot change in between, and what it reads without a lock is read in the step that reads it. Anybody
may crash between any two steps, a lease or grace may end at any moment, a commit may succeed without its
reply. docs/chunks.md says what the steps are for; the services' SQL has their numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.models.explorer import Step

FRESH, NONE, OPEN, SEALED = "fresh", "none", "open", "sealed"
ABSENT, GOOD, BAD = "absent", "good", "bad"
# Instead of the number of contents: the repository is deleted, its row is gone.
DELETED, GONE = -1, -2


# A place: its name, what the actor has read, and the rows that it has locked.
Row = tuple[str, int]
Place = tuple[str, object, frozenset[Row]]

NOTHING: frozenset[Row] = frozenset()
IDLE: Place = ("idle", None, NOTHING)
DEAD: Place = ("dead", None, NOTHING)
# A reader has told its caller that a chunk is damaged.
ALARMED: Place = ("alarmed", None, NOTHING)
CHUNK: Row = ("chunk", 0)


class Actor(NamedTuple):
    """Somebody who acts: what it does, for which repository, and the key of the pack that it writes."""

    kind: str
    repository: int = 0
    key: int = 0


class Chunk(NamedTuple):
    """The row of the chunk: its ref_count and pack; `due`: its grace has ended."""

    refs: int
    pack: int
    due: bool = False
    lost: bool = False


class Ref(NamedTuple):
    """A repository's row for the chunk: its ref_count, 0 = a claim; `ended`: its lease has ended.

    `is_cold`: the repository wants the chunk in the archive.
    """

    uses: int
    ended: bool = False
    is_cold: bool = False


class World(NamedTuple):
    """A state.

    Attributes:
        chunk, refs, packs: the rows; refs by repository, packs by key.
        live: packs.live, by key.
        objects: what the store has, by key.
        queue: the keys that wait for deletion, each with the number of its entry: keys may repeat.
        uses: how many contents of each repository have the chunk; or DELETED, or GONE.
        actors: where each actor is: a place in its program, and what it has read.
        health: how many objects may still go bad.
        copy: the pack with the copy in another region; None = there is none.
        forms: how the bytes in each object are compressed, by key; each upload has its own way.
        cold: the keys of packs in the archive.
    """

    chunk: Chunk | None
    refs: tuple[Ref | None, ...]
    packs: tuple[str, ...]
    live: tuple[int, ...]
    objects: tuple[str, ...]
    queue: frozenset[tuple[int, int]]
    uses: tuple[int, ...]
    actors: tuple[Place, ...]
    health: int = 0
    copy: int | None = None
    forms: tuple[int, ...] = ()
    cold: frozenset[int] = frozenset()

    def put(self, column: str, at: int, value: object) -> World:
        """Returns the state with another value at one place of a column."""
        values = getattr(self, column)
        changed: dict[str, Any] = {column: (*values[:at], value, *values[at + 1 :])}
        return self._replace(**changed)

    def drop_live(self, key: int, count: int = 1) -> World:
        """G5 to G7: one row less names a pack."""
        if self.live[key] != count:
            return self.put("live", key, self.live[key] - count)
        return self.put("live", key, 0).put("packs", key, NONE).enqueue(key)

    def drop_copy(self) -> World:
        """Returns the state without the copy in another region."""
        return self if self.copy is None else self.drop_live(self.copy)._replace(copy=None)

    def enqueue(self, key: int, *, most: int = 2) -> World:
        """Returns the state with one entry more for an object."""
        free = [number for number in range(most) if (key, number) not in self.queue]
        return self._replace(queue=self.queue | {(key, free[0])}) if free else self


def start(actors: tuple[Actor, ...], repositories: int = 2, health: int = 0) -> World:
    """Returns the empty world."""
    keys = 1 + max((actor.key for actor in actors), default=0)
    return World(
        chunk=None,
        refs=(None,) * repositories,
        packs=(FRESH,) * keys,
        live=(0,) * keys,
        objects=(ABSENT,) * keys,
        queue=frozenset(),
        uses=(0,) * repositories,
        actors=(IDLE,) * len(actors),
        health=health,
        forms=tuple(range(keys)),
    )


def is_locked(world: World, me: int, row: Row) -> bool:
    """Whether another actor has locked a row: `chunk`, or `ref`, `pack`, `repository` by number."""
    return any(row in place[2] for other, place in enumerate(world.actors) if other != me)


def check(world: World) -> str:
    """Returns which invariants do not hold; empty = all hold."""
    return "; ".join([*_check_references(world), *_check_packs(world)])


def _check_references(world: World) -> Iterator[str]:
    chunk = world.chunk
    held = sum(ref is not None for ref in world.refs)
    if held != (chunk.refs if chunk else 0):
        yield "I1, I4: chunks.ref_count"
    for ref, uses in zip(world.refs, world.uses, strict=True):
        if uses == GONE and ref is not None:
            yield "I1: a reference of a repository that is gone"
        if uses >= 0 and uses != (ref.uses if ref else 0):
            yield "I1, I4: chunk_refs.ref_count"
        if chunk and ref and not ref.is_cold and chunk.pack in world.cold:
            yield "a chunk lies colder than a repository wants it"
    if ALARMED in world.actors:
        yield "a reader takes a chunk for damaged that has moved"


def _check_packs(world: World) -> Iterator[str]:
    chunk = world.chunk
    if chunk is not None:
        if world.packs[chunk.pack] != SEALED or world.objects[chunk.pack] == ABSENT:
            yield "I2: a chunk in a pack that is not complete"
        if chunk.lost and world.objects[chunk.pack] == GOOD:
            yield "a chunk is lost whose bytes are good"
    yield from _check_copy(world)
    for key, state in enumerate(world.packs):
        named = int(chunk is not None and chunk.pack == key) + int(world.copy == key)
        if world.live[key] != named or (state == SEALED) != (named > 0):
            yield "I4: packs.live"
        if state in (OPEN, SEALED) and any(queued == key for queued, _ in world.queue):
            yield "I3: a queued object that a pack names"


def _check_copy(world: World) -> Iterator[str]:
    if world.copy is None:
        return
    if world.chunk is None:
        yield "a copy of a chunk that is gone"
    elif world.packs[world.copy] != SEALED or world.objects[world.copy] == ABSENT:
        yield "I2: a copy in a pack that is not complete"
    elif world.forms[world.copy] != world.forms[world.chunk.pack]:
        yield "a copy that cannot be read as its chunk says"


def is_clean(world: World) -> bool:
    """Whether nothing is kept that nobody needs."""
    if any(uses > 0 for uses in world.uses):
        # What is needed keeps its pack, and nothing else is there.
        needed = {world.chunk.pack, world.copy} - {None} if world.chunk else set()
        extra = [ref for ref, uses in zip(world.refs, world.uses, strict=True) if ref and uses <= 0]
    else:
        needed, extra = set(), [ref for ref in world.refs if ref]
    stored = {key for key, kept in enumerate(world.objects) if kept != ABSENT}
    is_open = OPEN in world.packs
    return stored == needed and not (world.queue or extra or is_open)


def environment(world: World) -> Iterator[Step[World]]:
    """Yields what time and bad disks do."""
    for repository, ref in enumerate(world.refs):
        if ref is not None and ref.uses == 0 and not ref.ended:
            ended = ref._replace(ended=True)
            yield f"a lease of {repository} ends", world.put("refs", repository, ended), True
    if world.chunk is not None and world.chunk.refs == 0 and not world.chunk.due:
        due = world.chunk._replace(due=True)
        yield "the grace ends", world._replace(chunk=due), True
    if world.health:
        for key, kept in enumerate(world.objects):
            if kept == GOOD and world.packs[key] == SEALED:
                bad = world.put("objects", key, BAD)._replace(health=world.health - 1)
                yield f"object {key} goes bad", bad, False

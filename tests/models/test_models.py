"""The models of the chunk's life and of history hold, and notice whatever is left out."""

from __future__ import annotations

import pytest

from tests.models import history_world as history
from tests.models import lifetime
from tests.models.explorer import Broken, explore
from tests.models.history import History
from tests.models.lifetime import Actor
from tests.models.lifetime_cleaners import CLEANERS, Lifetime

CLEAN = Actor("clean")
EACH = tuple(Actor(kind) for kind in CLEANERS)
UPLOADS = (Actor("upload", 0, 0), Actor("upload", 1, 1))

COOLING = (UPLOADS[0], Actor("push", 0), Actor("age", 0), Actor("cool", 0, 1))
# Actors, and how many objects go bad.
WORLDS: dict[str, tuple[tuple[Actor, ...], int]] = {
    "uploads": ((*UPLOADS, Actor("push", 0), CLEAN), 0),
    "deletion": ((*UPLOADS, Actor("delete", 0), Actor("purge", 0), CLEAN), 0),
    "leaving": ((UPLOADS[0], Actor("replicate", 0, 1), Actor("leave"), CLEAN), 0),
    "compaction": ((UPLOADS[0], Actor("compact", 0, 1), Actor("scrub"), CLEAN), 1),
    "what is warmed": ((*COOLING, Actor("warm", 0, 2), CLEAN), 0),
    "readers of what cools": ((*COOLING, Actor("read"), CLEAN), 0),
}
# They take minutes.
LARGE: dict[str, tuple[tuple[Actor, ...], int]] = {
    "each cleaner": ((*UPLOADS, *EACH), 0),
    "release": (
        (
            UPLOADS[0],
            Actor("upload", 0, 1),
            Actor("push", 0),
            Actor("release", 0),
            Actor("look", 0),
            CLEAN,
        ),
        0,
    ),
    "deletion and push": (
        (*UPLOADS, Actor("push", 0), Actor("delete", 0), Actor("purge", 0), CLEAN),
        0,
    ),
    "repair": ((UPLOADS[0], Actor("upload", 0, 1), Actor("scrub"), CLEAN), 1),
    "repair and replication": (
        (UPLOADS[0], Actor("upload", 0, 1), Actor("replicate", 0, 2), Actor("scrub"), CLEAN),
        1,
    ),
    "leaving and compaction": (
        (
            UPLOADS[0],
            Actor("replicate", 0, 1),
            Actor("leave"),
            Actor("compact", 0, 2),
            CLEAN,
        ),
        0,
    ),
    "tiers": ((*COOLING, Actor("upload", 1, 2), CLEAN), 0),
    "tiers and compaction": ((*COOLING, Actor("compact", 0, 2), Actor("release", 0), CLEAN), 0),
    "tiers and copies": ((*COOLING, Actor("replicate", 0, 2), CLEAN), 0),
    "repair and compaction": (
        (UPLOADS[0], Actor("upload", 0, 1), Actor("compact", 0, 2), Actor("scrub"), CLEAN),
        1,
    ),
}
ALL = WORLDS | LARGE
REPAIR = ((UPLOADS[0], Actor("upload", 0, 1), Actor("scrub"), CLEAN), 1)
COPIES = (
    (UPLOADS[0], Actor("upload", 0, 1), Actor("replicate", 0, 2), Actor("scrub"), Actor("leave")),
    1,
)
HOT = ((*COOLING, Actor("upload", 0, 2)), 0)
MOVES = ((UPLOADS[0], Actor("compact", 0, 1), Actor("compact", 0, 2), CLEAN), 0)
BROKEN = [
    ("finalize without looking", WORLDS["uploads"]),
    ("finalize in the locking statement", WORLDS["uploads"]),
    ("abandon what is not open", WORLDS["uploads"]),
    ("push without a lock", WORLDS["uploads"]),
    ("sweep without the chunk's lock", WORLDS["uploads"]),
    ("sweep without looking again", WORLDS["uploads"]),
    ("sweep counts chunks", WORLDS["uploads"]),
    ("collect without a lock", WORLDS["uploads"]),
    ("collect without looking again", WORLDS["uploads"]),
    ("collect without counting", WORLDS["uploads"]),
    ("give up packs that are locked", WORLDS["uploads"]),
    ("look up packs before listing", WORLDS["uploads"]),
    ("upload to a deleted repository", WORLDS["deletion"]),
    ("delete without waiting", WORLDS["deletion"]),
    ("copy without a lock", WORLDS["leaving"]),
    ("collect forgets copies", WORLDS["leaving"]),
    ("leave without counting", WORLDS["leaving"]),
    ("leave without a lock", COPIES),
    ("copy without looking again", COPIES),
    ("copy under a weak lock", COPIES),
    ("repair keeps copies", COPIES),
    ("repair without counting", REPAIR),
    ("move without looking again", MOVES),
    ("mark without looking again", WORLDS["compaction"]),
    ("upload leaves bytes in the archive", HOT),
    ("cool without asking who wants it hotter", HOT),
    ("cool without counting", HOT),
    ("erase before the switch", HOT),
    ("read without looking again", WORLDS["readers of what cools"]),
    ("warm the reference first", ALL["what is warmed"]),
    ("move without looking again", ALL["tiers and compaction"]),
]

RELEASE = (
    history.Actor("time"),
    history.Actor("release commits"),
    history.Actor("release directories"),
)
REFS: tuple[history.Actor, ...] = (
    history.Actor("push", "C2"),
    history.Actor("push names", "C2"),
    history.Actor("delete branch", "C2"),
    *RELEASE,
)
# Who acts beside the release, besides those of REFS.
HISTORIES: dict[str, tuple[history.Actor, ...]] = {
    "pushes": (*REFS, history.Actor("push", "C1")),
    "a tree that is named": (*REFS, history.Actor("push names", "C1")),
    "moves": (
        *REFS,
        history.Actor("create branch", "C1"),
        history.Actor("move back", "C2"),
        history.Actor("delete branch", "C1"),
    ),
}
OBLITERATIONS = (
    history.Actor("push", "C1"),
    history.Actor("push", "C1"),
    history.Actor("delete branch", "C1"),
    history.Actor("obliterate"),
    history.Actor("lift"),
    history.Actor("release lists"),
    *RELEASE,
)
TWO_JOBS = (*OBLITERATIONS, history.Actor("release lists"))
BROKEN_OBLITERATION = {
    "push refers to what is obliterated": OBLITERATIONS,
    "release does not look at obliterations": OBLITERATIONS,
    "obliterate does not wait": OBLITERATIONS,
    "lift does not wait": OBLITERATIONS,
    "lift forgets what a job has yet to take": OBLITERATIONS,
    "a job does not look whether another was there": TWO_JOBS,
}
# It takes seconds.
TWO_SEARCHES = (*REFS, history.Actor("push names", "C1"), history.Actor("release directories"))
MORE = (*OBLITERATIONS, history.Actor("push", "C2"), history.Actor("delete branch", "C2"))
LARGE_HISTORIES = {"two searches": TWO_SEARCHES, "obliterations": MORE}
ALL_HISTORIES = HISTORIES | LARGE_HISTORIES
BROKEN_HISTORY = {
    "push does not lock what it names": "a tree that is named",
    "push does not lock the parent": "pushes",
    "push leaves out a directory that is there by now": "pushes",
    "push leaves out a commit that is there by now": "pushes",
    "push counts what was there": "pushes",
    "push does not pardon": "a tree that is named",
    "push pardons only what was there at once": "pushes",
    "a branch is created without a lock": "moves",
    "a forced move forgets the head": "moves",
    "release takes a commit before its children": "pushes",
    "release forgets the parents": "pushes",
    "release does not lock a head": "moves",
    "release does not lock a commit": "moves",
    "release looks at commits alone": "pushes",
    "release deletes without a lock": "a tree that is named",
    "release condemns without a lock": "a tree that is named",
    "release goes on below what has stayed": "a tree that is named",
    "release deletes what was condemned during the search": "two searches",
}


def explore_lifetime(actors: tuple[Actor, ...], health: int, broken: str = "") -> int:
    """Returns how many states there are."""
    world = lifetime.start(actors, health=health)
    return explore(world, Lifetime(actors, broken).steps, lifetime.check, lifetime.is_clean)


def explore_history(actors: tuple[history.Actor, ...], broken: str = "") -> int:
    """Returns how many states there are."""
    world = history.start(actors)
    return explore(world, History(actors, broken).steps, history.check, history.is_clean)


@pytest.mark.parametrize(
    "name", [*WORLDS, *(pytest.param(name, marks=pytest.mark.soak) for name in LARGE)]
)
def test_a_chunk_that_is_needed_stays_and_any_other_goes(name: str) -> None:
    assert explore_lifetime(*ALL[name]) > 1000


@pytest.mark.parametrize(("broken", "world"), BROKEN, ids=[name for name, _ in BROKEN])
def test_the_model_notices(broken: str, world: tuple[tuple[Actor, ...], int]) -> None:
    with pytest.raises(Broken):
        explore_lifetime(*world, broken)


@pytest.mark.parametrize(
    "name", [*HISTORIES, *(pytest.param(name, marks=pytest.mark.soak) for name in LARGE_HISTORIES)]
)
def test_history_that_a_branch_reaches_stays_and_any_other_goes(name: str) -> None:
    assert explore_history(ALL_HISTORIES[name]) > 1000


@pytest.mark.parametrize(("broken", "name"), BROKEN_HISTORY.items())
def test_the_model_of_history_notices(broken: str, name: str) -> None:
    with pytest.raises(Broken):
        explore_history(ALL_HISTORIES[name], broken)


def test_what_is_obliterated_has_no_chunks_and_stays_out() -> None:
    assert explore_history(OBLITERATIONS) > 1000


@pytest.mark.parametrize(("broken", "world"), BROKEN_OBLITERATION.items())
def test_the_model_of_obliteration_notices(broken: str, world: tuple[history.Actor, ...]) -> None:
    with pytest.raises(Broken):
        explore_history(world, broken)

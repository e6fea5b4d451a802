"""Slots: how many calls may be under way at once, in all and for each caller.

A call begins in the slots of its peer's address. Once its credential is good it moves to the slots of its
account, so callers behind one proxy share nothing but the moment in which they are not known yet. Health
checks and reflection have slots of their own: they work when everything else is busy.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from shared.errors import server_busy

RETRY_SECONDS = 1.0


@dataclass(slots=True)
class SlotGroup:
    """Calls that are counted together, and by who makes them.

    Attributes:
        most: in all.
        most_each: of one account, or of one address without an account.
    """

    most: int
    most_each: int
    taken: int = 0
    taken_by: Counter[object] = field(default_factory=Counter)

    def take(self, holder: object) -> Slot:
        """Returns a slot. Raises SERVER_BUSY, naming the limit, if there is none left."""
        if self.taken >= self.most:
            raise server_busy("the server has too many calls under way", RETRY_SECONDS, self.most)
        slot = Slot(self, holder)
        slot.occupy(holder)
        self.taken += 1
        return slot


class Slot:
    """The place of one call."""

    __slots__ = ("_group", "_holder")

    def __init__(self, group: SlotGroup, holder: object) -> None:
        self._group = group
        self._holder = holder

    def occupy(self, holder: object) -> None:
        """Counts the call for `holder`. Raises SERVER_BUSY if that has too many already."""
        taken_by = self._group.taken_by
        if taken_by[holder] >= self._group.most_each:
            text = "you have too many calls under way"
            raise server_busy(text, RETRY_SECONDS, self._group.most_each)
        taken_by[holder] += 1

    def move(self, holder: object) -> None:
        """Counts the call for another holder from now on. Raises as `occupy` does."""
        self.occupy(holder)
        self._leave()
        self._holder = holder

    def free(self) -> None:
        """Gives the slot back, once."""
        self._leave()
        self._group.taken -= 1

    def _leave(self) -> None:
        taken_by = self._group.taken_by
        taken_by[self._holder] -= 1
        if taken_by[self._holder] <= 0:
            del taken_by[self._holder]

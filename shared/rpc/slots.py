"""Slots: how many calls may be under way at once, in all and for each caller.

While its credential is judged a call stands in the entrance, then in a slot of its account. Calls without
a credential have slots by address, apart from those of accounts: whatever strangers do, behind the same
proxy or elsewhere, they take nothing from them. Health checks and reflection have slots of their own, too:
they work when everything else is busy.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from shared.errors import server_busy
from shared.runtime import metrics

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
        if self.taken_by[holder] >= self.most_each:
            text = "you have too many calls under way"
            raise server_busy(text, RETRY_SECONDS, self.most_each)
        self.taken += 1
        self.taken_by[holder] += 1
        return Slot(self, holder)

    def export(self, service: str, name: str) -> None:
        """Shows the group in the metrics of a service."""
        metrics.SLOTS_LIMIT.labels(service, name).set(self.most)
        metrics.SLOTS_TAKEN.labels(service, name).set_function(lambda: self.taken)

    def leave(self, holder: object) -> None:
        """Counts one call less."""
        self.taken -= 1
        self.taken_by[holder] -= 1
        if self.taken_by[holder] <= 0:
            del self.taken_by[holder]


class Slot:
    """The place of one call."""

    __slots__ = ("_group", "_holder")

    def __init__(self, group: SlotGroup, holder: object) -> None:
        self._group: SlotGroup | None = group
        self._holder = holder

    def move(self, group: SlotGroup, holder: object) -> None:
        """Counts the call there from now on. Raises SERVER_BUSY if there is no slot left."""
        group.take(holder)
        self.free()
        self._group, self._holder = group, holder

    def free(self) -> None:
        """Gives the slot back."""
        if self._group is not None:
            self._group.leave(self._holder)
            self._group = None

"""Slots: how many calls may be under way at once, in all and for each caller.

While its credential is judged a call stands in the entrance, then in a slot of its account. Calls without
a credential have slots by address, apart from those of accounts: whatever strangers do, behind the same
proxy or elsewhere, they take nothing from them. Health checks and reflection have slots of their own, too:
they work when everything else is busy.

A call that has said nothing for a second gives its slot to one that comes, if there is no other: who opens
calls and never sends keeps nobody out, as the callers of the same address.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.errors import server_busy
from shared.runtime import metrics

RETRY_SECONDS = 1.0
# How long a call may be silent before another may have its slot.
PATIENCE_SECONDS = 1.0


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
    taken_by: dict[object, int] = field(default_factory=dict)
    silent: dict[Slot, float] = field(default_factory=dict)

    def take(self, holder: object) -> Slot:
        """Returns a slot. Raises SERVER_BUSY, naming the limit, if there is none left."""
        self.enter(holder)
        return Slot(self, holder)

    def enter(self, holder: object) -> None:
        """Counts one call more. Raises SERVER_BUSY."""
        if self.taken_by.get(holder, 0) >= self.most_each and not self._free_silent(holder):
            text = "you have too many calls under way"
            raise server_busy(text, RETRY_SECONDS, self.most_each)
        if self.taken >= self.most and not self._free_silent(None):
            raise server_busy("the server has too many calls under way", RETRY_SECONDS, self.most)
        self.taken += 1
        self.taken_by[holder] = self.taken_by.get(holder, 0) + 1

    def _free_silent(self, holder: object | None) -> bool:
        """Ends the call that is silent longest, of the holder if one is given; False if none is so long."""
        latest = time.monotonic() - PATIENCE_SECONDS
        for slot, since in self.silent.items():
            if since > latest:
                return False
            if holder is None or slot.holder == holder:
                slot.give_up()
                return True
        return False

    def export(self, service: str, name: str) -> None:
        """Shows the group in the metrics of a service."""
        metrics.SLOTS_LIMIT.labels(service, name).set(self.most)
        metrics.SLOTS_TAKEN.labels(service, name).set_function(lambda: self.taken)

    def leave(self, holder: object) -> None:
        """Counts one call less."""
        self.taken -= 1
        left = self.taken_by[holder] - 1
        if left > 0:
            self.taken_by[holder] = left
        else:
            del self.taken_by[holder]


class Slot:
    """The place of one call."""

    __slots__ = ("_end", "_group", "holder")

    def __init__(self, group: SlotGroup | None = None, holder: object = None) -> None:
        self._group = group
        self._end: Callable[[int], None] | None = None
        self.holder = holder

    def begin_silence(self, end: Callable[[int], None]) -> None:
        """Notes that the call has said nothing yet; `end` ends it if another needs the slot, of so many."""
        self._end = end
        if self._group is not None:
            self._group.silent[self] = time.monotonic()

    def end_silence(self) -> None:
        """Notes that the call has said something."""
        self._end = None
        if self._group is not None:
            self._group.silent.pop(self, None)

    def give_up(self) -> None:
        """Gives the slot back, and ends the call."""
        end, limit = self._end, self._group.most_each if self._group is not None else 0
        self.free()
        if end is not None:
            end(limit)

    def move(self, group: SlotGroup, holder: object) -> None:
        """Counts the call there from now on. Raises SERVER_BUSY if there is no slot left."""
        group.enter(holder)
        self.free()
        self._group, self.holder = group, holder

    def free(self) -> None:
        """Gives the slot back."""
        self.end_silence()
        if self._group is not None:
            self._group.leave(self.holder)
            self._group = None

"""How the lanes of a process are shared by the owners of webhooks."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from uuid import UUID

# When a lane that was put off is looked at again, at the latest; later, the more of its owner wait.
LONGEST_WAIT = timedelta(seconds=30)
EACH_WAIT = timedelta(seconds=0.05)
# So many that wait are remembered, and go on as soon as a lane of their owner ends.
MAX_WAITING = 10_000


class OwnerShares:
    """Gives out lanes, to an owner only as many as are left for all others.

    So the first owner gets half of them, the next one half of the rest: whatever the receivers of some do,
    another owner's lane begins at once.
    """

    def __init__(self, lanes: int) -> None:
        self._free = lanes
        self._taken: Counter[UUID] = Counter()
        # In the order in which they came.
        self._waiting: defaultdict[UUID, dict[UUID, None]] = defaultdict(dict)

    def take(self, owner_id: UUID, webhook_id: UUID) -> bool:
        """Takes a lane for a webhook of an owner, if the owner may have one more."""
        if self._taken[owner_id] >= max(1, self._free):
            return False
        self._taken[owner_id] += 1
        self._free -= 1
        self._forget(owner_id, webhook_id)
        return True

    def put_off(self, owner_id: UUID, webhook_id: UUID) -> timedelta:
        """Remembers a webhook that got no lane; returns when to look again, if nothing wakes it before."""
        waiting = self._waiting[owner_id]
        if sum(map(len, self._waiting.values())) < MAX_WAITING:
            waiting[webhook_id] = None
        return LONGEST_WAIT + EACH_WAIT * len(waiting)

    def give_back(self, owner_id: UUID) -> UUID | None:
        """Gives a lane back; returns the webhook of the same owner that is to go on, if one waits."""
        self._free += 1
        self._taken[owner_id] -= 1
        if not self._taken[owner_id]:
            del self._taken[owner_id]
        following = next(iter(self._waiting.get(owner_id, ())), None)
        if following is not None:
            self._forget(owner_id, following)
        return following

    def _forget(self, owner_id: UUID, webhook_id: UUID) -> None:
        waiting = self._waiting.get(owner_id, {})
        waiting.pop(webhook_id, None)
        if not waiting:
            self._waiting.pop(owner_id, None)

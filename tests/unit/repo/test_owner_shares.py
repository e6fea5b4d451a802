"""Lanes of webhooks are shared by their owners."""

from __future__ import annotations

from uuid import UUID

from services.repo.webhooks.owner_shares import LONGEST_WAIT, OwnerShares

LANES = 64


def webhook(number: int) -> UUID:
    return UUID(int=number)


def take_all(shares: OwnerShares, owner: int) -> int:
    """Returns how many lanes an owner gets who wants more and more."""
    count = 0
    while shares.take(UUID(int=owner), webhook(count)):
        count += 1
    return count


def test_each_greedy_owner_leaves_as_much_to_others_as_it_has() -> None:
    shares = OwnerShares(LANES)
    assert [take_all(shares, owner) for owner in range(7)] == [32, 16, 8, 4, 2, 1, 1]
    # With none left, the queue gives no more jobs: whoever has a slot all the same gets a lane.
    assert shares.take(UUID(int=99), webhook(0))


def test_what_was_put_off_goes_on_in_its_order_when_a_lane_ends() -> None:
    shares = OwnerShares(4)
    owner, other = UUID(int=1), UUID(int=2)
    assert take_all(shares, 1) == 2
    waits = [shares.put_off(owner, webhook(number)) for number in (10, 11, 12, 10)]
    assert waits == sorted(waits)
    assert waits[0] > LONGEST_WAIT
    assert shares.take(other, webhook(20))
    assert shares.give_back(other) is None
    assert shares.give_back(owner) == webhook(10)
    # It came by itself meanwhile.
    assert shares.take(owner, webhook(11))
    assert shares.give_back(owner) == webhook(12)
    assert shares.give_back(owner) is None

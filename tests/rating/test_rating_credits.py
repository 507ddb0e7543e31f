"""Prepaid credit: which grant burns first, what comes back, what is lost, and what is never created."""

from datetime import timedelta

import pytest
import rating
from helpers import T0
from rating import Grant

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def run(grants, *usage, until=30 * DAY, **others):
    """Return the ledger of grants after usage given as (time after T0, quantity)."""
    return rating.burn_down(grants, [(T0 + after, quantity) for after, quantity in usage], T0 + until, **others)


def balances(ledger) -> list[int]:
    """Return the balances of a ledger, in the order of its grants."""
    return [int(balance) for balance in ledger.balances.values()]


class TestOrder:
    def test_priority_first(self):
        assert balances(run([Grant("a", 100, T0, priority=2), Grant("b", 100, T0)], (HOUR, 120))) == [80, 0]

    def test_then_the_sooner_expiry(self):
        grants = [Grant("a", 100, T0), Grant("b", 100, T0, T0 + 90 * DAY), Grant("c", 100, T0, T0 + 60 * DAY)]
        assert balances(run(grants, (HOUR, 120))) == [100, 80, 0]

    def test_then_the_older(self):
        grants = [Grant("a", 100, T0 - HOUR), Grant("b", 100, T0 - DAY)]
        assert balances(run(grants, (HOUR, 120))) == [80, 0]

    def test_priority_comes_before_expiry(self):
        grants = [Grant("a", 100, T0, T0 + 60 * DAY, priority=5), Grant("b", 100, T0)]
        assert balances(run(grants, (HOUR, 20))) == [100, 80]

    def test_is_kept_among_many(self):
        grants = [Grant(str(n), 10, T0, T0 + (900 - n % 800) * DAY) for n in range(5000)]
        ledger = run(grants, (HOUR, 65))
        assert {entry.grant_id for entry in ledger.entries} == {"799", "1599", "2399", "3199", "3999", "4799", "1598"}


class TestLife:
    def test_not_before_it_is_effective(self):
        ledger = run([Grant("a", 100, T0 + 10 * DAY)], (HOUR, 50), until=5 * DAY)
        assert (balances(ledger), ledger.overage) == ([0], 50)

    def test_earlier_overage_is_burned_from_a_new_grant(self):
        ledger = run([Grant("a", 100, T0 + 2 * HOUR)], (HOUR, 25), (3 * HOUR, 25))
        assert (balances(ledger), ledger.overage) == ([50], 0)
        assert [(entry.reason, entry.amount) for entry in ledger.entries] == [("overage", -25), ("usage", -25)]

    def test_earlier_overage_burns_grants_of_one_moment_in_their_order(self):
        grants = [Grant("a", 100, T0 + HOUR, priority=2), Grant("b", 100, T0 + HOUR, priority=1)]
        assert balances(run(grants, (timedelta(), 30))) == [100, 70]

    def test_expiry_is_half_open(self):
        grant = Grant("a", 100, T0, T0 + DAY)
        assert run([grant], (DAY - timedelta(microseconds=1), 10)).overage == 0
        assert run([grant], (DAY, 10)).overage == 10
        assert balances(run([grant], until=DAY)) == [0]

    def test_void_ends_it(self):
        ledger = run([Grant("a", 100, T0, voided_at=T0 + HOUR)], (HOUR / 2, 50), (2 * HOUR, 50))
        assert (balances(ledger), ledger.overage) == ([0], 50)

    def test_voided_from_the_start_it_never_was(self):
        assert run([Grant("a", 100, T0, voided_at=T0)], (HOUR, 50)).overage == 50

    def test_usage_after_the_moment_asked_for_does_not_count(self):
        assert balances(run([Grant("a", 100, T0)], (HOUR, 10), (2 * DAY, 50), until=DAY)) == [90]


class TestRenewal:
    def test_overage_is_carried_into_the_renewed_grant(self):
        ledger = run([Grant("a", 100, T0, every="day")], (HOUR, 120), until=DAY + HOUR)
        assert (balances(ledger), ledger.overage) == ([80], 0)

    def test_what_was_left_is_lost_or_rolls_over(self):
        grant = Grant("a", 100, T0, every="month")
        assert balances(run([grant], (HOUR, 30), until=31 * DAY)) == [100]
        rolling = Grant("a", 100, T0, every="month", rollover=50)
        assert balances(run([rolling], (HOUR, 30), until=31 * DAY)) == [150]

    def test_at_its_own_anchor(self):
        grant = Grant("a", 100, T0 + DAY, every="week", anchor=T0 + 3 * DAY)
        assert balances(run([grant], (DAY, 40), until=3 * DAY - HOUR)) == [60]
        assert balances(run([grant], (DAY, 40), until=3 * DAY)) == [100]
        assert balances(run([grant], (DAY, 40), (3 * DAY, 20), until=10 * DAY - HOUR)) == [80]

    def test_an_anchor_long_after_it_became_effective(self):
        grant = Grant("a", 100, T0, every="day", anchor=T0 + 10 * DAY + HOUR)
        assert balances(run([grant], (timedelta(), 70), until=2 * HOUR)) == [100]

    def test_not_after_it_expired(self):
        grant = Grant("a", 100, T0, T0 + DAY, every="day")
        assert balances(run([grant], (HOUR, 10), until=3 * DAY)) == [0]

    def test_a_month_from_the_31st(self):
        grant = Grant("a", 100, T0 + 30 * DAY, every="month")
        moments = list(grant.renewals(T0 + 100 * DAY))
        assert [f"{moment:%m-%d}" for moment in moments] == ["02-28", "03-31"]


class TestReset:
    def test_rolls_over_within_bounds(self):
        for used, left in ((10, 50), (60, 40), (99, 20)):
            grant = Grant("a", 100, T0, reset_maximum=50, reset_minimum=20)
            assert balances(run([grant], (HOUR, used), resets=[T0 + DAY])) == [left]

    def test_overage_is_kept_or_forgiven(self):
        grant = Grant("a", 100, T0, reset_maximum=50, reset_minimum=50)
        assert balances(run([grant], (HOUR, 110), resets=[T0 + DAY])) == [40]
        assert balances(run([grant], (HOUR, 110), resets=[T0 + DAY], keep_overage=False)) == [50]

    def test_overage_beyond_every_grant_is_forgiven(self):
        ledger = run([Grant("a", 100, T0)], (HOUR, 110), resets=[T0 + DAY], keep_overage=False)
        assert ledger.overage == 0

    def test_leaves_grants_alone_that_are_not_there(self):
        grants = [Grant("a", 100, T0 + 2 * DAY, reset_maximum=5), Grant("b", 100, T0, T0 + HOUR, reset_minimum=5)]
        assert balances(run(grants, resets=[T0 + DAY])) == [100, 0]


class TestWallet:
    def test_draws_what_there_is(self):
        assert rating.draw(rating.to_decimal(10), rating.to_decimal(4)) == (4, 6)
        assert rating.draw(rating.to_decimal(10), rating.to_decimal(40)) == (10, 0)
        assert rating.draw(rating.to_decimal(10), rating.to_decimal(-4)) == (0, 10)

    def test_ongoing_balance_may_be_below_zero(self):
        assert rating.ongoing_balance(rating.to_decimal(10), rating.to_decimal(8), rating.to_decimal(5)) == -3


def test_negative_usage_would_create_credit():
    with pytest.raises(ValueError, match="would create credit"):
        run([Grant("a", 100, T0)], (HOUR, -5))

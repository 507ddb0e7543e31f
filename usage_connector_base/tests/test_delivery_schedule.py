import doctest
import random
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from odoo.tests import BaseCase, tagged

from ..delivery import addresses, message, schedule, signing
from ..delivery.schedule import Circuit

NOW = datetime(2026, 3, 29, 0, 30)


class Extreme(random.Random):
    """A generator that always gives the lowest, or always the highest."""

    def __init__(self, highest):
        super().__init__()
        self.highest = highest

    def uniform(self, a, b):
        return b if self.highest else a


LOWEST, HIGHEST = Extreme(False), Extreme(True)


@tagged("post_install", "-at_install")
class TestSchedule(BaseCase):
    def attempts(self, rng):
        """Times of the attempts of a message that is never taken."""
        now, give_up_at, times = NOW, NOW + schedule.GIVE_UP_AFTER, []
        while now:
            times.append(now)
            now = schedule.next_attempt(len(times), now, give_up_at, rng=rng)
        return times

    def test_waits_double_up_to_the_longest(self):
        waits = [schedule.wait(failures, HIGHEST) for failures in range(1, 13)]
        self.assertEqual(waits[:4], [30, 60, 120, 240])
        self.assertEqual(waits[-2:], [6 * 3600] * 2)
        self.assertEqual(waits, sorted(waits))

    @given(st.integers(1, 10_000), st.integers())
    def test_jitter_stays_in_its_bounds(self, failures, seed):
        longest = schedule.wait(failures, HIGHEST)
        waited = schedule.wait(failures, random.Random(seed))
        self.assertLessEqual(longest / 2, waited)
        self.assertLessEqual(waited, longest)

    def test_jitter_spreads(self):
        waits = {round(schedule.wait(10)) for _index in range(50)}
        self.assertGreater(len(waits), 10)

    def test_retried_for_72_hours_then_given_up(self):
        for rng in (LOWEST, HIGHEST, random.Random(1)):
            times = self.attempts(rng)
            self.assertEqual(times[-1] - times[0], timedelta(hours=72), "the last attempt is at the end")
            self.assertEqual(times, sorted(set(times)))
            self.assertTrue(15 <= len(times) <= 40, len(times))

    def test_given_up_only_after_an_attempt(self):
        self.assertIsNone(schedule.next_attempt(1, NOW, NOW))
        self.assertIsNone(schedule.next_attempt(1, NOW + timedelta(days=9), NOW))
        self.assertEqual(schedule.next_attempt(1, NOW, NOW + timedelta(seconds=1)), NOW + timedelta(seconds=1))

    @given(st.integers(1, 100), st.floats(0, 1e12), st.integers(1, 72 * 3600))
    def test_next_attempt_is_later_but_in_time(self, failures, retry_after, left):
        give_up_at = NOW + timedelta(seconds=left)
        next_at = schedule.next_attempt(failures, NOW, give_up_at, retry_after)
        self.assertLess(NOW, next_at)
        self.assertLessEqual(next_at, give_up_at)
        if retry_after <= left - 1:
            self.assertGreaterEqual(next_at, NOW + timedelta(seconds=int(retry_after)))

    def test_whole_seconds(self):
        self.assertEqual(schedule.next_attempt(3, NOW, NOW + timedelta(hours=1)).microsecond, 0)

    # -- circuit ----------------------------------------------------------------------------

    def test_circuit_opens_at_the_limit(self):
        circuit = schedule.CLOSED
        for failures in range(1, 5):
            circuit = schedule.after_failure(circuit, 5, NOW)
            self.assertEqual(circuit, Circuit(failures, None))
        self.assertEqual(schedule.after_failure(circuit, 5, NOW), Circuit(5, NOW + timedelta(minutes=5)))

    def test_failed_probes_double_the_cool_down(self):
        circuit, minutes = Circuit(4, None), []
        for _probe in range(6):
            circuit = schedule.after_failure(circuit, 5, NOW)
            minutes.append((circuit.open_until - NOW).total_seconds() / 60)
        self.assertEqual(minutes, [5, 10, 20, 40, 60, 60])

    def test_limit_of_one(self):
        self.assertEqual(schedule.after_failure(schedule.CLOSED, 1, NOW).open_until, NOW + timedelta(minutes=5))

    def test_limit_lowered_meanwhile(self):
        self.assertIsNotNone(schedule.after_failure(Circuit(40, None), 2, NOW).open_until)

    def test_doctests(self):
        for module in (addresses, message, schedule, signing):
            with self.subTest(module.__name__):
                result = doctest.testmod(module)
                self.assertTrue(result.attempted)
                self.assertFalse(result.failed)

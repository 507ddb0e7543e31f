"""A month of a believable SaaS platform, invented from a seed.

Some 200 accounts of log-normal sizes call an API, a language model, a document pipeline and
a file store, with office hours, weekends and time zones. Customers grow, shrink, spike, halve
and fall silent. Deliveries are what deliveries are: late, repeated, contradicted, malformed,
and about accounts and event types nobody told Odoo of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from random import Random

from .dates import BILLED_DAYS, STORY_DAYS, story_start
from .names import company_names
from .story import Customer, Event, Meter, Plan, Price, Story, Tier

SEED = 2026
EVENT_SOURCE = "https://platform.nimbus.example/usage"
ACCOUNTS = 200
CUSTOMERS = 188  # twelve customers have a second account
UNKNOWN_ACCOUNTS = 6
CONFLICTS = 24
MALFORMED = 64
DUPLICATE_SHARE = 0.012
LATE_SHARE = 0.03

METERS = (
    Meter("api_requests", "API Requests", "api.requests", "request", "sum", "requests", "region"),
    Meter("input_tokens", "LLM Input Tokens", "llm.completion", "token", "sum", "usage.input_tokens", "model"),
    Meter("output_tokens", "LLM Output Tokens", "llm.completion", "token", "sum", "usage.output_tokens", "model"),
    Meter("documents", "Documents Processed", "document.processed", "document", "count", "", "kind"),
    Meter("storage", "Storage", "storage.snapshot", "GB-hour", "sum", "gb_hours"),
    Meter("egress", "Data Transfer Out", "storage.snapshot", "GB", "sum", "egress_gb"),
)

_TOKENS = (
    Price("input_tokens", "per_unit", "0.50", per="1000000"),
    Price(
        "output_tokens",
        "graduated",
        per="1000000",
        tiers=(Tier("1000000", "1.50"), Tier("0", "1.20")),
    ),
)
PLANS = (
    Plan(
        "starter",
        "Starter",
        (
            Price("api_requests", "package", package_size="1000", package_amount="1.50"),
            Price("documents", "per_unit", "0.25", included="85"),
        ),
    ),
    Plan(
        "growth",
        "Growth",
        (
            Price(
                "api_requests",
                "graduated",
                per="1000",
                tiers=(Tier("250000", "1.20"), Tier("1000000", "0.95"), Tier("0", "0.70")),
            ),
            *_TOKENS,
            Price("documents", "package", package_size="50", package_amount="9.00", included="180"),
        ),
    ),
    Plan(
        "enterprise",
        "Enterprise",
        (
            Price(
                "api_requests",
                "graduated",
                per="1000",
                included="5000000",
                tiers=(Tier("2000000", "0.60", "150"), Tier("0", "0.45")),
            ),
            *_TOKENS,
            Price("documents", "per_unit", "0.15", included="900"),
            Price("storage", "per_unit", "0.00013"),
            Price("egress", "package", package_size="100", package_amount="7.00"),
        ),
    ),
)

REGIONS = (("eu-west", 0), ("us-east", -5), ("us-west", -8), ("ap-south", 6), ("ap-east", 9))
MODELS = (("atlas-large", 1.0), ("atlas-small", 3.0), ("atlas-embed", 1.5))
DOCUMENT_KINDS = ("invoice", "contract", "receipt")


@dataclass(frozen=True)
class Account:
    """One account of the platform: its size (1 = ordinary), course of the month and place."""

    external_id: str
    plan: str
    size: float
    course: Callable[[int], float]
    region: str
    shift: int  # hours from UTC


def steady(_day: int) -> float:
    return 1.0


def growing(day: int) -> float:
    return 0.7 + 0.025 * day


def shrinking(day: int) -> float:
    return 1.2 - 0.012 * day


def spiking(day: int) -> float:
    return 4.0 if day in (16, 17) else 0.9


def halving(day: int) -> float:
    return 1.0 if day < STORY_DAYS - 7 else 0.3


def silent(day: int) -> float:
    return 1.0 if day < STORY_DAYS - 9 else 0.0


COURSES = [growing] * 26 + [shrinking] * 14 + [spiking] * 12 + [halving] * 7 + [silent] * 5


class Saas:
    """The platform: what Odoo must know of it (`story`) and what it sends (`events`).

    :param seed: the same seed invents the same month, figure by figure
    :param today: the story is over before this day; moves dates, never figures
    """

    def __init__(self, seed: int = SEED, today: date | None = None):
        self.seed = seed
        self.start = story_start(today or date.today())

    # --- what exists -----------------------------------------------------------------

    @cached_property
    def accounts(self) -> list[Account]:
        rng = self._rng("accounts")
        sizes = sorted((math.exp(rng.gauss(0, 1.0)) for _ in range(ACCOUNTS)), reverse=True)
        courses = COURSES + [steady] * (ACCOUNTS - len(COURSES))
        rng.shuffle(courses)
        return [
            Account(f"acct-{1001 + i}", _plan_of(i), size, course, *rng.choice(REGIONS))
            for i, (size, course) in enumerate(zip(sizes, courses, strict=True))
        ]

    @cached_property
    def customers(self) -> list[Customer]:
        """One customer an account; the first twelve own one of the last accounts as well."""
        ids = [account.external_id for account in self.accounts]
        names = company_names(CUSTOMERS, self._rng("names"))
        second = dict(enumerate(ids[CUSTOMERS:]))
        return [
            Customer(
                name,
                f"billing@{name.lower().replace(' ', '-')}.example",
                self.accounts[i].plan,
                (ids[i], second[i]) if i in second else (ids[i],),
            )
            for i, name in enumerate(names)
        ]

    @property
    def end(self) -> datetime:
        return self.start + timedelta(days=STORY_DAYS)

    @property
    def story(self) -> Story:
        period_end = self.start + timedelta(days=BILLED_DAYS)
        return Story(
            METERS,
            PLANS,
            tuple(self.customers),
            start=self.start,
            until=self.end,
            detected=(period_end - timedelta(seconds=1), self.end),
        )

    # --- what is sent ----------------------------------------------------------------

    def events(self) -> list[Event]:
        """Every delivery, in the order in which the platform makes them."""
        facts = [fact for account in self.accounts for fact in self._facts(account)]
        facts += self._unknown()
        deliveries = [*self._first_deliveries(facts), *self._repeated(facts), *self._malformed()]
        deliveries.sort(key=lambda delivery: delivery[0])
        return [event for _at, event in deliveries]

    def _facts(self, account: Account) -> Iterator[Event]:
        """The events of one account, day by day."""
        rng = self._rng(account.external_id)
        hours = _office_hours(account.shift)
        for day in range(STORY_DAYS):
            level = account.course(day) * (0.4 if day % 7 > 4 else 1.0)
            for event_type, rate, data in _ACTIVITIES[account.plan]:
                for _ in range(_poisson(rng, rate(account.size) * level)):
                    at = self.start + timedelta(
                        days=day,
                        hours=rng.choices(range(24), cum_weights=hours)[0],
                        seconds=rng.randrange(3600),
                    )
                    yield self._event(rng, at, account.external_id, event_type, data(rng, account))

    def _unknown(self) -> Iterator[Event]:
        """Accounts nobody mapped, and a kind of event nobody meters."""
        rng = self._rng("unknown")
        for number in range(UNKNOWN_ACCOUNTS):
            account = Account(f"trial-{501 + number}", "growth", 1.0, steady, *REGIONS[0])
            yield from list(self._facts(account))[:60]
        for account in rng.sample(self.accounts, 40):
            at = self.start + timedelta(seconds=rng.randrange(STORY_DAYS * 86400))
            data = {"gpu_seconds": rng.randint(60, 7200)}
            yield self._event(rng, at, account.external_id, "gpu.session", data)

    def _first_deliveries(self, facts: list[Event]) -> Iterator[tuple[datetime, Event]]:
        """Most events arrive within seconds, some hours or days late."""
        rng = self._rng("delays")
        for fact in facts:
            late = rng.random() < LATE_SHARE
            delay = rng.randrange(3600, 4 * 86400) if late else rng.expovariate(1 / 5)
            yield _time(fact) + timedelta(seconds=delay), fact

    def _repeated(self, facts: list[Event]) -> Iterator[tuple[datetime, Event]]:
        """The same event again, as senders do that missed an answer; a few say something else.

        Repetitions come after every late first delivery, so that the first one always counts.
        """
        rng = self._rng("repeated")
        chosen = rng.sample(facts, int(len(facts) * DUPLICATE_SHARE) + CONFLICTS)
        for number, fact in enumerate(chosen):
            at = _time(fact) + timedelta(days=4, seconds=rng.randrange(60, 7200))
            yield at, _contradiction(fact) if number < CONFLICTS else fact

    def _malformed(self) -> Iterator[tuple[datetime, Event]]:
        """Events that cannot be counted, each broken in one way."""
        rng = self._rng("malformed")
        for number in range(MALFORMED):
            account = rng.choice(self.accounts)
            at = self.start + timedelta(seconds=rng.randrange(STORY_DAYS * 86400))
            data = _requests(rng, account)
            event = self._event(rng, at, account.external_id, "api.requests", data)
            yield at, _BREAKAGES[number % len(_BREAKAGES)](event)

    # --- helpers ---------------------------------------------------------------------

    def _event(self, rng: Random, at: datetime, subject: str, event_type: str, data: dict) -> Event:
        """A CloudEvent whose id sorts by time, as the ids of many platforms do."""
        milliseconds = int((at - datetime(1970, 1, 1)).total_seconds() * 1000)
        return {
            "specversion": "1.0",
            "id": f"{milliseconds:012x}{rng.getrandbits(80):020x}",
            "source": EVENT_SOURCE,
            "type": event_type,
            "subject": subject,
            "time": f"{at.isoformat(timespec='seconds')}Z",
            "data": data,
        }

    def _rng(self, name: str) -> Random:
        """A random source of one part of the story, so that parts do not disturb each other."""
        return Random(f"{self.seed}/{name}")


def _plan_of(rank: int) -> str:
    """The bigger an account, the bigger its plan."""
    if rank < 18:
        return "enterprise"
    return "growth" if rank < 90 else "starter"


def _office_hours(shift: int) -> list[float]:
    """Cumulative weights of the 24 UTC hours of a place `shift` hours from UTC."""
    total, weights = 0.0, []
    for hour in range(24):
        local = (hour + shift) % 24
        total += 0.15 + math.exp(-((local - 14) ** 2) / 18)
        weights.append(total)
    return weights


def _poisson(rng: Random, mean: float) -> int:
    """How many of something happen when `mean` are expected (Knuth)."""
    limit, count, product = math.exp(-mean), 0, rng.random()
    while product > limit:
        count += 1
        product *= rng.random()
    return count


def _lognormal(rng: Random, mean: float, spread: float) -> int:
    return max(1, round(mean * math.exp(rng.gauss(0, spread))))


def _requests(rng: Random, account: Account) -> dict:
    return {"requests": _lognormal(rng, 900 * account.size, 0.3), "region": account.region}


def _completion(rng: Random, account: Account) -> dict:
    model = rng.choices([name for name, _ in MODELS], [weight for _, weight in MODELS])[0]
    tokens = _lognormal(rng, 240_000 * account.size, 0.4)
    output = 0 if model == "atlas-embed" else int(tokens * rng.uniform(0.08, 0.3))
    return {"model": model, "usage": {"input_tokens": tokens, "output_tokens": output}}


def _document(rng: Random, account: Account) -> dict:
    return {"kind": rng.choice(DOCUMENT_KINDS), "pages": rng.randint(1, 24)}


def _snapshot(rng: Random, account: Account) -> dict:
    return {
        "gb_hours": round(rng.uniform(400, 600) * account.size, 3),
        "egress_gb": round(rng.expovariate(1 / (1.5 * account.size)), 3),
    }


def _scaled(per_day: float) -> Callable[[float], float]:
    """Events a day of an account: bigger ones report more often, within bounds."""
    return lambda size: per_day * min(max(size, 0.6), 4.0)


_STARTER = (
    ("api.requests", _scaled(4.0), _requests),
    ("document.processed", _scaled(3.0), _document),
)
_GROWTH = (
    ("api.requests", _scaled(4.0), _requests),
    ("llm.completion", _scaled(3.0), _completion),
    ("document.processed", _scaled(2.0), _document),
)
_ENTERPRISE = (
    ("api.requests", _scaled(5.0), _requests),
    ("llm.completion", _scaled(5.0), _completion),
    ("document.processed", _scaled(6.0), _document),
    ("storage.snapshot", _scaled(4.0), _snapshot),
)
_ACTIVITIES = {"starter": _STARTER, "growth": _GROWTH, "enterprise": _ENTERPRISE}


def _time(event: Event) -> datetime:
    return datetime.fromisoformat(event["time"].rstrip("Z"))


def _contradiction(event: Event) -> Event:
    """The same id with other content."""
    return {**event, "data": {**event["data"], "corrected": True}}


def _without(name: str) -> Callable[[Event], Event]:
    return lambda event: {key: value for key, value in event.items() if key != name}


def _with(**changes) -> Callable[[Event], Event]:
    return lambda event: {**event, **changes}


def _with_requests(value) -> Callable[[Event], Event]:
    return lambda event: {**event, "data": {**event["data"], "requests": value}}


_BREAKAGES = (
    _without("id"),
    _without("subject"),
    _with(time="3000-01-01T00:00:00Z"),
    _with(time="yesterday"),
    _with(specversion="0.3"),
    _with_requests("1200"),
    _with_requests(-5),
    _with(data={"region": "eu-west"}),
)

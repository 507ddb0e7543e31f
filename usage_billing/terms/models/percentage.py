from ...numbers import exact_text
from ..base import EVENTS, ModelTerm, Need, differing, number_words, numbers


class Percentage(ModelTerm):
    name = "percentage"
    label = "Percentage"
    about = "a part of the money that each event moves"

    def definition(self, price, tz):
        return {
            "percent": exact_text(price.percent),
            **numbers(
                price,
                fixed_amount="fixed_amount",
                free_events="free_events",
                free_amount="free_amount",
                minimum_per_event="minimum_per_event",
                maximum_per_event="maximum_per_event",
            ),
            **differing(price, event_at_free_amount="free"),
            **({} if price.fixed_on_zero_base else {"fixed_on_zero_base": False}),
            **({"lines": "event"} if price.percentage_lines == "event" else {}),
        }

    def need(self, price, tz):
        """Every event where one must be looked at by itself; otherwise the money alone decides."""
        by_event = (
            price.fixed_amount
            or price.free_events
            or price.minimum_per_event
            or price.maximum_per_event
            or price.event_at_free_amount == "paid"
            or price.percentage_lines == "event"
        )
        return Need(EVENTS) if by_event else Need()

    def words(self, price):
        words = price.env._("%s%% of the amount", number_words(price, "percent"))
        for field, sentence in (
            ("fixed_amount", price.env._("%(words)s plus %(value)s an event")),
            ("minimum_per_event", price.env._("%(words)s, at least %(value)s an event")),
            ("maximum_per_event", price.env._("%(words)s, at most %(value)s an event")),
            ("free_amount", price.env._("%(words)s, the first %(value)s free")),
        ):
            if price[field]:
                words = sentence % {"words": words, "value": price._amount_words(price[field])}
        if price.free_events == 1:
            words = price.env._("%s, the first event free", words)
        elif price.free_events:
            words = price.env._(
                "%(words)s, the first %(value)s events free", words=words, value=number_words(price, "free_events")
            )
        return words

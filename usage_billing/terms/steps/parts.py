from ..base import EVENTS, HOURS, TOTAL, Need, StepTerm, differing, dimension_names


class Parts(StepTerm):
    """A peak (or sum) per hour or day, tiers per group."""

    def definition(self, price, tz):
        groups = dimension_names(price.group_by)
        return {**self._bucket(price, tz), **({"group_by": groups} if groups else {})}

    def _bucket(self, price, tz):
        if not price.bucket_interval:
            return {}
        bucket = {
            "interval": price.bucket_interval,
            "aggregation": price.bucket_aggregation,
            "tz": price.tz or tz,
            **({"empty": "zero"} if price.bucket_empty == "zero" else {}),
        }
        return {"bucket": bucket}

    def need(self, price, tz):
        pieces = TOTAL
        if price.bucket_interval:
            pieces = EVENTS if price.bucket_pieces == "event" else HOURS
        zones = frozenset([price.tz or tz]) if price.bucket_interval else frozenset()
        return Need(pieces, frozenset(dimension_names(price.group_by)), zones)

    def words(self, price):
        words = []
        if price.bucket_interval:
            words.append(self._bucket_words(price))
        if price.group_by:
            words.append(price.env._("each %s by itself", " · ".join(dimension_names(price.group_by))))
        return price.env._(", ").join(words)

    def _bucket_words(self, price):
        what = dict(price._fields["bucket_aggregation"]._description_selection(price.env))[price.bucket_aggregation]
        if price.bucket_interval == "hour":
            return price.env._("%s of every hour", what.lower())
        return price.env._("%s of every day", what.lower())


class Counters(StepTerm):
    """Where tiers and packages begin to count."""

    def definition(self, price, tz):
        return differing(price, split="cumulative", tiers_at_price_change="restart")

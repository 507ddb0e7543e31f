from ...rating import PriceError
from ..base import EVENTS, HOURS, ModelTerm, Need


class TimeOfDay(ModelTerm):
    name = "time_of_day"
    label = "By time of day"
    about = "other prices for some hours of the day"

    def definition(self, price, tz):
        windows, default = [], {}
        for part in price.part_ids:
            if not part._has_hours() and not default:
                default = {"default": part._nested_definition(tz)}
            else:
                window = {"from": clock(part.time_from), "to": clock(part.time_to)}
                windows.append({**window, "price": part._nested_definition(tz)})
        if not default:
            raise PriceError("default", "is missing", "add a row without hours: the price of all other times")
        return {"windows": windows, **default, "tz": price.tz or tz}

    def need(self, price, tz):
        hours = [hour for part in price.part_ids for hour in (part.time_from, part.time_to)]
        need = Need(HOURS if all(hour == int(hour) for hour in hours) else EVENTS, zones=frozenset([price.tz or tz]))
        for part in price.part_ids:
            need |= part._need(tz)
        return need

    def words(self, price):
        return price.env._("; ").join(self._part_words(price, part) for part in price.part_ids)

    def _part_words(self, price, part):
        title = price.env._("all other times")
        if part._has_hours():
            title = f"{clock(part.time_from)}–{clock(part.time_to)}"
        return price.env._("%(part)s: %(price)s", part=title, price=part.description or "")


def clock(hour: float) -> str:
    """Return a time of day, as hours, the way the rating core reads it.

    >>> clock(9.5), clock(24)
    ('09:30', '24:00')
    """
    minutes = round(hour * 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"

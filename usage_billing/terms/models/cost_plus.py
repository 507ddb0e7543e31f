from ..base import EVENTS, ModelTerm, Need, number_words, numbers
from .event_price import require_amount_path


class CostPlus(ModelTerm):
    name = "cost_plus"
    label = "Cost plus margin"
    about = "what the usage cost us, as every event says, and a margin on it"

    def definition(self, price, tz):
        require_amount_path(price)
        return numbers(price, margin_percent="margin_percent", margin_per_unit="margin_per_unit")

    def need(self, price, tz):
        return Need(EVENTS)

    def words(self, price):
        words = price.env._("The cost that every event carries in %s", price._root().amount_path or "")
        if price.margin_percent:
            words = price.env._(
                "%(words)s plus %(percent)s%%", words=words, percent=number_words(price, "margin_percent")
            )
        if price.margin_per_unit:
            amount = price._amount_words(price.margin_per_unit)
            words = price.env._(
                "%(words)s plus %(amount)s per %(unit)s", words=words, amount=amount, unit=price.unit_name or ""
            )
        return words

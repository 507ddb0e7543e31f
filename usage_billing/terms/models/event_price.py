from ...rating import PriceError
from ..base import EVENTS, ModelTerm, Need, number_words, numbers


class EventPrice(ModelTerm):
    name = "event_price"
    label = "Price in the event"
    about = "the sender has priced every event already"

    def definition(self, price, tz):
        require_amount_path(price)
        # What events carry is divided by what the whole price says before its parts see it.
        return {} if price.parent_id or price.amount_divisor == 1 else numbers(price, amount_divisor="amount_divisor")

    def need(self, price, tz):
        return Need(EVENTS)

    def words(self, price):
        words = price.env._("The price that every event carries in %s", price._root().amount_path or "")
        if price.parent_id or price.amount_divisor in (0, 1):
            return words
        return price.env._(
            "%(words)s, divided by %(divisor)s", words=words, divisor=number_words(price, "amount_divisor")
        )


def require_amount_path(price):
    """Raise ``PriceError`` where a price does not say where events carry their money."""
    if not price._root().amount_path:
        raise PriceError("amount_path", "is missing", "name where in the event's data the amount stands, such as cost")

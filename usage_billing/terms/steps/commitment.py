from ...numbers import exact, exact_text, format_number
from ..base import StepTerm


class Commitment(StepTerm):
    def definition(self, price, tz):
        if not price.commitment_type:
            return {}
        commitment = {price.commitment_type: exact_text(price.commitment_value)}
        if price.overage_factor != 1:
            commitment["overage_factor"] = exact_text(price.overage_factor)
        if not price.commitment_true_up:
            commitment["true_up"] = False
        if price.commitment_per == "window":
            commitment["per"] = "window"
        return {"commitment": commitment}

    def words(self, price):
        if not price.commitment_type:
            return ""
        committed = price._amount_words(price.commitment_value)
        if price.commitment_type == "quantity":
            committed = f"{format_number(price.env, exact(price.commitment_value))} {price.unit_name or ''}".strip()
        words = price.env._("committed to %s", committed)
        if price.overage_factor != 1:
            factor = format_number(price.env, exact(price.overage_factor))
            words = price.env._("%(words)s, above it times %(factor)s", words=words, factor=factor)
        return words

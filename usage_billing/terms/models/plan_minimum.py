from ...numbers import exact_text
from ..base import ModelTerm


class PlanMinimum(ModelTerm):
    name = "plan_minimum"
    label = "Minimum of the plan"
    about = "all prices of the plan together cost at least this a period"

    def definition(self, price, tz):
        return {"amount": exact_text(price.plan_minimum)}

    def words(self, price):
        return price.env._("at least %s a period for the whole plan", price._amount_words(price.plan_minimum))
